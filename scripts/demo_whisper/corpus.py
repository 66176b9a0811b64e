"""The corpus on disk: clean synthetic speech, made once and read by training and scoring."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import numpy as np

from . import grammar, voices
from .voices import RATE, Spoken, SynthesisError, Voices

FESTIVAL_BATCH = 100


def synthesise(
    wanted: list[tuple[grammar.Sentence, str]], workdir: Path, rng: random.Random | None
) -> list[Spoken]:
    """Speaks (sentence, voice) pairs. Sentences a program cannot speak are left out and counted."""
    speaker = Voices(workdir / "waves")
    spoken: list[Spoken] = []
    failed = 0
    started = time.monotonic()
    by_festival: dict[str, list[grammar.Sentence]] = {}
    for number, (sentence, voice) in enumerate(wanted):
        program, _, name = voice.partition(":")
        if program == "festival":
            by_festival.setdefault(name, []).append(sentence)
            continue
        try:
            spoken.append(speaker.say(sentence, voice, rng))
        except SynthesisError:
            failed += 1
        if number % 1000 == 0:
            print(f"  {number} of {len(wanted)} sentences, {time.monotonic() - started:.0f} s", flush=True)
    for name, sentences in by_festival.items():
        for at in range(0, len(sentences), FESTIVAL_BATCH):
            spoken += speaker.say_all(sentences[at : at + FESTIVAL_BATCH], name, rng)
    print(f"  {len(spoken)} clips, {failed} failed, {time.monotonic() - started:.0f} s", flush=True)
    return spoken


def save(spoken: list[Spoken], path: Path) -> None:
    """int16 samples in one array, everything else as JSON beside it."""
    entries = []
    pieces = []
    for clip in spoken:
        peak = max(1e-6, float(np.abs(clip.pcm).max()))
        pieces.append((clip.pcm / peak * 30000).astype(np.int16))
        entries.append(
            {
                "text": clip.text,
                "voice": clip.voice,
                "samples": len(clip.pcm),
                "word_ends": [round(end, 3) for end in clip.word_ends],
                "phones": clip.phones,
                "phone_ends": [round(end, 3) for end in clip.phone_ends],
            }
        )
    np.save(path.with_suffix(".npy"), np.concatenate(pieces))
    path.with_suffix(".json").write_text(json.dumps(entries))


def load(path: Path) -> list[Spoken]:
    """The clips as they were saved, at full scale."""
    samples = np.load(path.with_suffix(".npy"))
    clips: list[Spoken] = []
    at = 0
    for entry in json.loads(path.with_suffix(".json").read_text()):
        pcm = samples[at : at + entry["samples"]].astype(np.float32) / 32768
        at += entry["samples"]
        clips.append(
            Spoken(
                entry["text"],
                entry["voice"],
                pcm,
                tuple(entry["word_ends"]),
                tuple(entry["phones"]),
                tuple(entry["phone_ends"]),
            )
        )
    return clips


def make(shop: grammar.Grammar, count: int, workdir: Path, seed: int) -> None:
    """Writes the training clips and every set for choosing and scoring into `workdir`."""
    rng = random.Random(seed)
    workdir.mkdir(parents=True, exist_ok=True)
    names, shares = zip(*voices.TRAINING.items(), strict=True)

    seen: dict[str, int] = {}
    wanted: list[tuple[grammar.Sentence, str]] = []
    while len(wanted) < count:
        sentence = shop.training_sentence(rng)
        words = len(sentence.text.split())
        if seen.get(sentence.text, 0) >= (40 if words == 1 else 12 if words == 2 else 3):
            continue
        seen[sentence.text] = seen.get(sentence.text, 0) + 1
        wanted.append((sentence, rng.choices(names, shares)[0]))

    # Held out by template, in trained and in unseen voices; and digits never heard in training.
    testing = {"template": held_out_sentences(shop.scoring, 60, seen, shop, seed + 1)}
    testing["digits"] = unseen_digits(40, seen, seed + 2)
    testing["unseen"] = held_out_sentences(shop.training, 60, seen, shop, seed + 4)
    trained = ("flite:slt", "flite:awb", "flite:rms", "flite:kal16", "espeak:en-us")
    sets = {
        "scoring": [(s, v) for v in trained + voices.HELD_OUT for s in testing["template"]],
        "unseen": [(s, v) for v in trained + voices.HELD_OUT for s in testing["unseen"]],
        "digits": [(s, v) for v in (*trained, voices.HELD_OUT[0]) for s in testing["digits"]],
        "choosing": [
            (s, v)
            for i, s in enumerate(held_out_sentences(shop.choosing, 60, seen, shop, seed + 3))
            for v in (trained[i % len(trained)], voices.HELD_OUT[i % 2])
        ],
        "other": [
            (grammar.Sentence(text, text), trained[i % len(trained)])
            for i, text in enumerate(grammar.OTHER_ENGLISH)
        ],
    }
    for name, pairs in sets.items():
        save(synthesise(pairs, workdir, None), workdir / name)
    save(synthesise(wanted, workdir, rng), workdir / "training")


def held_out_sentences(
    patterns: tuple[str, ...], count: int, trained: dict[str, int], shop: grammar.Grammar, seed: int
) -> list[grammar.Sentence]:
    """Sentences of three words or more from the patterns, in random order, none in the training texts."""
    rng = random.Random(seed)
    shuffled = rng.sample(patterns, len(patterns))
    found: dict[str, grammar.Sentence] = {}
    for attempt in range(count * 50):
        sentence = shop.from_pattern(shuffled[attempt % len(shuffled)], rng)
        if len(sentence.text.split()) >= 3 and sentence.text not in trained:
            found.setdefault(sentence.text, sentence)
        if len(found) == count:
            break
    return list(found.values())


def unseen_digits(count: int, trained: dict[str, int], seed: int) -> list[grammar.Sentence]:
    """Digit strings of four to six digits that no training text consists of."""
    rng = random.Random(seed)
    found: dict[str, grammar.Sentence] = {}
    while len(found) < count:
        text = grammar.digit_string(rng)
        if text not in trained:
            found.setdefault(text, grammar.Sentence(text, text))
    return list(found.values())


def seconds(clips: list[Spoken]) -> float:
    """Speech in all the clips together."""
    return sum(len(clip.pcm) for clip in clips) / RATE
