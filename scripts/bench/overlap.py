"""Sounds over the bot: how soon it falls silent, what it takes them for, and whether it goes on.

    .venv/bin/python -m scripts.bench.overlap [--stt sphinx] [--voice rms] [--each] [--json] [--out FILE]

In virtual time, with the real parts from the caller's sound to the caller's ear: Silero, the listener, the
demo Whisper (each decode made to take ``DECODE_MS``), the speaker, and a phone line that plays and clears as
Twilio does, ``ONE_WAY_MS`` away. The caller says a line, the bot answers with a text of 10 s; 2 s into it, at
several phases of the windows, the caller's line carries one sound. Rules were tuned on the voices
``TUNED_ON`` and the noises of even seeds; the last column leaves these out.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import yaml

from scripts.bench import report
from voicebot.audio import mulaw
from voicebot.audio.engines.sphinx import SphinxDecoding, SphinxEngine
from voicebot.audio.engines.types import Recognition, SpeechChunk, SpokenWord, Transcriber, Transcript
from voicebot.audio.engines.whisper.model import WhisperModel
from voicebot.audio.engines.whisper.transcriber import WhisperTranscriber
from voicebot.audio.hearing.events import (
    HearingEvent,
    OverlapEnded,
    OverlapStarted,
    PartialHeard,
    TurnEnded,
    Unheard,
)
from voicebot.audio.hearing.listener import Listener
from voicebot.audio.hearing.vad import shared_silero
from voicebot.audio.speaking.events import FirstAudioSent, SpeakingEnded, SpeakingEvent
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.audio.speaking.speaker import Speaker
from voicebot.core.conversation import Clause, Expects
from voicebot.proof.simulation import sounds
from voicebot.proof.simulation.clips import read_wav

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the clock that jumps and the line that plays live there

from sound_fakes import Ear, FakeJudge  # noqa: E402
from virtual_time import run  # noqa: E402

LINES = ROOT / "recordings" / "lines"
PHRASES = ROOT / "business" / "phrases.yaml"
VOICES = ("rms", "awb", "slt", "kal16", "en-us")
TUNED_ON = ("rms", "awb")
ONE_WAY_MS = 20
DECODE_MS = 60
ASKS, ASKS_AT_MS, THINKS_MS = "person", 500, 1500
AT_MS = 2000
PHASES_MS = (0, 7, 13, 22)
LASTS_MS = 7000
ECHO_MS, ECHO_DB = 180, -20.0
FLOOR_DBFS = -62.0
HEARD_DBFS = -45.0
"""A sound begins with the first 10 ms louder than this."""

BACKCHANNELS = ("uh_huh", "mm_hm", "yeah", "okay", "right", "i_see")
INTERRUPTIONS = (
    "interrupt_stop", "interrupt_returns", "interrupt_delivery", "hold_on", "excuse_me", "deny",
    "shipping", "where_is_order", "person", "returns", "opening_hours",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One sound over the bot. ``question``: it asked for a yes or no; ``echo``: its line returns it."""

    kind: str
    name: str
    voice: str
    pcm: sounds.Pcm = field(repr=False)
    phase_ms: int = 0
    question: bool = False
    echo: bool = False


@dataclass
class Outcome:
    """What came of it; times in ms from the first audible sample of the sound (None: did not happen)."""

    kind: str
    name: str
    voice: str
    echo: bool
    paused_ms: float | None = None
    silent_ms: float | None = None
    decided_after_ms: int | None = None
    verdicts: tuple[str, ...] = ()
    why: str = ""
    turns: int = 0
    pauses: int = 0
    went_on: bool = True
    hush_ms: float = 0.0
    words: str = ""


def clip(voice: str, name: str) -> sounds.Pcm:
    return mulaw.decode(read_wav((LINES / voice / f"{name}.wav").read_bytes()))


def cases(voices: list[str]) -> Iterator[Case]:
    """Every sound at every phase; with echo at one of them."""
    listed = {(e["voice"], e["name"]) for e in yaml.safe_load((LINES / "lines.yaml").read_text())}
    spoken = [("backchannel", n) for n in BACKCHANNELS] + [("interruption", n) for n in INTERRUPTIONS]
    for voice in voices:
        for kind, name in spoken:
            if (voice, name) in listed:
                for phase in PHASES_MS[:2]:
                    yield Case(kind, name, voice, clip(voice, name), phase)
                yield Case(kind, name, voice, clip(voice, name), PHASES_MS[2], echo=True)
        for name in BACKCHANNELS:
            if (voice, name) in listed:
                yield Case("answer", name, voice, clip(voice, name), question=True)
    for name, pcm in noises(voices):
        for phase in PHASES_MS[:2]:
            yield Case("noise", name, "-", pcm, phase)
    for phase in PHASES_MS:
        yield Case("echo", "nobody speaks", "-", np.zeros(8, np.int16), phase, echo=True)


def noises(voices: list[str]) -> Iterator[tuple[str, sounds.Pcm]]:
    """What a line carries beside its caller."""
    yield "recorded cough 0", clip("noise", "cough")
    yield "recorded knock 1", clip("noise", "knock")
    talk = [clip(v, n) for v in voices for n in ("returns", "opening_hours", "person")]
    for seed in range(6):
        yield f"cough {seed}", sounds.cough(seed=seed)
        yield f"door {seed}", sounds.door_slam(seed=seed)
        yield f"television {seed}", sounds.babble(talk, 4000, voices=4, level_dbfs=-34, seed=seed)
        if seed < 2:
            yield f"key clicks {seed}", sounds.key_clicks(3000, seed=seed)
            yield f"mains hum {seed}", sounds.mains_hum(4000, seed=seed)
            yield f"hiss {seed}", sounds.white_noise(4000, level_dbfs=-38, seed=seed)
            yield f"hold music {seed}", sounds.hold_music(4000, level_dbfs=-34, seed=seed)


def tuned_on(found: Outcome) -> bool:
    """Whether the rules were fitted with it."""
    return found.voice in TUNED_ON or (found.kind == "noise" and int(found.name[-1]) % 2 == 0)


class Bot:
    """A ``Speech`` that says 10 s of recorded sound, one word every 300 ms."""

    voice_id = "bench/1"

    def __init__(self) -> None:
        parts = [
            clip("slt", name) for name in ("warranty", "where_is_order_b", "interrupt_delivery", "person_b")
        ]
        self.pcm = np.resize(sounds.at_level(np.concatenate(parts), -16), 80_000)

    async def say(self, call: str, text: str, rate_hz: int = 8000) -> AsyncIterator[SpeechChunk]:
        """See ``Speech.say``; the same whatever the text."""
        for at in range(0, len(self.pcm), 800):
            word = (SpokenWord("word", at // 8, at // 8 + 300),) if at % 2400 == 0 else ()
            yield SpeechChunk(self.pcm[at : at + 800].tobytes(), word)
            await asyncio.sleep(0.005)


class SlowEars:
    """A transcriber whose words come ``DECODE_MS`` later: virtual time sees no work."""

    def __init__(self) -> None:
        self._model = WhisperModel(ROOT / "models" / "demo-whisper", device="cpu")

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> Recognition:
        """See ``Transcriber.open``."""
        loop = asyncio.get_running_loop()

        def later(transcript: Transcript) -> None:
            loop.call_later(DECODE_MS / 1000, on_partial, transcript)

        transcriber = WhisperTranscriber(self._model, None, audio_clock=True)
        return _Slow(await transcriber.open(call, expects, later))


class SphinxEars:
    """PocketSphinx with the deployment's phrases, in this process; it decodes while it is fed."""

    def __init__(self) -> None:
        self._engine = SphinxEngine(PHRASES)

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> Recognition:
        """See ``Transcriber.open``."""
        return _Sphinx(self._engine.open(expects), on_partial)


class _Sphinx:
    def __init__(self, decoding: SphinxDecoding, on_partial: Callable[[Transcript], None]) -> None:
        self._decoding: SphinxDecoding | None = decoding
        self._on_partial = on_partial

    def feed(self, pcm16_8k: bytes) -> None:
        transcript = None if self._decoding is None else self._decoding.feed(pcm16_8k)
        if transcript is not None:
            asyncio.get_running_loop().call_soon(self._on_partial, transcript)

    async def peek(self) -> Transcript:
        return Transcript("", final=False) if self._decoding is None else self._decoding.peek()

    async def finish(self) -> Transcript:
        assert self._decoding is not None
        transcript = self._decoding.finish()
        await self.cancel()
        return transcript

    async def cancel(self) -> None:
        decoding, self._decoding = self._decoding, None
        if decoding is not None:
            decoding.close()


class _Slow:
    def __init__(self, inner: Recognition) -> None:
        self._inner = inner
        self.feed = inner.feed
        self.cancel = inner.cancel

    async def peek(self) -> Transcript:
        transcript = await self._inner.peek()
        await asyncio.sleep(DECODE_MS / 1000)
        return transcript

    async def finish(self) -> Transcript:
        return await self._inner.finish()


async def call(case: Case, ears: Transcriber, bot: Bot) -> Outcome:
    """One answer with one sound over it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    ear = Ear(ONE_WAY_MS / 1000)
    told: list[tuple[float, HearingEvent]] = []
    work: set[asyncio.Task[Any]] = set()

    def do(coroutine: Any) -> None:
        task = loop.create_task(coroutine)
        work.add(task)
        task.add_done_callback(work.discard)

    def heard(event: HearingEvent) -> None:
        if answer is None:
            return  # of what was asked before
        told.append(((loop.time() - began) * 1000, event))
        if isinstance(event, OverlapStarted):
            do(speaker.pause())
        elif isinstance(event, OverlapEnded):
            if event.verdict == "interruption":
                do(speaker.cut())
            else:
                speaker.resume()
        elif isinstance(event, TurnEnded | Unheard):
            do(speaker.cut())

    def spoke(event: SpeakingEvent) -> None:
        if isinstance(event, FirstAudioSent):
            listener.bot_speaks(True)
            listener.bot_asks(case.question)
        elif isinstance(event, SpeakingEnded):
            listener.bot_speaks(False)

    listener = Listener(
        "call",
        vad=shared_silero().voice(),
        transcriber=ears,
        judge=FakeJudge(),
        emit=heard,
        clock=loop.time,
        silence_s=60.0,
    )
    speaker = Speaker(
        "call",
        speech=bot,
        phrases=PhraseCache(None),
        wire=ear,
        emit=spoke,
        clock=loop.time,
        media_clock=listener.media_clock,
        on_bot_sent=listener.bot_sent,
    )
    ear.on_mark = speaker.mark_returned

    async def clauses() -> AsyncIterator[Clause]:
        yield Clause(text="word " * 34)

    answer: asyncio.Task[Any] | None = None
    rng = np.random.default_rng(case.phase_ms)
    line = rng.normal(0, 32768 * 10 ** (FLOOR_DBFS / 20), 4 * LASTS_MS * 8)
    asked = clip(case.voice if case.voice != "-" else TUNED_ON[0], ASKS)
    line[ASKS_AT_MS * 8 : ASKS_AT_MS * 8 + len(asked)] += asked
    answers_ms = (ASKS_AT_MS + len(asked) // 8 + THINKS_MS) // 20 * 20
    starts_ms = answers_ms + AT_MS + case.phase_ms
    line[starts_ms * 8 : starts_ms * 8 + len(case.pcm)] += case.pcm
    for at_ms in range(0, answers_ms + LASTS_MS, 20):
        await asyncio.sleep(began + (at_ms + 20) / 1000 - loop.time())
        if at_ms == answers_ms:
            answer = loop.create_task(speaker.say(1, clauses()))
        frame = line[at_ms * 8 : at_ms * 8 + 160]
        if case.echo:
            frame = frame + came_back(ear, began + at_ms / 1000)
        ulaw = mulaw.encode(np.clip(frame, -32768, 32767).astype(np.int16))
        loop.call_later(ONE_WAY_MS / 1000, listener.feed, ulaw, at_ms)
    await asyncio.sleep(0.5)
    await speaker.cut()
    assert answer is not None
    await answer
    await listener.close()
    await ear.close()
    return outcome(case, told, ear, began, starts_ms, answers_ms + LASTS_MS)


def came_back(ear: Ear, at_s: float) -> np.ndarray:
    """The 20 ms of echo that reach the microphone at this moment."""
    track = np.zeros(160)
    first = at_s - ECHO_MS / 1000
    for began, ulaw in ear.heard[-6:]:
        offset = round((began - first) * 8000)
        pcm = mulaw.decode(ulaw).astype(np.float64)
        low, high = max(0, offset), min(160, offset + len(pcm))
        if low < high:
            track[low:high] = pcm[low - offset : high - offset]
    return track * 10 ** (ECHO_DB / 20)


def outcome(
    case: Case,
    told: list[tuple[float, HearingEvent]],
    ear: Ear,
    began: float,
    starts_ms: int,
    ends_ms: int,
) -> Outcome:
    """What was heard at the caller's end."""
    first_ms = starts_ms + audible_ms(case.pcm)
    pauses = [at for at, event in told if isinstance(event, OverlapStarted)]
    ended = [event for _, event in told if isinstance(event, OverlapEnded)]
    result = Outcome(case.kind, case.name, case.voice, case.echo)
    result.pauses = len(pauses)
    result.turns = sum(isinstance(event, TurnEnded | Unheard) for _, event in told)
    result.words = " / ".join(words_of(event) for _, event in told if words_of(event))
    result.verdicts = tuple(event.verdict for event in ended)
    played = [((at - began) * 1000, (at - began) * 1000 + len(u) / 8) for at, u in ear.heard if u]
    holes = [(a[1], b[0] - a[1]) for a, b in pairwise(played) if b[0] - a[1] > 30]
    result.hush_ms = max((hole for _, hole in holes), default=0.0)
    result.went_on = played[-1][1] > ends_ms - 300
    if pauses:
        result.paused_ms = pauses[0] - first_ms
        stops = [at for at, _ in holes if at > pauses[0] - 200] or [played[-1][1]]
        result.silent_ms = stops[0] - first_ms
    if ended:
        result.decided_after_ms, result.why = ended[0].decided_after_ms, ended[0].why
    return result


def words_of(event: HearingEvent) -> str:
    """What the recogniser made of it."""
    if isinstance(event, TurnEnded):
        return event.utterance.text.upper()
    return event.text if isinstance(event, PartialHeard) else ""


def audible_ms(pcm: sounds.Pcm) -> float:
    """From the start of a clip to the first 10 ms that can be heard."""
    for at in range(0, max(1, len(pcm) - 80), 40):
        if np.sqrt(np.mean((pcm[at : at + 80] / 32768.0) ** 2)) > 10 ** (HEARD_DBFS / 20):
            return at / 8
    return 0.0


def right(outcome: Outcome) -> bool:
    """Whether the bot did what a person would have done."""
    if outcome.kind in {"interruption", "answer"}:
        return not outcome.went_on and (outcome.turns > 0 or outcome.verdicts[-1:] == ("interruption",))
    return outcome.went_on and outcome.turns == 0


def summary(found: list[Outcome]) -> dict[str, Any]:
    """Shares and quantiles of a set of outcomes."""
    onset = [o.paused_ms for o in found if o.kind in {"interruption", "answer"} and o.paused_ms is not None]
    silent = [o.silent_ms for o in found if o.kind in {"interruption", "answer"} and o.silent_ms is not None]
    decided = [float(o.decided_after_ms) for o in found if o.decided_after_ms is not None]
    result: dict[str, Any] = {
        "onset_p50": report.quantile(onset, 0.5),
        "onset_p95": report.quantile(onset, 0.95),
        "silence_p50": report.quantile(silent, 0.5),
        "silence_p95": report.quantile(silent, 0.95),
        "decided_p50": report.quantile(decided, 0.5),
        "decided_p95": report.quantile(decided, 0.95),
        "longest_hush": max((o.hush_ms for o in found if o.went_on), default=None),
    }
    for kind in ("interruption", "answer", "backchannel", "noise", "echo"):
        some = [o for o in found if o.kind == kind]
        if some:
            result[f"{kind}_right"] = sum(map(right, some)) / len(some)
            result[f"{kind}_n"] = len(some)
            result[f"{kind}_paused"] = sum(o.pauses > 0 for o in some) / len(some)
    return result


HEAD = ["sounds over the bot", "all", "rules fitted on", "not fitted on"]
ROWS = [
    ("sound to pause, p50, ms", "onset_p50", 0),
    ("the same, p95", "onset_p95", 0),
    ("sound to silence at the ear, p50, ms", "silence_p50", 0),
    ("the same, p95", "silence_p95", 0),
    ("pause to decision, p50, ms", "decided_p50", 0),
    ("the same, p95", "decided_p95", 0),
    ("interruptions that got the turn", "interruption_right", 3),
    ("of", "interruption_n", 0),
    ("backchannels as answers to a question that got the turn", "answer_right", 3),
    ("of", "answer_n", 0),
    ("backchannels over which the bot went on", "backchannel_right", 3),
    ("of", "backchannel_n", 0),
    ("of these it paused first (false pauses)", "backchannel_paused", 3),
    ("noises over which it went on", "noise_right", 3),
    ("of", "noise_n", 0),
    ("of these it paused first (false pauses)", "noise_paused", 3),
    ("its own echo at -20 dB over which it went on", "echo_right", 3),
    ("of these it paused first", "echo_paused", 3),
    ("longest silence before it went on, ms", "longest_hush", 0),
]


def measure(
    stt: str = "whisper", voices: Sequence[str] = VOICES, kinds: Sequence[str] = (), *, each: bool = False
) -> dict[str, Any]:
    """Every case through one recogniser; ``each``: print those that went wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    bot, ears = Bot(), SphinxEars() if stt == "sphinx" else SlowEars()
    found: list[Outcome] = []
    for case in cases(list(voices)):
        if not kinds or case.kind in kinds:
            found.append(run(call(case, ears, bot)))
            if each and not right(found[-1]):
                print(found[-1], file=sys.stderr, flush=True)
    parts = {
        "all": found,
        "fitted": [o for o in found if tuned_on(o)],
        "other": [o for o in found if not tuned_on(o)],
    }
    verdicts = Counter(" ".join((o.kind, *o.verdicts)) for o in found)
    columns = {name: summary(some) for name, some in parts.items()}
    return {"stt": stt, "columns": columns, "verdicts": verdicts, "outcomes": [asdict(o) for o in found]}


def rows(result: dict[str, Any]) -> list[list[str]]:
    """For ``HEAD``."""
    columns = result["columns"].values()
    return [[label, *(report.show(c.get(key), digits) for c in columns)] for label, key, digits in ROWS]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stt", choices=["whisper", "sphinx"], default="whisper")
    parser.add_argument("--voice", action="append", help="default: all")
    parser.add_argument("--kind", action="append", help="only these kinds of sounds")
    parser.add_argument("--each", action="store_true", help="print every case that went wrong")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = measure(options.stt, options.voice or VOICES, options.kind or (), each=options.each)
    if not options.json:
        report.print_table(f"Sounds over the bot, {options.stt}", HEAD, rows(result))
    report.finish(result, as_json=options.json, out=options.out)


if __name__ == "__main__":
    main()
