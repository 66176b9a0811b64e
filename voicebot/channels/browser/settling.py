"""A browser's connection is over: what does that mean for the call? Pure."""

from __future__ import annotations

from voicebot.channels.legs import CallOutcome, EndKind, SessionEnd
from voicebot.channels.twilio.settlement import Settlement


def settle(end: SessionEnd | None, outcome: CallOutcome | None) -> tuple[Settlement, str]:
    """The settlement and its reason. ``OPEN``: the page may connect again, and goes on with the call.

    Args:
        end: how the connection ended; None: it stands, the pipeline is done.
        outcome: the pipeline's word; None: it failed.
    """
    kind = end.kind if end is not None else None
    if kind is EndKind.TAKEN_OVER:
        return Settlement.NOT_OURS, "taken_over"
    if outcome is not None and outcome.kind == "handoff":
        # A handoff that was decided stands even if the caller could not wait for its last words.
        return Settlement.HANDOFF, outcome.reason
    if kind in {EndKind.CALL_OVER, EndKind.STOP}:
        return Settlement.ENDED, "caller_hung_up"
    if outcome is None:
        return Settlement.OPEN, "pipeline_failed"
    if outcome.kind in {"ended", "away"}:  # no card is taken in a browser: nothing comes back
        return Settlement.ENDED, outcome.reason
    return Settlement.OPEN, kind.value if kind is not None else outcome.reason
