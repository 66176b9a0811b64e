"""What a caller experienced, from the two-channel recording of the phone alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.bench.caller import Said
from voicebot.audio import mulaw
from voicebot.proof.simulation import analysis
from voicebot.proof.simulation.recording import CallRecording

PAUSE_MS = 300  # the bot is silent when nothing was heard for this long: words lie closer together
EARLY_MS = 200  # sound this soon after a line began is the tail of what the bot was saying


@dataclass(frozen=True)
class Turn:
    """One line of the caller and what came of it. Times in ms; None: did not happen.

    ``latency_ms``: end of the caller's sound to the first sound of the answer, for turns that were let
    finish. ``cut_off``: the bot spoke into the line although it had been quiet when the line began.
    ``silence_ms``: for a line said over the bot, from its first sound to the bot's last.
    """

    name: str
    kind: str
    hesitant: bool
    latency_ms: float | None
    cut_off: bool
    silence_ms: float | None


@dataclass
class CallScore:
    """One call of one caller. ``greeting_ms``: from the stream's ``start`` to the first sound of the bot."""

    greeting_ms: float | None
    voice: str = ""
    turns: list[Turn] = field(default_factory=list)


def heard_segments(recording: CallRecording) -> list[tuple[float, float]]:
    """(first, last) ms of each stretch in which the bot was heard, pauses below PAUSE_MS bridged."""
    heard = mulaw.decode(bytes(recording.heard))
    return [(span.start_ms, span.end_ms) for span in analysis.spans(heard, join_ms=PAUSE_MS)]


def score(recording: CallRecording, said: list[Said], start_ms: float) -> CallScore:
    """Every line of one call; ``start_ms`` is the stream's start on the call clock."""
    segments = heard_segments(recording)
    greeting = next((first for first, _ in segments if first >= start_ms), None)
    result = CallScore(None if greeting is None else greeting - start_ms)
    for nth, line in enumerate(said):
        until = said[nth + 1].start_ms if nth + 1 < len(said) else float("inf")
        onsets = [first for first, _ in segments if line.start_ms + EARLY_MS < first < until]
        speaking = next((s for s in segments if s[0] <= line.start_ms < s[1]), None)
        after = [first for first in onsets if first >= line.end_ms]
        cut_off = speaking is None and any(first < line.end_ms for first in onsets)
        result.turns.append(
            Turn(
                name=line.step.name,
                kind=line.step.kind,
                hesitant=line.step.hesitant,
                latency_ms=after[0] - line.end_ms if after and not cut_off else None,
                cut_off=cut_off,
                silence_ms=speaking[1] - line.start_ms if speaking and line.step.kind == "over" else None,
            )
        )
    return result
