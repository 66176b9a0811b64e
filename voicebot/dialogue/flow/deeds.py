"""A change that was agreed to: the deed, what is said of its outcome, and what comes after it."""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import Action, Confidences, Route, ToolRead
from voicebot.core.store import acts as act_rows
from voicebot.core.store.proposals import Standing
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.actions.tool import Outcome, Tool
from voicebot.dialogue.flow.draft import ActOutcome, Agreed, Deed, Draft, Fact
from voicebot.dialogue.flow.paying import goes_to_card
from voicebot.dialogue.flow.questions import YES_NO, Question, person_question
from voicebot.dialogue.flow.rules import Rules
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line, Part, Said
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Acting, Asked, AskedKind, ConversationState
from voicebot.safety.identity import VerifiedCustomer

PERSON = "person"
"""A tool's hint: a colleague can help."""
ASK = "ask:"
"""A tool's hint: which value to ask for again (``ask:items``)."""
_TO_A_PERSON = frozenset({"over_limit", "unavailable", "disagrees"})
"""General outcomes after which a person deals with it."""


class Deeds:
    """Drafts what follows a yes that counts. Stateless."""

    def __init__(self, rules: Rules, steering: Steering, phrases: Phrases, intents: IntentCatalog) -> None:
        self._rules = rules
        self._steering = steering
        self._phrases = phrases
        self._intents = intents

    def acting(
        self,
        state: ConversationState,
        want: Want,
        standing: Standing,
        prepared: Prepared,
        customer: VerifiedCustomer,
        by_key: bool,
        setting: Setting,
        read: ToolRead,
        tier: int,
    ) -> Draft:
        """The turn of the yes: the deed, and who speaks of it once its outcome is known."""
        state = finished(state.model_copy(update={"asked": None}), want)
        tool = prepared.tool
        by = "the caller said yes to the read-back" if not by_key else "key 1 after the read-back"
        reasons = (by,) if standing.approved_by is None else (by, f"approved by {standing.approved_by}")
        key = act_rows.key_of(setting.scene.conversation_id, setting.scene.turn, tool.name)
        base = Draft(
            state=state.model_copy(
                update={"acting": (*state.acting, Acting(key=key, want=want, tool=tool.name))}
            ),
            intent=want.intent,
            action=Action.ACT,
            route=Route.FIXED,
            row="proposal/yes",
            tier=tier,
            parts=(),
            reasons=reasons,
            confidences=sure_of(want),
            tools=(read,),
        )
        agreed = Agreed(
            proposed=standing.proposed,
            prepared=prepared,
            customer=customer,
            segment=state.customer.segment if state.customer is not None else None,
            by="key" if by_key else "words",
        )
        reads = setting.reads

        def spoken_of(outcome: ActOutcome) -> Draft:
            typed = reads.outcome(tool.name, outcome.result)
            draft = self._done(replace(base, state=state), want, tool, agreed, outcome, typed)
            return goes_to_card(draft, tool, outcome, want, key, self._rules.table.cards)

        return replace(base, deed=Deed("change", tool.name, prepared.arguments, spoken_of, agreed))

    def _done(
        self,
        base: Draft,
        want: Want,
        tool: Tool,
        agreed: Agreed,
        outcome: ActOutcome,
        typed: Outcome | None,
    ) -> Draft:
        """What came of it, in words that stand for that outcome and no other."""
        named = str(outcome.result.get("outcome", outcome.status))
        facts = (
            Fact(
                f"act.{outcome.status}",
                {
                    "act": tool.name,
                    "outcome": named,
                    "proposal": agreed.proposed.id,
                    "digest": agreed.proposed.digest,
                    "consent": agreed.by,
                    **({"limit": outcome.result["limit"]} if "limit" in outcome.result else {}),
                },
            ),
        )
        row = f"{base.row}/{named}"
        owed = f"act_{tool.name}"
        if outcome.status == "unknown" or named == "disagrees":
            draft = self._steering.say(
                base.state,
                base.intent,
                row,
                (Line("act.unknown", owed=owed),),
                self._steering.and_next(base.state)[1],
            )
            return replace(draft, action=Action.FOLLOW_UP, tier=base.tier, tools=base.tools, facts=facts)
        if named in _TO_A_PERSON:
            draft = self._steering.person(
                base.state,
                base.intent,
                row,
                trigger="act_limit" if named == "over_limit" else "act_failed",
                before=(Line(f"act.{named}", owed=owed),),
                tier=base.tier,
                reasons=(*base.reasons, f"{tool.name}: {named}"),
            )
            return replace(draft, facts=facts, tools=base.tools)
        if named == "changed" and outcome.status == "refused" and "changed" not in tool.outcomes:
            said: Part = Line("act.changed", owed=owed)
            ask = Line("ask.waiting", slots={"means": self._intents.means(want.intent)}, question=True)
            question = Question((ask,), Asked(kind=AskedKind.WAITING, want=want), YES_NO)
            state = base.state
        else:
            assert typed is not None
            said = Said(self.words(tool, typed), owed=owed)
            state, question = self.onward(base.state, want, tool.hints.get(typed.outcome, ""))
        return replace(
            base,
            state=state,
            row=row,
            route=Route.GROUNDED,
            parts=(said, *question.parts),
            expects=question.expects,
            asked=question.asked,
            facts=facts,
            tells=(f"{tool.name}.{named}",),
        )

    def onward(self, state: ConversationState, want: Want, hint: str) -> tuple[ConversationState, Question]:
        """What follows: what helps instead, as its tool says, or what is asked otherwise."""
        if hint == PERSON:
            return state, person_question(want)
        offered = hint and not hint.startswith(ASK) and hint not in state.avoided
        if offered and self._rules.rule(hint) is not None:
            means = self._intents.means(hint)
            line = Line("act.hint", slots={"means": means}, question=True)
            helps = Want(intent=hint, confidence=1.0, text=means)
            return state, Question((line,), Asked(kind=AskedKind.WAITING, want=helps), YES_NO)
        return self._steering.and_next(state)

    def words(self, tool: Tool, outcome: Outcome) -> str:
        """The deployment's line for an outcome, filled from it."""
        fields = {name: getattr(outcome, name) for name in type(outcome).model_fields}
        return self._phrases.result(tool.name, outcome.outcome, fields)

    def failed(self, state: ConversationState, want: Want, reason: str, facts: tuple[Fact, ...]) -> Draft:
        """The tool or the records do not answer: a person takes over."""
        draft = self._steering.person(
            finished(state, want),
            want.intent,
            f"{want.intent}/tool_failed",
            trigger="tool_error",
            before=(Line("tool.failed"),),
            tier=2,
            reasons=(reason,),
        )
        return replace(draft, facts=facts)


def sure_of(want: Want) -> Confidences:
    """What records say is certain, as far as the caller was understood."""
    return Confidences(classification=round(want.confidence, 4), grounding=1.0, answer=1.0)


def finished(state: ConversationState, want: Want) -> ConversationState:
    """Nothing of this want is open any more."""
    waiting = tuple(one for one in state.waiting if one.intent != want.intent)
    return state.model_copy(update={"filling": None, "topic": None, "waiting": waiting})
