"""Which figures the card gives: the confidence scale chosen on a set of its own, then everything else."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import corpus, voices
from .export import export, scaled
from .network import Whisper
from .scoring import (
    Ear,
    Heard,
    below,
    by_voice,
    caller_lines,
    heard_audio,
    middle,
    noises,
    seconds_per_clip,
    wer,
)
from .telephone import Line
from .voices import Spoken

SCALES = (1.0, 0.9, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45)
THRESHOLD = -1.0  # Whisper's usual bound on avg_logprob
ENOUGH = 20  # right sentences to choose a scale by
KEPT = 98.0  # percent of rightly heard sentences that must stay above it


def choose_scale(model: Whisper, tokens: Path, work: Path) -> tuple[float, dict[str, list[float]]]:
    """The scale at which the usual threshold parts right from foreign best, on clips used for nothing else.

    Returns:
        The scale (1.0 and nothing tried when too little is heard right to tell), and scale -> [percent
        of right sentences above the threshold, percent of other English below it].
    """
    good = corpus.load(work / "choosing")
    other = corpus.load(work / "other")[::2]
    tried: dict[str, list[float]] = {}
    for scale in SCALES:
        folder = work / "scale"
        export(scaled(model, scale), tokens, folder)
        ear = Ear(folder)
        heard = [(clip.text, ear.short(heard_audio(clip, seed=1))) for clip in good]
        right = [found.logprob for text, found in heard if found.text == text]
        if len(right) < ENOUGH:
            return 1.0, {}
        foreign = [ear.short(heard_audio(clip, seed=1)).logprob for clip in other]
        tried[str(scale)] = [round(100 - below(right, THRESHOLD), 1), round(below(foreign, THRESHOLD), 1)]
    allowed = {scale: both for scale, both in tried.items() if both[0] >= KEPT} or tried
    # The most foreign speech caught; of equals the mildest.
    return max((both[1], float(scale)) for scale, both in allowed.items())[1], tried


def measure(model: Path, float_model: Path, work: Path, lines: Path) -> dict[str, Any]:
    """Everything the card tells, as plain numbers."""
    started = time.monotonic()
    ear = Ear(model)
    scoring = corpus.load(work / "scoring")
    trained = [clip for clip in scoring if clip.voice not in voices.HELD_OUT]
    result: dict[str, Any] = {}

    short = by_voice(scoring, ear.short)
    result["template"] = _table(short)
    few = set([clip.text for clip in scoring if clip.voice == scoring[0].voice][::4])
    some = [clip for clip in scoring if clip.text in few]  # 30 s windows take ten times as long
    result["template stock"] = _table(by_voice(some, ear.stock))
    result["template float32"] = _table(by_voice(scoring, Ear(float_model, "float32").short))
    result["unseen"] = _table(by_voice(corpus.load(work / "unseen"), ear.short))
    digits = by_voice(corpus.load(work / "digits"), ear.short)
    result["digits"] = _table(digits)
    result["lines"] = {}
    for voice, text, audio in caller_lines(lines):
        result["lines"].setdefault(voice, []).append((text, ear.short(audio).text))
    result["lines missed"] = [
        (voice, text, heard)
        for voice, pairs in result["lines"].items()
        for text, heard in pairs
        if text.replace("mm hm", "").split() != heard.replace("mm hm", "").split()
    ]
    result["lines"] = {voice: [len(pairs), wer(pairs)] for voice, pairs in result["lines"].items()}
    print(f"  words done, {time.monotonic() - started:.0f} s", flush=True)

    some = trained[::3]
    result["noise"] = {}
    for kind in ("pink", "white"):
        for snr in (30.0, 20.0, 15.0, 10.0, 5.0, 0.0):
            audio = [(clip.text, heard_audio(clip, Line(snr_db=snr, noise=kind), seed=2)) for clip in some]
            result["noise"][f"{kind} {snr:.0f}"] = wer((text, ear.short(one).text) for text, one in audio)

    right = [found for pairs in short.values() for text, found in pairs if found.text == text]
    wrong = [found for pairs in short.values() for text, found in pairs if found.text != text]
    other = [ear.short(heard_audio(clip)) for clip in corpus.load(work / "other")[1::2]]
    backwards = [ear.short(heard_audio(clip)[::-1].copy()) for clip in trained[::8]]
    silent = noises(80, 5)
    quiet = [ear.short(audio) for audio in silent]
    result["confidence"] = {
        "heard right": _confidence(right),
        "heard wrong": _confidence(wrong),
        "other English": _confidence(other),
        "speech backwards": _confidence(backwards),
        "noise, silence": _confidence(quiet),
    }
    gates = {"no_speech_threshold": 0.6, "log_prob_threshold": THRESHOLD}  # faster-whisper's own
    result["noise with text"] = sum(bool(ear.stock(audio, **gates).text) for audio in silent[:40])
    result["noise with text short"] = sum(bool(found.text) for found in quiet)

    result["streaming"] = _streaming(ear, trained)
    result["seconds"] = {
        "3 s clip, stock window": seconds_per_clip(ear.stock),
        "3 s clip, short window": seconds_per_clip(ear.short),
    }
    result["examples"] = [
        (voice, text, found.text)
        for voice, pairs in short.items()
        for text, found in pairs
        if found.text != text
    ][::6][:14]
    print(f"  all done, {time.monotonic() - started:.0f} s", flush=True)
    return result


def _table(found: dict[str, list[tuple[str, Heard]]]) -> dict[str, list[float]]:
    """Voice -> [clips, WER, percent exact]."""
    return {
        voice: [
            len(pairs),
            wer((text, heard.text) for text, heard in pairs),
            100 * sum(heard.text == text for text, heard in pairs) / len(pairs),
        ]
        for voice, pairs in found.items()
    }


def _confidence(found: list[Heard]) -> list[float]:
    """[clips, median logprob, percent below the threshold, median no_speech]."""
    logprobs = [one.logprob for one in found]
    return [len(found), middle(logprobs), below(logprobs, THRESHOLD), middle(one.no_speech for one in found)]


def _streaming(ear: Ear, clips: list[Spoken]) -> dict[str, float]:
    """What a streaming engine does with the model, over one in four clips."""
    rng = random.Random(11)
    partials = agreeing = 0
    forced: list[tuple[str, str]] = []
    cut: list[tuple[str, str]] = []
    joined: list[tuple[str, str]] = []
    for clip in clips[::4]:
        audio = heard_audio(clip, seed=3)
        words = clip.text.split()
        final = ear.short(audio).text.split()
        for seconds in np.arange(0.8, len(audio) / 16000 - 0.3, 0.4):
            heard = ear.short(audio[: int(seconds * 16000)], margin=10).text.split()
            partials += 1
            agreeing += heard[:-1] == final[: max(0, len(heard) - 1)]
        prefix = " ".join(words[: rng.randint(1, len(words) - 1)])
        forced.append((clip.text, ear.short(audio, prefix).text))
        kept = rng.randint(0, len(words) - 2)
        at = clip.word_ends[kept]
        rest = Spoken(clip.text, clip.voice, clip.pcm[int(at * 8000) :], (), (), ())
        cut.append((" ".join(words[kept + 1 :]), ear.short(heard_audio(rest, Line(lead_s=0.02), 4)).text))
        second = rng.choice([one for one in clips if one.voice == clip.voice])
        pause = np.zeros(int(rng.uniform(0.2, 0.8) * 8000), np.float32)
        both = Spoken("", clip.voice, np.concatenate([clip.pcm, pause, second.pcm]), (), (), ())
        if len(both.pcm) < 9 * 8000:
            joined.append((f"{clip.text} {second.text}", ear.short(heard_audio(both, seed=5)).text))
    return {
        "partials whose words but the last stay": 100 * agreeing / max(1, partials),
        "WER with a forced prefix": wer(forced),
        "WER when the beginning was dropped": wer(cut),
        "WER of two utterances joined": wer(joined),
    }
