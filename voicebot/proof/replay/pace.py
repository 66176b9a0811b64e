"""How long engines and the database take in virtual time: as the recording says, else as usual."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from voicebot.audio.recording.engine_notes import STT, TTS, TURN


@dataclass(frozen=True)
class Pace:
    """Seconds. The defaults are those of one call on two cores (docs/benchmarks.md), in whole milliseconds.

    They differ from each other, so that no two answers to one question fall on the same moment.
    """

    open_s: float = 0.004
    partial_s: float = 0.031
    answer_s: float = 0.037
    judge_s: float = 0.047
    speech_s: float = 0.029
    transaction_s: float = 0.003
    read_s: float = 0.005

    @classmethod
    def of(cls, events: Iterable[dict[str, Any]]) -> Pace:
        """The medians of what a recording's engines took; where it says nothing, the defaults."""
        opened: list[float] = []
        answers: list[float] = []
        judged: list[float] = []
        spoke: list[float] = []
        for event in events:
            match event.get("type"):
                case kind if kind == STT:
                    opened.append(float(event.get("open_ms") or 0.0))
                    answers += [float(a[2]) for a in event["answers"] if a[0] in {"peek", "final"}]
                case kind if kind == TURN:
                    judged.append(float(event["took_ms"]))
                case kind if kind == TTS:
                    if event.get("first_ms"):
                        spoke.append(float(event["first_ms"]))
                case _:
                    pass
        return cls(
            open_s=_seconds(opened, cls.open_s),
            answer_s=_seconds(answers, cls.answer_s),
            judge_s=_seconds(judged, cls.judge_s),
            speech_s=_seconds(spoke, cls.speech_s),
        )


def _seconds(found_ms: Sequence[float], otherwise_s: float) -> float:
    """The median in whole milliseconds, at least one."""
    return max(1, round(median(found_ms))) / 1000 if found_ms else otherwise_s
