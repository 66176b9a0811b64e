"""What a call sounded like, measured on its two-channel recording: latency, barge-in, gaps, levels.

Pure numpy. All times are ms on the recording's clock, with an error of at most 10 ms where a sound begins or
ends clearly; a soft beginning (a breath, an "f") is found when it reaches ``threshold``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

RATE_HZ = 8000
_BLOCK = 8  # samples: 1 ms
THRESHOLD = 400
"""Peak of a 1 ms block that counts as sound; of 32767, i.e. -38 dBFS."""
_OVER_FLOOR = 5.0
"""With noise on the line: so often the peak of its quieter blocks, which noise itself hardly reaches."""
JOIN_CALLER_MS = 700
"""Pauses inside what the caller says in one go (read-out numbers have long ones)."""
JOIN_BOT_MS = 500
"""Pauses inside one go of the bot."""


@dataclass(frozen=True)
class Span:
    """Sound from ``start_ms`` up to ``end_ms``."""

    start_ms: float
    end_ms: float

    @property
    def length_ms(self) -> float:
        """How long."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True)
class Reply:
    """The caller said something (or pressed keys), and what they heard next.

    ``latency_ms``: end of the caller's speech to the first sound of the bot; negative when the bot began
    before the caller was done (a false end of turn); None when nothing came before the caller's next words.
    """

    caller: Span
    bot_ms: float | None
    latency_ms: float | None
    keys: bool = False


@dataclass(frozen=True)
class BargeIn:
    """The caller spoke into the bot's speech. ``silence_ms``: None when the bot never fell silent."""

    onset_ms: float
    silence_ms: float | None
    took_ms: float | None


@dataclass(frozen=True)
class Level:
    """Loudness of the sounding parts of a channel, dB relative to full scale; None: no sound."""

    rms_dbfs: float | None
    peak_dbfs: float | None


@dataclass(frozen=True)
class Analysis:
    """All of it."""

    caller: tuple[Span, ...]
    bot: tuple[Span, ...]
    replies: tuple[Reply, ...]
    barge_ins: tuple[BargeIn, ...]
    gaps: tuple[Span, ...]
    """Silences inside the bot's speech: pauses of its voice, or audio that came too late."""
    caller_level: Level
    bot_level: Level

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    def latencies_ms(self, until_ms: float = float("inf")) -> list[float]:
        """Of all spoken turns before that time that were answered after the caller was done."""
        return [ms for ms in self._spoken_ms(until_ms) if ms >= 0]

    def cut_ins_ms(self) -> list[float]:
        """False ends of turn: how long before the caller was done the bot began (positive)."""
        return [-ms for ms in self._spoken_ms() if ms < 0]

    def _spoken_ms(self, until_ms: float = float("inf")) -> list[float]:
        spoken = [r for r in self.replies if not r.keys and r.caller.end_ms < until_ms]
        return [r.latency_ms for r in spoken if r.latency_ms is not None]


def dead_air(
    samples: npt.NDArray[np.int16], *, longer_than_ms: float, threshold: int = THRESHOLD
) -> list[Span]:
    """Where a party neither said nor heard anything for longer than that.

    ``samples`` has shape ``[n, 2]``: column 0 what they said, column 1 what they heard.
    """
    length_ms = len(samples) / (RATE_HZ / 1000)
    sounds = sorted(
        (s for column in (0, 1) for s in spans(samples[:, column], join_ms=0, threshold=threshold)),
        key=lambda s: s.start_ms,
    )
    silences: list[Span] = []
    quiet_since = 0.0
    for sound in [*sounds, Span(length_ms, length_ms)]:
        if sound.start_ms - quiet_since > longer_than_ms:
            silences.append(Span(quiet_since, sound.start_ms))
        quiet_since = max(quiet_since, sound.end_ms)
    return silences


def threshold_over(pcm: npt.NDArray[np.int16]) -> int:
    """THRESHOLD, or on a noisy line what is clearly louder than the quietest tenth of it."""
    if len(pcm) < _BLOCK:
        return THRESHOLD
    return max(THRESHOLD, int(_OVER_FLOOR * np.quantile(_peaks(pcm), 0.1)))


def spans(
    pcm: npt.NDArray[np.int16], *, join_ms: float, threshold: int = THRESHOLD, min_ms: float = 30.0
) -> list[Span]:
    """Where there is sound: stretches above ``threshold`` with pauses of up to ``join_ms`` filled.

    Stretches shorter than ``min_ms`` (clicks) do not count.
    """
    if len(pcm) < _BLOCK:
        return []
    peaks = _peaks(pcm)
    active = np.flatnonzero(peaks > threshold)
    if active.size == 0:
        return []
    # clicks are dropped before pauses are filled, or they would bridge them
    pieces = [s for s in _runs(active, 30) if s.length_ms >= min_ms]
    joined: list[Span] = []
    for piece in pieces:
        if joined and piece.start_ms - joined[-1].end_ms <= join_ms:
            joined[-1] = Span(joined[-1].start_ms, piece.end_ms)
        else:
            joined.append(piece)
    return joined


def _peaks(pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.int32]:
    blocks = len(pcm) // _BLOCK
    return np.abs(pcm[: blocks * _BLOCK].astype(np.int32)).reshape(blocks, _BLOCK).max(axis=1)


def _runs(active: npt.NDArray[np.intp], join_ms: int) -> list[Span]:
    breaks = np.flatnonzero(np.diff(active) > join_ms)
    starts = np.concatenate(([0], breaks + 1))
    ends = np.concatenate((breaks, [active.size - 1]))
    return [Span(float(active[a]), float(active[b] + 1)) for a, b in zip(starts, ends, strict=True)]


def analyse(
    samples: npt.NDArray[np.int16], *, keys_ms: tuple[float, ...] = (), threshold: int = THRESHOLD
) -> Analysis:
    """Measures a recording of shape ``[n, 2]`` (column 0 the caller, column 1 what they heard).

    ``keys_ms``: when keys were pressed; keys less than 2 s apart count as one input.
    """
    caller = spans(samples[:, 0], join_ms=JOIN_CALLER_MS, threshold=threshold)
    bot = spans(samples[:, 1], join_ms=JOIN_BOT_MS, threshold=threshold)
    fine = spans(samples[:, 1], join_ms=0, threshold=threshold)
    inputs = sorted(
        [(s, False) for s in caller] + [(s, True) for s in _typed(keys_ms)], key=lambda i: i[0].end_ms
    )
    return Analysis(
        caller=tuple(caller),
        bot=tuple(bot),
        replies=tuple(_replies(inputs, bot)),
        barge_ins=tuple(b for s in caller if (b := _barge_in(s, bot)) is not None),
        gaps=tuple(
            Span(a.end_ms, b.start_ms)
            for a, b in pairwise(fine)
            if 20 <= b.start_ms - a.end_ms <= JOIN_BOT_MS
        ),
        caller_level=_level(samples[:, 0], caller),
        bot_level=_level(samples[:, 1], bot),
    )


def _typed(keys_ms: tuple[float, ...]) -> list[Span]:
    inputs: list[Span] = []
    for at in sorted(keys_ms):
        if inputs and at - inputs[-1].end_ms < 2000:
            inputs[-1] = Span(inputs[-1].start_ms, at)
        else:
            inputs.append(Span(at, at))
    return inputs


def _replies(inputs: list[tuple[Span, bool]], bot: list[Span]) -> list[Reply]:
    replies: list[Reply] = []
    for n, (said, keys) in enumerate(inputs):
        until = inputs[n + 1][0].start_ms if n + 1 < len(inputs) else float("inf")
        first = next((b.start_ms for b in bot if said.start_ms < b.start_ms < until), None)
        latency = None if first is None else first - said.end_ms
        replies.append(Reply(said, first, latency, keys))
    return replies


def _barge_in(said: Span, bot: list[Span]) -> BargeIn | None:
    over = next((b for b in bot if b.start_ms + 100 < said.start_ms < b.end_ms), None)
    if over is None:
        return None
    if over.end_ms > said.end_ms + JOIN_CALLER_MS:
        return BargeIn(said.start_ms, None, None)  # it talked on
    return BargeIn(said.start_ms, over.end_ms, over.end_ms - said.start_ms)


def _level(pcm: npt.NDArray[np.int16], sounding: list[Span]) -> Level:
    pieces = [pcm[int(s.start_ms * 8) : int(s.end_ms * 8)] for s in sounding]
    if not pieces:
        return Level(None, None)
    sound = np.concatenate(pieces).astype(np.float64) / 32768
    return Level(
        rms_dbfs=round(float(20 * np.log10(np.sqrt(np.mean(sound**2)) + 1e-9)), 1),
        peak_dbfs=round(float(20 * np.log10(np.abs(sound).max() + 1e-9)), 1),
    )
