"""Who answered a call of ours, and how one ended. Pure.

``AnsweredBy`` of Twilio: human, fax, unknown, machine_start, machine_end_beep, machine_end_silence,
machine_end_other; absent without detection, or while it is still at work.
"""

from __future__ import annotations

from enum import StrEnum

from voicebot.core.store.callbacks import Callback
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import Calling
from voicebot.handoff.outbound import Outbound, Outcome

DETECTS_S = 12
"""Twilio's detection gives up after this and says "unknown" (3 to 59 s; its own 30 s are a long silence)."""


class Then(StrEnum):
    """What an answered call gets."""

    TALK = "talk"
    MESSAGE = "message"
    HANG_UP = "hang_up"


def on_answer(answered_by: str, rules: Outbound, *, messages: int) -> Then:
    """What is done with whoever answered; ``messages``: how many were left for this call already.

    Unknown is taken for a person: the first words hold nothing personal and ask for an answer, and who says
    nothing is rung off after three silences.
    """
    if answered_by.startswith("machine"):
        speaks = rules.machine == "message" and messages == 0 and answered_by.startswith("machine_end")
        return Then.MESSAGE if speaks else Then.HANG_UP
    return Then.HANG_UP if answered_by == "fax" else Then.TALK


def outcome_of(answered_by: str) -> Outcome | None:
    """Of an answered try that reached nobody; None: a person."""
    if answered_by.startswith("machine"):
        return "machine"
    return "fax" if answered_by == "fax" else None


def ended_as(status: str) -> Outcome | None:
    """Of a call that ended without an answer that counts; None: it has not ended."""
    match status:
        case "busy":
            return "busy"
        case "no-answer" | "completed":  # picked up and put down before anybody could speak
            return "no_answer"
        case "failed":
            return "failed"
        case "canceled":
            return "cancelled"
        case _:
            return None


def detection(rules: Outbound) -> dict[str, str]:
    """Twilio's parameters: to leave a message, a machine's greeting has to be over first."""
    until_end = rules.machine == "message" and rules.detection == "wait"
    return {
        "MachineDetection": "DetectMessageEnd" if until_end else "Enable",
        "MachineDetectionTimeout": str(DETECTS_S),
    }


def calling_of(callback: Callback, rules: Outbound) -> Calling:
    """What the conversation knows of why it was called."""
    purpose = rules.purposes.get(callback.purpose)
    return Calling(
        callback=callback.id,
        purpose=callback.purpose,
        want=Want(intent=callback.intent, confidence=1.0, text=callback.about),
        person=purpose.person if purpose is not None else True,
        owner=callback.owner,
        earlier=callback.conversation_id,
    )
