"""The ladder for speech without usable words is at its end. Pure."""

from __future__ import annotations

from voicebot.core.conversation import HearingFailure
from voicebot.safety.triggers.cause import Cause

AT_ONCE = frozenset({HearingFailure.ENGINE_DOWN, HearingFailure.WRONG_LANGUAGE})
"""Nobody is asked a third time for a machine that cannot hear, or in a language they do not speak."""


def exhausted(
    reason: HearingFailure, times: int, *, limit: int, keys_failed: int = 0, keys_limit: int | None = None
) -> Cause | None:
    """Fires on the last rung.

    Args:
        reason: why there are no words.
        times: failures in a row, this one included.
        limit: `ladder.not_heard`.
        keys_failed: keys that were no answer to a question of this kind.
        keys_limit: from which the keypad is no way out either; None while voice is still tried.
    """
    evidence = {"reason": reason.value, "times": times, "limit": limit}
    if times >= limit:
        return Cause("asr_failure", evidence)
    if times > 1 and reason in AT_ONCE:
        return Cause("asr_failure", {**evidence, "limit": 2})
    if keys_limit is not None and keys_failed >= keys_limit:
        return Cause("asr_failure", {**evidence, "keys_failed": keys_failed, "keys_limit": keys_limit})
    return None


def at_gate(reason: HearingFailure, times: int) -> Cause:
    """The identity gate has no other way to ask for what could not be heard."""
    return Cause("asr_failure", {"reason": reason.value, "times": times, "at_gate": True})
