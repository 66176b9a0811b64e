"""A turn as the listener would know it: pauses by Silero, words by Whisper, verdicts by smart-turn.

The same engines, the same windows and the same moments as in a call (`voicebot/audio/hearing/`), so that a
fit to these facts is a fit to calls. Only the order is free: nothing waits for anything, times are added when
a score is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from voicebot.audio.engines.smart_turn import SmartTurnEngine
from voicebot.audio.engines.types import Transcriber
from voicebot.audio.hearing import bargein
from voicebot.audio.hearing.listener import TAIL_DB
from voicebot.audio.hearing.vad import WINDOW, WINDOW_MS, level_dbfs, shared_silero
from voicebot.core.conversation import Expects

PAUSE_MS = 128
JUDGED_AT_MS = (128, 256, 512, 900, 1300)
"""Silences at which a listener asks for the words so far, and for smart-turn's verdict."""

PREROLL_MS = 300
KEPT_VOICED = 0.35
JUDGE_BYTES = 2 * 8000 * 8
LATE_MS = 400
"""Voice so long after the end of the speech is noise: such a turn says nothing about turns."""


@dataclass
class Pause:
    """A silence of the caller, inside the turn or behind it.

    Attributes:
        begin_ms: its first moment, by the listener's measure.
        length_ms: None for the one that ends the turn.
        words: what was recognised so far, with everything voiced until here.
        verdicts: (silence at which smart-turn was asked, its probability).
    """

    begin_ms: int
    length_ms: int | None
    words: str = ""
    verdicts: list[tuple[int, float]] = field(default_factory=list)


def pauses(pcm: npt.NDArray[np.int16]) -> tuple[int, list[Pause]]:
    """Where speech begins (ms), and the pauses of ``PAUSE_MS`` or more, as the listener measures them.

    The last has no length. No pause at all: no speech was found.
    """
    vad = shared_silero().voice()
    onset = bargein.Onset(bargein.TURN)
    began: int | None = None
    last, loudest = 0, -100.0
    found: list[Pause] = []
    for at in range(0, pcm.size - WINDOW + 1, WINDOW):
        window = pcm[at : at + WINDOW]
        probability, level = vad.probability(window), level_dbfs(window)
        now_ms = at // 8 + WINDOW_MS
        if began is None:
            if onset.push(probability, level, at // 8):
                began, last, loudest = onset.start_ms, now_ms, onset.loudest_dbfs
            continue
        silence_ms = now_ms - WINDOW_MS - last
        threshold = KEPT_VOICED if silence_ms < PAUSE_MS else bargein.TURN.voiced
        if probability >= threshold and level >= max(bargein.TURN.floor_dbfs, loudest - TAIL_DB):
            loudest = max(loudest, level)
            if silence_ms >= PAUSE_MS:
                found.append(Pause(last, silence_ms))
            last = now_ms
    if began is not None:
        found.append(Pause(last, None))
    return began or 0, found


async def witnesses(
    pcm: npt.NDArray[np.int16],
    began_ms: int,
    found: list[Pause],
    expects: Expects,
    transcriber: Transcriber,
    judge: SmartTurnEngine,
) -> None:
    """Fills in the words and verdicts of the pauses."""
    begin = max(0, began_ms - PREROLL_MS)
    recognition = await transcriber.open("turn", expects, lambda _: None)
    fed = begin
    for pause in found:
        ask_ms = pause.begin_ms + PAUSE_MS
        while fed < ask_ms:
            upto = min(ask_ms, fed + 80)
            recognition.feed(pcm[fed * 8 : upto * 8].tobytes())
            fed = upto
        pause.words = (await recognition.peek()).text
        for silence_ms in JUDGED_AT_MS:
            if pause.length_ms is not None and silence_ms > pause.length_ms:
                break
            upto = (pause.begin_ms + silence_ms) * 8
            if upto > pcm.size:
                break
            heard = pcm[begin * 8 : upto].tobytes()[-JUDGE_BYTES:]
            pause.verdicts.append((silence_ms, round(judge.probability(heard), 4)))
    await recognition.cancel()


def to_json(pause: Pause) -> dict[str, Any]:
    """For the facts file."""
    return {
        "begin_ms": pause.begin_ms,
        "length_ms": pause.length_ms,
        "words": pause.words,
        "verdicts": [list(v) for v in pause.verdicts],
    }
