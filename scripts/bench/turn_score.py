"""What became of each line of a caller, from the two-channel recording of the phone alone.

Answers are known by their sound (``matching``), so a filler or a question back is never taken for one, and an
answer that was paused is seen to go on. Times in ms on the call clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scripts.bench.caller import LOUD, Said
from scripts.bench.score import EARLY_MS, PAUSE_MS
from voicebot.audio import mulaw
from voicebot.proof.simulation import analysis
from voicebot.proof.simulation.matching import PART_MS, Heard, KnownSound, Match
from voicebot.proof.simulation.recording import CallRecording

_ZERO = (b"\x7f", b"\xff")  # both codes are zero, and a WAV file keeps only one
LATER_MS = 100
"""An answer that ends so much later than it would by itself was paused: more than a network's unevenness."""
EDGE_MS = 120
"""A known answer begins where sound is heard; a soft first consonant may lie so long before."""
SILENCED_MS = 4000
"""A bot that talks on for longer than this after an interruption was not silenced by it."""


@dataclass(frozen=True)
class Event:
    """One line and what came of it.

    ``role``: ``turn``; ``paused`` (a line with a pause inside); ``long`` (a question whose answer is spoken
    over); ``interruption``, ``backchannel``, ``noise`` (said over that answer); ``ask`` and ``digits``.

    Attributes:
        answer: which known answer was heard first after the line began; "" for none.
        content_ms: end of the line to the first sound of that answer; None without one, or when cut off.
        sound_ms: end of the line to the first sound of any kind; None without one, or when cut off.
        cut_off: the bot had been quiet when the line began, and spoke before it was over.
        over: the answer that was being heard when the line began; "" when none was.
        silence_ms: onset of the line to the last sound of that answer, if it did not go on to its end.
        finished: that answer was heard to its end, at once or after a pause. Told anew, it was not.
        later_ms: so much later it ended than it would have by itself.
        yielded: the answer fell silent before its end, and something was said to the line afterwards.
    """

    line: str
    role: str
    start_ms: float
    end_ms: float
    answer: str = ""
    content_ms: float | None = None
    sound_ms: float | None = None
    cut_off: bool = False
    over: str = ""
    silence_ms: float | None = None
    finished: bool = False
    later_ms: float | None = None
    yielded: bool = False

    @property
    def killed(self) -> bool:
        """The answer it was said over was not heard to its end."""
        return bool(self.over) and not self.finished

    @property
    def paused(self) -> bool:
        """The answer went on, but not at once."""
        return self.finished and self.later_ms is not None and self.later_ms > LATER_MS


class LineLostError(Exception):
    """A line that the caller says it said is not on the recording's channel."""


def located(said: bytes, line: Said) -> tuple[float, float]:
    """First and last audible ms of a line, found by its samples on the caller's own channel.

    Raises:
        LineLostError: it is not there.
    """
    ulaw = line.step.ulaw
    loud = np.flatnonzero(np.abs(mulaw.decode(ulaw).astype(np.int32)) > LOUD * 32768)
    first, last = int(loud[0]), int(loud[-1]) + 1
    hint = max(0, round(line.start_ms * 8) - 8 * 400)
    at = said.replace(*_ZERO).find(ulaw[first:last].replace(*_ZERO), hint)
    if at < 0:
        raise LineLostError(f"{line.step.name} is not on the recording at {line.start_ms} ms")
    return at / 8, (at + last - first) / 8


def greeting(recording: CallRecording, start_ms: float) -> float | None:
    """From the stream's ``start`` to the first sound of the bot; None when nothing was heard."""
    heard = mulaw.decode(bytes(recording.heard))
    found = analysis.spans(heard, join_ms=PAUSE_MS, threshold=analysis.threshold_over(heard))
    return next((span.start_ms - start_ms for span in found if span.start_ms >= start_ms), None)


def score(recording: CallRecording, lines: list[Said], answers: Mapping[str, KnownSound]) -> list[Event]:
    """Every line of one call, in order.

    Raises:
        LineLostError: the recording does not hold a line.
    """
    heard = mulaw.decode(bytes(recording.heard))
    said = bytes(recording.said)
    segments = [
        (s.start_ms, s.end_ms)
        for s in analysis.spans(heard, join_ms=PAUSE_MS, threshold=analysis.threshold_over(heard))
    ]
    places = [located(said, line) for line in lines]
    searched = Heard(heard)
    events: list[Event] = []
    for nth, line in enumerate(lines):
        before = places[nth - 1][1] if nth else 0.0
        until = places[nth + 1][0] if nth + 1 < len(lines) else len(heard) / 8
        events.append(_event(line, places[nth], before, until, searched, segments, answers))
    return events


def _event(
    line: Said,
    place: tuple[float, float],
    before: float,
    until: float,
    heard: Heard,
    segments: list[tuple[float, float]],
    answers: Mapping[str, KnownSound],
) -> Event:
    start, end = place
    speaking = next((s for s in segments if s[0] <= start < s[1]), None)
    onsets = [first for first, _ in segments if start + EARLY_MS < first < until]
    cut_off = speaking is None and any(first < end for first in onsets)
    after = [first - end for first in onsets if first >= end]
    name, match = _first(answers, heard, segments, start + EARLY_MS, until)
    content = match.at_ms - end if match is not None and match.at_ms >= end else None
    over, finished, later = "", False, None
    if speaking is not None:
        over, begun = _first(answers, heard, segments, before, start, last=True)
        if begun is not None:
            # An answer that is told again from its beginning was not resumed.
            again = until if match is None else match.at_ms
            finish = answers[over].ends(heard, from_ms=start - PART_MS, to_ms=again)
            finished = finish is not None
            if finish is not None:
                later = finish.at_ms - begun.at_ms - answers[over].length_ms
    silence = speaking[1] - start if speaking is not None and over and not finished else None
    return Event(
        line=line.step.name,
        role=line.step.role,
        start_ms=start,
        end_ms=end,
        answer=name,
        content_ms=None if cut_off else content,
        sound_ms=after[0] if after and not cut_off else None,
        cut_off=cut_off,
        over=over,
        silence_ms=silence,
        finished=finished,
        later_ms=later,
        yielded=silence is not None and silence <= SILENCED_MS and bool(onsets),
    )


def _first(
    answers: Mapping[str, KnownSound],
    heard: Heard,
    segments: list[tuple[float, float]],
    from_ms: float,
    to_ms: float,
    *,
    last: bool = False,
) -> tuple[str, Match | None]:
    """The known answer that begins first (or last) within the bounds; of two at one place the liker one."""
    found = [
        (name, match)
        for name, sound in answers.items()
        if (match := sound.begins(heard, from_ms=from_ms, to_ms=to_ms)) is not None
        and any(first - EDGE_MS <= match.at_ms < last for first, last in segments)
    ]
    if not found:
        return "", None
    edge = (max if last else min)(match.at_ms for _, match in found)
    near = [(name, match) for name, match in found if abs(match.at_ms - edge) < 100]
    return max(near, key=lambda pair: pair[1].likeness)
