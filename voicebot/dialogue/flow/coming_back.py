"""The bot has the caller again, whom no person took: what happened, and what can be done instead. Pure."""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import TransferFailed
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.promising import Promising
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import ConversationState

PERSON = "person"


class ComingBack:
    """Drafts the turn after a transfer that came to nothing. Stateless."""

    def __init__(self, steering: Steering, promising: Promising) -> None:
        self._steering = steering
        self._promising = promising

    def told(self, state: ConversationState, given: TransferFailed, setting: Setting) -> Draft:
        """Says what happened; offers a call back, or goes on if the caller did speak with somebody."""
        owed = tuple(item for turn in state.open_turns for item in turn.owes)
        state = state.model_copy(
            update={"handoff": None, "ending": False, "open_turns": (), "owed": (*state.owed, *owed)}
        )
        row = f"transfer/{given.reason}"
        if given.spoke:
            state, question = self._steering.and_next(state)
            draft = self._steering.say(state, "transfer_failed", row, (Line("transfer.over"),), question)
        else:
            want = state.topic or Want(intent=PERSON, confidence=1.0, text="")
            before = (Line(f"transfer.failed.{given.reason}"),)
            draft = self._promising.offer(state, want, setting, row, before=before)
        fact = Fact("transfer.told", {"reason": given.reason, "spoke": given.spoke})
        return replace(draft, facts=(*draft.facts, fact))
