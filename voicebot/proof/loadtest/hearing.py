"""What one call was like for its caller, from what it heard and knows that it said. Pure.

Times are ms on the call clock unless their name says otherwise; errors of a millisecond or two come from
where a sound is taken to begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from voicebot.audio.mulaw import decode
from voicebot.proof.simulation.analysis import Span, spans

PAUSE_MS = 300.0
"""The bot is silent when nothing was heard for this long: words lie closer together."""

EARLY_MS = 200.0
"""Sound this soon after a line began is the tail of what the bot was saying."""

STOPS_WITHIN_MS = 700.0
"""A bot that goes on for so long after an interruption was over did not stop."""

WAITS_MS = 4000.0
"""The last turn of a call counts as unanswered when nothing was heard for so long; a shorter wait is none."""

RESUMES_WITHIN_MS = 1500.0
"""After a murmur: so soon the answer goes on, or it was ended by it."""

Kind = Literal["turn", "keys", "interruption", "murmur"]


@dataclass(frozen=True)
class SaidLine:
    """What the caller said or pressed. ``whole``: to its end. ``murmur``: it must not end an answer."""

    text: str
    start_ms: float
    end_ms: float
    keys: bool = False
    murmur: bool = False
    whole: bool = True


@dataclass(frozen=True)
class HeardTurn:
    """A line and what came of it.

    Attributes:
        at_s: when the line ended, on the machine's monotonic clock.
        latency_ms: from the end of the caller's sound to the first sound of the answer; None: none came, or
            the turn was cut off, or the answer was not of this line alone (an interruption, a murmur).
        cut_off: the bot, silent before, spoke into the line.
        unanswered: nothing was heard before the caller spoke again.
        silence_ms: of an interruption: from its first sound to the bot's last; None: the bot talked on.
        ended: of a murmur: whether it ended the answer.
    """

    kind: Kind
    at_s: float
    latency_ms: float | None = None
    cut_off: bool = False
    unanswered: bool = False
    silence_ms: float | None = None
    ended: bool = False


@dataclass(frozen=True)
class Gap:
    """A hole in the bot's speech, since its sound came too late."""

    at_s: float
    ms: float


@dataclass(frozen=True)
class HeardCall:
    """One call.

    Attributes:
        caller: the kind of caller.
        outcome: ``served``; ``busy``, ``queued``, ``forwarded`` or ``hung_up``: taken by no bot;
            ``handed_over``: by the bot, then to a person; ``failed``: no usable answer, or no media stream.
        answer_ms: from the webhook to its answer; None: none.
        waited_ms: of a call that was told to wait: from that answer to the one that took it, or to its end;
            None: it was not.
        first_sound_ms: from the webhook to the first thing heard; None: nothing.
        speech_ms: sound of the bot in all.
        leads_ms: buffered at Twilio's end whenever sound arrived in the middle of speech: how far ahead the
            server was.
        said: words of the lines that were said whole, for the word error rate.
        violations: rules of Twilio's that the server broke.
        errors: Twilio's codes of what failed.
    """

    caller: str
    voice: str
    call_sid: str
    began_s: float
    ended_s: float
    outcome: str
    status: str
    answer_ms: float | None
    first_sound_ms: float | None
    speech_ms: float
    waited_ms: float | None = None
    turns: tuple[HeardTurn, ...] = ()
    gaps: tuple[Gap, ...] = ()
    leads_ms: tuple[float, ...] = ()
    said: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON able."""
        return asdict(self)

    @classmethod
    def of_dict(cls, data: dict[str, Any]) -> HeardCall:
        """The way back."""
        lists: dict[str, Any] = {
            name: tuple(data[name]) for name in ("leads_ms", "said", "violations", "errors")
        }
        lists["turns"] = tuple(HeardTurn(**turn) for turn in data["turns"])
        lists["gaps"] = tuple(Gap(**gap) for gap in data["gaps"])
        return cls(**(data | lists))


def heard_turns(heard: bytes, said: Sequence[SaidLine], *, began_s: float, over_ms: float) -> list[HeardTurn]:
    """What came of every line.

    Args:
        heard: mu-law, 8 kHz, from the call's beginning on.
        said: in order.
        began_s: when the call was placed, on the monotonic clock.
        over_ms: when it ended, or a person took it.
    """
    bot = spans(decode(heard[: int(over_ms * 8)]), join_ms=PAUSE_MS)
    lines = [line for line in said if line.whole]
    return [_turn(n, lines, bot, began_s, over_ms) for n in range(len(lines))]


def _turn(n: int, lines: list[SaidLine], bot: list[Span], began_s: float, over_ms: float) -> HeardTurn:
    line = lines[n]
    until = lines[n + 1].start_ms if n + 1 < len(lines) else over_ms
    at_s = began_s + line.end_ms / 1000
    into = next((b for b in bot if b.start_ms < line.start_ms < b.end_ms), None)
    onsets = [b.start_ms for b in bot if line.start_ms + EARLY_MS < b.start_ms < until]
    after = next((ms for ms in onsets if ms >= line.end_ms), None)
    if line.murmur:
        still = into is not None and into.end_ms > line.end_ms + PAUSE_MS
        back = after is not None and after - line.end_ms <= RESUMES_WITHIN_MS
        return HeardTurn("murmur", at_s, ended=into is not None and not (still or back))
    if into is not None and not line.keys:
        stopped = into.end_ms <= line.end_ms + STOPS_WITHIN_MS
        silence = into.end_ms - line.start_ms if stopped else None
        return HeardTurn("interruption", at_s, silence_ms=silence)
    if not line.keys and any(ms < line.end_ms for ms in onsets):
        return HeardTurn("turn", at_s, cut_off=True)
    kind: Kind = "keys" if line.keys else "turn"
    if after is None:
        waited = until - line.end_ms
        last = n + 1 == len(lines)
        still = into is not None and line.keys  # keys into an answer that goes on
        return HeardTurn(kind, at_s, unanswered=not still and (not last or waited >= WAITS_MS))
    return HeardTurn(kind, at_s, latency_ms=after - line.end_ms)


def speech_ms(heard: bytes) -> float:
    """Sound of the bot in all."""
    return sum(span.length_ms for span in spans(decode(heard), join_ms=PAUSE_MS))
