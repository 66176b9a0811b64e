"""How much audio Whisper is shown, and how many tokens it may answer with. Pure.

Whisper was trained on 30 s; stock front ends pad every clip to that. Its encoder takes any shorter window, at
a small part of the cost (30 s against 5 s, int8 on one core: tiny 425 ms and 22 ms, small 2660 and 180). A
window has the speech, some silence behind it so that the model sees that it ended, and a floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RATE_HZ = 8000
FRAMES_PER_S = 100
"""Whisper's mel frames; the encoder makes one position of two."""

MOST_FRAMES = 3000
"""30 s, Whisper's own window; CTranslate2 refuses more."""

FLOOR_FRAMES = 300
END_FLOOR_FRAMES = 500
MARGIN_FRAMES = 60
"""The shortest window of a partial and of the end of a turn, and what stands behind the speech.

Measured as ``scripts.bench.stt --sweep`` does, on a model of 2.5 M parameters that was trained on windows of
30 s only, 70 sentences over a telephone line, 500 words: error rate 0.046 with 30 s, 0.046 with 8 s, 0.058
with 5 s, 0.062 with 3 s, at 196, 16, 10 and 8 ms a sentence. OpenAI's weights could not be had to measure:
whoever has them sweeps them. Windows far below Whisper's own are known to make it loop, so the longer floor
is for what is answered to; loops end at the token bound and are stopped by ``gate``."""

STEP_FRAMES = 50
"""Fewer shapes: CTranslate2's allocator keeps buffers per size, and rows of a batch must be of one."""

TOKENS_AT_LEAST = 10
TOKENS_PER_S = 12
MOST_TOKENS = 200
"""Fast speech is 5 words a second, 7-8 of Whisper's tokens (twice that for spelled names)."""

TRIM_ABOVE_MS = 8000
"""A window longer than this is cut where words stand: the cost of a window grows faster than its length."""

KEEP_MS = 1500
"""What stays in front of the newest audio when a window is cut, so that the next words have context."""

LAST_RESORT_MS = 16000
"""So long and nothing stands: what there is is taken as it is, so that memory and time stay bounded."""

DROPPED_TO_MS = 4000
"""So long and nothing was heard at all: only this much is kept."""


def frames_of(samples: int, *, ended: bool = False) -> int:
    """Mel frames of the window for so many 8 kHz samples: margin, floor, a whole number of steps."""
    speech = -(-samples * FRAMES_PER_S // RATE_HZ)
    frames = max(END_FLOOR_FRAMES if ended else FLOOR_FRAMES, speech + MARGIN_FRAMES)
    return min(MOST_FRAMES, -(-frames // STEP_FRAMES) * STEP_FRAMES)


def tokens_for(samples: int) -> int:
    """How many new tokens that much audio can hold; a loop ends there."""
    return min(MOST_TOKENS, TOKENS_AT_LEAST + samples * TOKENS_PER_S // RATE_HZ)


@dataclass(frozen=True)
class Cut:
    """Drop the first ``ms`` of the window; its first ``words`` words are final from now on."""

    ms: int
    words: int


def cut(
    window_ms: int,
    word_spans: Sequence[tuple[int, int]],
    standing: int,
    sentence_ends: Sequence[int] = (),
) -> Cut | None:
    """Where a long window may be cut, or None to leave it.

    Args:
        window_ms: its length.
        word_spans: (start, end) of the words heard in it, ms in the window.
        standing: how many of them, from the front, are committed.
        sentence_ends: indices of words that end a sentence; preferred when they leave enough behind.
    """
    if window_ms <= TRIM_ABOVE_MS:
        return None
    latest = window_ms - KEEP_MS
    allowed = [n for n in range(standing) if word_spans[n][1] <= latest]
    if not allowed and window_ms > LAST_RESORT_MS:
        if not word_spans:
            return Cut(window_ms - DROPPED_TO_MS, 0)
        allowed = [n for n in range(len(word_spans)) if word_spans[n][1] <= latest] or [0]
    if not allowed:
        return None
    ends = [n for n in allowed if n in sentence_ends and word_spans[n][1] >= window_ms // 3]
    last = ends[-1] if ends else _before_widest_gap(allowed, word_spans)
    return Cut(max(1, min(_between(last, word_spans), latest)), last + 1)


def _before_widest_gap(allowed: Sequence[int], spans: Sequence[tuple[int, int]]) -> int:
    """Of the later half of the words, the one with the longest pause behind it; the last if none has one."""

    def gap(n: int) -> int:
        return spans[n + 1][0] - spans[n][1] if n + 1 < len(spans) else 0

    later = allowed[len(allowed) // 2 :]
    return max(later, key=lambda n: (gap(n) // 40, n))


def _between(last: int, spans: Sequence[tuple[int, int]]) -> int:
    """The middle of the pause behind word ``last``."""
    if last + 1 < len(spans):
        return (spans[last][1] + max(spans[last][1], spans[last + 1][0])) // 2
    return spans[last][1]
