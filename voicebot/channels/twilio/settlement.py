"""A media session is over: what does that mean for the call? Pure.

The pipeline says what it decided, the socket says how it went; neither alone knows. ``stop`` comes
when the caller hangs up, but also when the call is given new TwiML by REST.
"""

from __future__ import annotations

from enum import StrEnum

from voicebot.channels.twilio.media import CallOutcome, EndKind, SessionEnd


class Settlement(StrEnum):
    """What to write, and what to expect."""

    ENDED = "ended"
    """The conversation is over."""
    HANDOFF = "handoff"
    """A person takes the call; ``/twilio/resume`` dials."""
    OPEN = "open"
    """The call may go on: wait for the next verb, the status callback, or ask."""
    AWAY = "away"
    """The call does something else now (``/twilio/resume`` says what), and comes back."""
    NOT_OURS = "not_ours"
    """A newer media session has the call."""


def settle(end: SessionEnd | None, outcome: CallOutcome | None, *, local: bool) -> tuple[Settlement, str]:
    """The settlement and its reason.

    Args:
        end: how the socket ended; None: it is still open, the pipeline is done.
        outcome: the pipeline's word; None: it failed.
        local: there is no Twilio behind this socket (``--insecure-local`` without webhooks), so
            ``stop`` can only be a hang-up and nobody will ask for TwiML.
    """
    kind = end.kind if end is not None else None
    if kind is EndKind.TAKEN_OVER:
        return Settlement.NOT_OURS, "taken_over"
    if kind is EndKind.CALL_OVER:
        return Settlement.ENDED, "caller_hung_up"
    if kind is EndKind.STOP:
        if local:
            return Settlement.ENDED, "caller_hung_up"
        # A handoff that was decided stands even if the caller could not wait for it.
        if outcome is not None and outcome.kind == "handoff":
            return Settlement.HANDOFF, outcome.reason
        return Settlement.OPEN, "stop"
    if outcome is None:
        return Settlement.OPEN, "pipeline_failed"
    if outcome.kind == "handoff":
        return Settlement.HANDOFF, outcome.reason
    if outcome.kind == "ended":
        return Settlement.ENDED, outcome.reason
    if outcome.kind == "away":
        return (Settlement.ENDED if local else Settlement.AWAY), outcome.reason
    return Settlement.OPEN, kind.value if kind is not None else outcome.reason
