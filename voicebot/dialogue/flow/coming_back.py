"""The bot has the caller again, whom no person took: what happened, and what can be done instead. Pure."""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import TransferFailed
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.nobody import Nobody
from voicebot.dialogue.flow.promising import Promising
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.staff import Absence
from voicebot.dialogue.state import ConversationState
from voicebot.safety.triggers.signs import Risk

PERSON = "person"
_SAID_ALREADY = Line("nobody.no_answer")
"""What happened says so in more detail."""


class ComingBack:
    """Drafts the turn after a transfer that came to nothing. Stateless."""

    def __init__(self, steering: Steering, promising: Promising, nobody: Nobody) -> None:
        self._steering = steering
        self._promising = promising
        self._nobody = nobody

    def told(self, state: ConversationState, given: TransferFailed, setting: Setting) -> Draft:
        """Says what happened; offers a call back, or goes on if the caller did speak with somebody."""
        owed = tuple(item for turn in state.open_turns for item in turn.owes)
        state = state.model_copy(
            update={
                "handoff": None,
                "ending": False,
                "open_turns": (),
                "owed": (*state.owed, *owed),
                "risk": Risk().begun(setting.scene.now),  # what it was handed over for has had its answer
            }
        )
        row = f"transfer/{given.reason}"
        if given.spoke:
            state, question = self._steering.and_next(state)
            draft = self._steering.say(state, "transfer_failed", row, (Line("transfer.over"),), question)
        else:
            want = state.topic or Want(intent=PERSON, confidence=1.0, text="")
            before = (Line(f"transfer.failed.{given.reason}"),)
            if setting.scene.staff is None:
                draft = self._promising.offer(state, want, setting, row, before=before)
            else:
                draft = self._nobody.offer(state, want, Absence("no_answer"), setting, row, before=before)
                draft = replace(draft, parts=tuple(part for part in draft.parts if part != _SAID_ALREADY))
        fact = Fact("transfer.told", {"reason": given.reason, "spoke": given.spoke})
        return replace(draft, facts=(*draft.facts, fact))
