"""Makes the labelled turns that `scripts/fit_endpointing.py` fits and scores the end of a turn on.

    .venv/bin/python -m scripts.make_turn_corpus --out DIR [--data DIR]

Synthetic callers (flite, eSpeak NG) say shop sentences, answers, dates, names and digits in groups, with
pauses of 200 to 1500 ms inside and between clauses, fillers, six levels of noise, band and mu-law. Each
turn's label is where it ends and where its pauses lie; its facts are what a call would know at every pause:
the words so far from Whisper (`models/demo-whisper`) and smart-turn's verdicts. Voices and sentence patterns
are parted into those to fit on and those held out: no fitted turn has a held-out voice or pattern, but for
bare numbers, dates and names, which have no words of their own.

Writes `DIR/facts.jsonl`, one turn a line, and no sound. It takes about 0.5 s of one core a turn, most of it
smart-turn's; an interrupted run goes on where it was. `--data` adds numbers by people, put together from
recordings of single digits and read by PocketSphinx, which are scored apart. Needs the programs `flite` and
`espeak-ng`. The same seed gives the same turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from scripts.bench import lines
from scripts.demo_whisper.voices import SynthesisError
from scripts.turn_corpus import facts, patterns, speech
from scripts.turn_corpus.patterns import Split, Turn
from scripts.turn_corpus.real_digits import Speakers
from scripts.turn_corpus.scoring import read
from voicebot.audio.engines.hosted import HostedTranscriber
from voicebot.audio.engines.smart_turn import SmartTurnEngine
from voicebot.audio.engines.sphinx import SphinxEngine
from voicebot.audio.engines.types import Transcriber
from voicebot.audio.engines.whisper.engine import WhisperEngine
from voicebot.audio.engines.work import Workshop
from voicebot.core.conversation import Expects

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "demo-whisper"


class Engines:
    """The engines of a call in this process: one decode at a time, by the audio's clock."""

    def __init__(self, transcriber: Transcriber) -> None:
        self._transcriber = transcriber
        self._judge = SmartTurnEngine()

    async def facts(self, heard: speech.Heard, expects: Expects) -> list[facts.Pause] | None:
        """The pauses with their witnesses; None if voice was found where nobody spoke, or none at all."""
        began_ms, found = facts.pauses(heard.pcm)
        if not found or abs(found[-1].begin_ms - heard.end_ms) > facts.LATE_MS:
            return None
        await facts.witnesses(heard.pcm, began_ms, found, expects, self._transcriber, self._judge)
        return found


def whisper() -> Transcriber:
    """What most turns are read with."""
    engine = WhisperEngine(str(MODEL), threads=1, audio_clock=True)
    engine.warm_up()
    return engine.transcriber(Workshop("whisper", 1, 64))


def sphinx() -> Transcriber:
    """For people: the demo's Whisper knows synthetic voices only."""
    return HostedTranscriber(SphinxEngine(), Workshop("sphinx", 1, 64))


class Corpus:
    """The facts file. A turn is made from its name and the seed alone, so a run goes on where another
    ended.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._seed = seed
        self._done = {entry["name"] for entry in read(path)} if path.exists() else set[str]()
        self.left_out = 0

    def rng(self, name: str) -> random.Random | None:
        """For a turn that is not there yet."""
        return None if name in self._done else random.Random(f"{self._seed} {name}")

    async def add(
        self, name: str, split: str, voice: str, turn: Turn, heard: speech.Heard, engines: Engines
    ) -> None:
        """Works out the facts of a turn and writes them."""
        expects = Expects.model_validate({"kind": turn.asked, "length": turn.length})
        found = await engines.facts(heard, expects)
        if found is None:
            self.left_out += 1
            return
        entry = {
            "name": name,
            "split": split,
            "voice": voice,
            "pattern": turn.pattern,
            "text": " | ".join(turn.phrases),
            "asked": turn.asked,
            "length": turn.length,
            "snr_db": heard.snr_db,
            "end_ms": heard.end_ms,
            "made": [list(p) for p in heard.pauses],
            "pauses": [facts.to_json(p) for p in found],
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


async def synthetic(corpus: Corpus, split: Split, count: int) -> None:
    """The turns of a split in its voices."""
    voices = speech.FIT_VOICES if split == "fit" else speech.HELD_OUT_VOICES
    wanted = [(f"{split}-{n}", None, n) for n in range(count)]
    for kind, share in patterns.besides().items():
        wanted += [(f"{split}-{kind}-{n}", kind, n) for n in range(round(count * share))]
    engines = Engines(whisper())
    with tempfile.TemporaryDirectory() as folder:
        booth = speech.Booth(Path(folder))
        for name, kind, number in wanted:
            rng = corpus.rng(name)
            if rng is None:
                continue
            turn = patterns.drawn(split, rng) if kind is None else patterns.drawn_of(kind, split, rng)
            voice = voices[number % len(voices)]
            try:
                heard = booth.say(turn, voice, rng)
            except SynthesisError:
                corpus.left_out += 1
                continue
            await corpus.add(name, split, voice, turn, heard, engines)


async def real(corpus: Corpus, data: Path, count: int) -> None:
    """Numbers by people: to score on, never to fit to."""
    speakers = Speakers(data)
    if not speakers.names:
        raise SystemExit(f"{data} has no recordings named DIGIT_SPEAKER_TAKE.wav for all ten digits")
    engines = Engines(sphinx())
    for number in range(count):
        name = f"real-{number}"
        rng = corpus.rng(name)
        if rng is None:
            continue
        speaker = speakers.names[number % len(speakers.names)]
        turn, heard = speakers.say(speaker, rng)
        await corpus.add(name, "real", speaker, turn, heard, engines)


async def recorded(corpus: Corpus) -> None:
    """The demo callers' lines, with the pauses that their voices make: to score on, never to fit to."""
    engines = Engines(whisper())
    for line in lines.recorded(set()):
        name = f"line-{line['voice']}-{line['name']}"
        rng = corpus.rng(name)
        if rng is None:
            continue
        expects = lines.expected(line["name"])
        turn = Turn(line["name"], (line["text"],), expects.kind, expects.length)
        await corpus.add(name, "lines", line["voice"], turn, speech.recorded(line["wav"]), engines)


async def make(options: argparse.Namespace) -> None:
    corpus = Corpus(options.out / "facts.jsonl", options.seed)
    started = time.process_time()
    await synthetic(corpus, "fit", options.fit)
    await synthetic(corpus, "held_out", options.held_out)
    await recorded(corpus)
    if options.data is not None:
        await real(corpus, options.data, options.real)
    spent = time.process_time() - started
    print(f"{options.out / 'facts.jsonl'}: {corpus.left_out} turns left out, {spent:.0f} s of processor time")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for facts.jsonl")
    parser.add_argument("--fit", type=int, default=560)
    parser.add_argument("--held-out", type=int, default=400)
    parser.add_argument("--data", type=Path, help="folder with recordings of single digits by people")
    parser.add_argument("--real", type=int, default=90)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    asyncio.run(make(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
