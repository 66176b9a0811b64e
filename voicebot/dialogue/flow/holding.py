"""Draft mode: words that a person approves before they are said. The caller is told so, honestly.

The words are stored with the turn that holds them back; the person's decision, or the time that ran
out, is an input like any other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from voicebot.core.conversation import (
    Action,
    AgentDecision,
    Confidences,
    Route,
    Source,
    Timer,
)
from voicebot.core.store import drafts
from voicebot.dialogue.flow.draft import Approval, Draft, Fact
from voicebot.dialogue.flow.rules import owner_of
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line, Part, Said
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import ConversationState, HeldWords
from voicebot.safety.policy import Ruling

WITHIN_S = 60.0
"""How long a caller is kept waiting for an approval before a person takes over."""


class Holding:
    """Drafts the turns around words that wait. Stateless."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    def hold(
        self,
        state: ConversationState,
        want: Want,
        words: str,
        setting: Setting,
        ruling: Ruling,
        *,
        confidences: Confidences,
        sources: tuple[Source, ...] = (),
    ) -> Draft:
        """Asks for approval of ``words`` and says so. Out of hours nobody could give it: as for a person."""
        scene = setting.scene
        absence = scene.staff.absence(scene.now, owner_of(ruling)) if scene.staff is not None else None
        if absence is not None and absence.why == "closed":
            away = self._steering.person(
                state,
                want.intent,
                f"{ruling.row}/nobody_approves",
                trigger=f"policy:{want.intent}",
                tier=ruling.tier,
                reasons=(*ruling.reasons, "a person has to approve it, and nobody is at work"),
                confidences=confidences,
            )
            return replace(away, owner=owner_of(ruling))
        draft_id = drafts.id_of(scene.conversation_id, scene.turn)
        held = HeldWords(
            draft=draft_id,
            want=want,
            words=words,
            turn=scene.turn,
            tier=ruling.tier,
            due_at=scene.now + timedelta(seconds=WITHIN_S),
        )
        return Draft(
            state=state.model_copy(update={"held": (*state.held, held), "asked": None, "topic": None}),
            intent=want.intent,
            action=Action.DRAFT,
            route=Route.DRAFT,
            row=ruling.row,
            tier=ruling.tier,
            parts=(Line("draft.hold"),),
            reasons=ruling.reasons,
            confidences=confidences,
            sources=sources,
            approval=Approval(
                draft=draft_id,
                question=want.text,
                words=words,
                within_s=WITHIN_S,
                sources=tuple(source.article for source in sources),
            ),
        )

    def still(self, state: ConversationState) -> Draft | None:
        """What a silent caller hears while words wait; None if none do."""
        if not state.held:
            return None
        return Draft(
            state=state,
            intent=state.held[0].want.intent,
            action=Action.DRAFT,
            route=Route.FIXED,
            row="draft/waiting",
            parts=(Line("draft.still"),),
        )

    def decided(self, state: ConversationState, given: AgentDecision, setting: Setting) -> Draft:
        """A person has decided: the words are said, theirs instead, or they take over."""
        held = next((one for one in state.held if one.draft == given.draft), None)
        if held is None:
            return nothing_to_say(state, "agent_decision", "draft/unknown", "these words wait no more")
        state = _without(state, held)
        settled = (held.draft, given.verdict, given.agent)
        facts = (
            Fact("draft.decided", {"draft": held.draft, "verdict": given.verdict, "agent": given.agent}),
        )
        if given.verdict == "reject":
            draft = self._steering.person(
                state,
                held.want.intent,
                "draft/reject",
                trigger="draft_rejected",
                before=(Line("draft.rejected"),),
                tier=held.tier,
            )
            return replace(draft, decides=settled, facts=facts)
        before = self.opening(state, held, setting.scene.turn)
        words = given.text if given.text is not None else held.words
        state, question = self._steering.and_next(state)
        # Whoever speaks into it hears it next: they have waited for it.
        said = Said(words, owed=f"draft_{held.turn}")
        draft = self._steering.say(
            state, held.want.intent, f"draft/{given.verdict}", (*before, said), question
        )
        return replace(
            draft,
            route=Route.DRAFT,
            tier=held.tier,
            decides=settled,
            facts=facts,
            reasons=(f"approved by a person: {given.verdict}",),
        )

    def opening(self, state: ConversationState, held: HeldWords, turn: int) -> tuple[Part, ...]:
        """What is said first to who waited: of which question it is, where that is not plain."""
        if state.held:  # something else still waits
            return (Line("draft.about_one", slots={"means": self._steering.means(held.want.intent)}),)
        return (Line("draft.about" if turn > held.turn + 1 else "draft.thanks"),)

    def late(self, state: ConversationState, now: datetime) -> Timer | None:
        """The timer of words that nobody decided on in time, as any node can tell from the state."""
        return next(
            (Timer(about=one.draft) for one in state.held if one.due_at is not None and one.due_at <= now),
            None,
        )

    def overdue(self, state: ConversationState, given: Timer) -> Draft:
        """Nobody decided in time: a person takes over."""
        held = next((one for one in state.held if one.draft == given.about), None)
        if held is None:
            return nothing_to_say(state, "timer", "timer/over", "it was settled before its time ran out")
        draft = self._steering.person(
            _without(state, held),
            held.want.intent,
            "draft/overdue",
            trigger="draft_overdue",
            before=(Line("draft.overdue"),),
            tier=held.tier,
        )
        facts = (Fact("draft.decided", {"draft": held.draft, "verdict": "expired", "agent": "timer"}),)
        return replace(draft, decides=(held.draft, "expired", "timer"), facts=facts)


def nothing_to_say(state: ConversationState, intent: str, row: str, reason: str) -> Draft:
    """A turn that is recorded and not spoken."""
    return Draft(
        state=state,
        intent=intent,
        action=Action.ABSTAIN,
        route=Route.FIXED,
        row=row,
        parts=(),
        reasons=(reason,),
        unspoken=True,
    )


def _without(state: ConversationState, held: HeldWords) -> ConversationState:
    return state.model_copy(update={"held": tuple(one for one in state.held if one != held)})
