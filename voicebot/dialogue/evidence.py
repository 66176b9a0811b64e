"""What a recording keeps of a turn: as it is stored, masked. Pure, but for telling the witness."""

from __future__ import annotations

from voicebot.core import witness
from voicebot.core.conversation import Heard, TurnTimings, Utterance
from voicebot.dialogue.committing import Written
from voicebot.dialogue.door import expects, open_question
from voicebot.dialogue.plan import Plan
from voicebot.safety.pii import cues

COMMITTED = "turn.committed"
HEARD = "turn.heard"


def tell_committed(plan: Plan, written: Written) -> None:
    """A turn is true: what was given, what was decided, and what must not be kept of it.

    ``card``: the caller told a card's number, up to this turn. ``code``: they were asked for a one-time code
    and this was their answer. ``asks_code``: what they press next is one.
    """
    if not witness.listening():
        return
    masks = plan.masks
    asked = expects(open_question(written.worded.state), masks.rules)
    witness.tell(
        COMMITTED,
        turn=plan.turn,
        input=masks.stored(plan.input),
        decision=masks.hide(written.decision.model_dump(mode="json")),
        after=written.draft.after,
        early=plan.early,
        card=isinstance(plan.input, Utterance) and plan.input.tells_card,
        code=masks.expected.kind == cues.CODE,
        asks_code=asked.kind == cues.CODE,
    )


def tell_heard(turn: int, heard: Heard, timings: TurnTimings) -> None:
    """A turn is closed: what the caller heard of it (masked), and when."""
    witness.tell(
        HEARD,
        turn=turn,
        heard=heard.model_dump(mode="json"),
        timings=timings.model_dump(mode="json"),
    )
