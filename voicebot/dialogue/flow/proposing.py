"""Changes: proposed on terms that were read, read back from what is stored, agreed to, done, then spoken of.

A yes counts if it is the caller's own, given to this proposal, after the last essential value of the
read-back was heard, in time, while everything still is as it was read back. Anything else voids it: then it
is proposed anew with the facts as they are. No model's words play a part here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from voicebot.core.conversation import (
    Action,
    AgentDecision,
    Route,
    ToolRead,
    Utterance,
)
from voicebot.core.store import proposals
from voicebot.core.store.proposals import Proposed, Standing
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.actions.registry import ToolRefused
from voicebot.dialogue.actions.tool import Outcome, Tool
from voicebot.dialogue.flow import slots
from voicebot.dialogue.flow.deeds import ASK, Deeds, finished, sure_of
from voicebot.dialogue.flow.draft import Draft, Fact, Left, NewProposal
from voicebot.dialogue.flow.holding import Holding
from voicebot.dialogue.flow.paying import Payments
from voicebot.dialogue.flow.questions import YES_NO, Question, person_question
from voicebot.dialogue.flow.routing import Routing
from voicebot.dialogue.flow.rules import Rules, owner_of
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line, Part, Said
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.flow.values import MOST_ASKED, Values
from voicebot.dialogue.generation.spoken import spoken
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Asked, AskedKind, ConversationState, Filling
from voicebot.safety.consent import Consent, consent
from voicebot.safety.identity import Gate, VerifiedCustomer
from voicebot.safety.policy import IntentRule

MOST_UNCLEAR = 2
"""So often an unclear answer is asked again; then a person is offered."""
MOST_QUESTIONED = 2
"""So often "are you sure?" is answered; after that it counts as unclear."""
OFFERS = "from_"
"""An outcome's field that offers another value for the one that is asked for again (``from_day``)."""
_GRANTED = frozenset({Action.PROPOSE, Action.ACT})


@dataclass(frozen=True)
class Given:
    """The caller's answer to a read-back: words, or a key that says yes or no."""

    utterance: Utterance | None = None
    key: bool | None = None


class Proposing:
    """Drafts the turns around a change. Stateless."""

    def __init__(
        self,
        rules: Rules,
        gate: Gate,
        steering: Steering,
        phrases: Phrases,
        intents: IntentCatalog,
        holding: Holding,
        routing: Routing,
    ) -> None:
        self._rules = rules
        self._gate = gate
        self._steering = steering
        self._phrases = phrases
        self._holding = holding
        self._routing = routing
        self._payments = Payments(steering, rules.table)
        self._after = Deeds(rules, steering, phrases, intents)
        self._values = Values(steering, phrases)

    # --- towards a proposal -----------------------------------------------------------

    async def take(
        self,
        state: ConversationState,
        want: Want,
        rule: IntentRule,
        setting: Setting,
        *,
        reference: str | None = None,
        before: tuple[Part, ...] = (),
        facts: tuple[Fact, ...] = (),
    ) -> Draft:
        """The next step of a change that the verified caller wants: a value, or the read-back.

        Args:
            state: as it stands.
            want: what is wanted.
            rule: its row, which names the act.
            setting: the turn.
            reference: another order than the one that was verified with.
            before: what is said first.
            facts: what happened at the gate.
        """
        customer = self._gate.customer(state.gate)
        tool = setting.reads.declared(rule.act or "")
        assert customer is not None  # behind the gate
        assert tool is not None  # the policy was checked at boot
        filling = state.filling
        if filling is None or filling.tool != tool.name:
            filling = Filling(want=want, tool=tool.name, values=self._values.named(tool, want))
        first = self._gate.rules.factors[0].name
        values = {first: customer.reference, **filling.values, **({first: reference} if reference else {})}
        filling = filling.model_copy(update={"values": values})
        state = state.model_copy(update={"filling": filling, "topic": None})
        open_value = self._values.next(tool, filling)
        if open_value is not None and slots.unfit(tool.request, filling.values):
            return self._values.ask(state, filling, tool, open_value, before=before, facts=facts)
        try:
            read, terms = await setting.reads.terms(tool.name, values, customer=customer, purpose=want.intent)
        except ToolRefused as error:
            return self._after.failed(state, want, f"{tool.name}: {error}", facts)
        if terms is None:
            return replace(self._after.failed(state, want, read.error or "no result", facts), tools=(read,))
        if isinstance(terms, Outcome):
            return self._impossible(state, want, tool, terms, read, setting, before=before, facts=facts)
        if tool.takes_card and (elsewhere := self._payments.elsewhere(state, want, setting)) is not None:
            return replace(elsewhere, parts=(*before, *elsewhere.parts), facts=facts, tools=(read,))
        if open_value is not None:  # it may be left open, and is asked for only of what can be done
            return self._values.ask(
                state, filling, tool, open_value, before=before, facts=facts, tools=(read,)
            )
        return self._read_back(state, want, terms, customer, setting, read=read, before=before, facts=facts)

    async def value(
        self, state: ConversationState, filling: Filling, name: str, given: Utterance, setting: Setting
    ) -> Draft | None:
        """What the caller says when he is asked for a value; None if that is none."""
        tool = setting.reads.declared(filling.tool)
        rule = self._rules.rule(filling.want.intent)
        if tool is None or rule is None or name not in tool.request.model_fields:
            return None
        value = slots.value_of(
            tool.request,
            name,
            given.raw,
            self._phrases.choices.get(f"{tool.name}.{name}", {}),
            setting.scene.now.date(),
        )
        if value is None and name in filling.offered and _says_yes(given):
            value = filling.offered[name]
        if value is None:
            open_ = name not in slots.unfit(tool.request, filling.values)
            if open_ and not _says_yes(given):  # it may be left open; a yes to "which?" leaves nothing open
                return await self.take(state, filling.want, rule, setting)
            return self._values.ask(state, filling, tool, name)
        known = filling.model_copy(update={"values": {**filling.values, name: value}, "offered": {}})
        state = state.model_copy(update={"filling": known})
        return await self.take(state, filling.want, rule, setting)

    def _impossible(
        self,
        state: ConversationState,
        want: Want,
        tool: Tool,
        outcome: Outcome,
        read: ToolRead,
        setting: Setting,
        *,
        before: tuple[Part, ...] = (),
        facts: tuple[Fact, ...] = (),
        leaves: Left | None = None,
    ) -> Draft:
        """The records say that it cannot be done: said from them, with what helps instead."""
        said = Said(self._after.words(tool, outcome))
        hint = tool.hints.get(outcome.outcome, "")
        filling = state.filling
        if hint.startswith(ASK) and filling is not None:
            name = hint.removeprefix(ASK)
            values = {key: value for key, value in filling.values.items() if key != name}
            first = outcome.model_dump(mode="json").get(f"{OFFERS}{name}")
            offered = {name: first} if first is not None else {}
            filling = filling.model_copy(update={"values": values, "offered": offered})
            state = state.model_copy(update={"filling": filling})
            if filling.asked.count(name) < MOST_ASKED:
                asked = Asked(kind=AskedKind.SLOT, slot=name, want=want)
                question = Question((replace(said, question=True),), asked)
                reason = f"{tool.name}: {outcome.outcome}"
                draft = self._values.put(state, filling, tool, name, question, reason, before=before)
                return replace(draft, facts=facts, tools=(read,), leaves=leaves)
        state = finished(state, want)
        state, question = self._after.onward(state, want, hint)
        draft = self._steering.say(
            state,
            want.intent,
            f"{want.intent}/not_possible/{outcome.outcome}",
            (*before, said),
            question,
            reasons=(f"{tool.name}: {outcome.outcome}",),
            confidences=sure_of(want),
        )
        return replace(draft, route=Route.GROUNDED, facts=facts, tools=(read,), tier=2, leaves=leaves)

    def _read_back(
        self,
        state: ConversationState,
        want: Want,
        prepared: Prepared,
        customer: VerifiedCustomer,
        setting: Setting,
        *,
        read: ToolRead | None = None,
        before: tuple[Part, ...] = (),
        facts: tuple[Fact, ...] = (),
        leaves: Left | None = None,
    ) -> Draft:
        """The proposal, or, without a grant, a person's approval of it first."""
        scene = setting.scene
        ruling = self._rules.decide(state, setting, want.intent, sure_of(want))
        proposed = Proposed(
            id=proposals.id_of(scene.conversation_id, scene.turn),
            intent=want.intent,
            tool=prepared.tool.name,
            digest=prepared.digest(customer_id=customer.customer_id, policy_version=self._rules.version),
            policy_version=self._rules.version,
            canonical=prepared.canonical,
            customer_id=customer.customer_id,
            essentials=essentials(prepared),
        )
        tools = (read,) if read is not None else ()
        if ruling.action in _GRANTED:
            asked = Asked(kind=AskedKind.PROPOSAL, want=want, proposes=proposed.id)
            draft = self._steering.say(
                state,
                want.intent,
                ruling.row,
                before,
                Question((self._words(prepared),), asked, YES_NO),
                action=Action.PROPOSE,
                reasons=ruling.reasons,
                confidences=sure_of(want),
            )
            return replace(
                draft,
                tier=ruling.tier,
                facts=(*facts, _proposed(proposed)),
                tools=tools,
                proposal=NewProposal(proposed),
                owner=owner_of(ruling),
                leaves=leaves,
            )
        if ruling.action is not Action.DRAFT:
            rule = self._rules.rule(want.intent)
            assert rule is not None
            return replace(self._routing.escalate(state, want, rule, ruling, setting), facts=facts)
        words = self._words(prepared).text
        held = self._holding.hold(
            state.model_copy(update={"filling": None}),
            want,
            words,
            setting,
            ruling,
            confidences=sure_of(want),
        )
        if held.approval is None:  # nobody is there to give it
            return replace(held, parts=(*before, *held.parts), facts=facts, tools=tools, leaves=leaves)
        waiting = tuple(
            one.model_copy(update={"proposes": proposed.id}) if one.turn == scene.turn else one
            for one in held.state.held
        )
        return replace(
            held,
            state=held.state.model_copy(update={"held": waiting}),
            approval=replace(held.approval, proposal=proposed.id),
            parts=(*before, Line("act.hold")),
            facts=(*facts, _proposed(proposed)),
            tools=tools,
            proposal=NewProposal(proposed, waits=True),
            leaves=leaves,
        )

    def names(self, filling: Filling, name: str, given: Utterance) -> bool:
        """Whether the words name one of the few cases that a value has: then they are meant as that."""
        return self._values.names(filling, name, given)

    # --- the answer to it -------------------------------------------------------------

    async def answered(
        self, state: ConversationState, asked: Asked, given: Given, setting: Setting, *, other: bool = False
    ) -> Draft | None:
        """What the caller answered to a read-back. None: it is something else, which is dealt with as such.

        Args:
            state: as it stands.
            asked: the question, with the proposal's id.
            given: the answer.
            setting: the turn.
            other: the words are certainly another wish.
        """
        assert asked.proposes is not None
        assert asked.want is not None
        want = asked.want
        found = await setting.reads.proposal(asked.proposes)
        if given.key is not None:
            verdict = Consent.YES if given.key else Consent.NO
        else:
            assert given.utterance is not None
            tool = None if found is None else found[0].proposed.tool
            deed = frozenset((tool or "").split("_")) - {"item"}
            words = given.utterance
            verdict = consent(words.raw.text, words.raw.alternatives, deed=deed)
        match verdict:
            case Consent.NO:
                return self._declined(state, want)
            case Consent.YES:
                return await self._agreed(state, want, asked, found, given, setting)
            case Consent.UNCLEAR:
                return await self._unclear(state, want, asked, found, given, setting, other=other)

    def _declined(self, state: ConversationState, want: Want) -> Draft:
        state, question = self._steering.and_next(finished(state, want))
        draft = self._steering.say(state, "no", "proposal/no", (Line("say.dropped"),), question)
        return replace(draft, leaves=Left("declined", "the caller said no"))

    async def _unclear(
        self,
        state: ConversationState,
        want: Want,
        asked: Asked,
        found: tuple[Standing, Prepared | None] | None,
        given: Given,
        setting: Setting,
        *,
        other: bool,
    ) -> Draft | None:
        """Neither a yes nor a no: new facts are proposed anew, another wish is taken up, else asked again."""
        assert given.utterance is not None
        rule = self._rules.rule(want.intent)
        number = self._another_reference(given.utterance)
        if number is not None and rule is not None and rule.act is not None:
            draft = await self.take(state, want, rule, setting, reference=number)
            return replace(draft, leaves=Left("voided", "new arguments"))
        if other:
            return None
        key = f"consent:{asked.proposes}"
        times = state.clarified.count(key)
        if times >= MOST_UNCLEAR or found is None or found[1] is None:
            state = finished(state, want)
            draft = self._steering.say(
                state,
                want.intent,
                "proposal/unclear/enough",
                (Line("act.unclear", times),),
                person_question(want),
            )
            return replace(draft, leaves=Left("voided", "no clear answer"), tier=2)
        state = state.model_copy(update={"clarified": (*state.clarified, key)})
        draft = self._again(state, want, asked, found[1], (Line("act.unclear", times),), "unclear")
        return replace(draft, reasons=("neither a clear yes nor a clear no",))

    def _again(
        self,
        state: ConversationState,
        want: Want,
        asked: Asked,
        prepared: Prepared,
        before: tuple[Part, ...],
        row: str,
    ) -> Draft:
        """The same read-back once more, in short, with all its values."""
        draft = self._steering.say(
            state,
            want.intent,
            f"proposal/{row}",
            before,
            Question((self._words(prepared, 1),), asked, YES_NO),
            action=Action.PROPOSE,
        )
        return replace(draft, reads_again=True, tier=2)

    async def _agreed(
        self,
        state: ConversationState,
        want: Want,
        asked: Asked,
        found: tuple[Standing, Prepared | None] | None,
        given: Given,
        setting: Setting,
    ) -> Draft:
        """The caller said yes: the act, if the yes counts; else what was missing, in short."""
        customer = self._gate.customer(state.gate)
        rule = self._rules.rule(want.intent)
        if found is None or customer is None or rule is None:
            state = finished(state, want)
            return self._after.failed(state, want, "nothing to agree to", ())
        standing, prepared = found
        stale = self._stale(standing, prepared, customer, setting)
        if stale is not None or prepared is None:
            draft = await self.take(
                _emptied(state, want, prepared), want, rule, setting, before=(Line("act.anew"),)
            )
            return replace(draft, leaves=Left("voided", stale or "its tool changed"))
        if not standing.heard:
            draft = self._again(state, want, asked, prepared, (), "unheard")
            return replace(draft, reasons=("yes came before the read-back was heard",))
        ruling = self._rules.decide(state, setting, want.intent, sure_of(want))
        if ruling.action not in _GRANTED and standing.approved_by is None:
            draft = await self.take(_emptied(state, want, prepared), want, rule, setting)
            return replace(draft, leaves=Left("voided", "no grant (any more)"))
        read, moved = await self._as_it_was(state, want, prepared, customer, setting)
        if read is None or moved is not None:
            return moved or self._after.failed(state, want, "the records were not asked", ())
        return self._after.acting(
            state, want, standing, prepared, customer, given.key is not None, setting, read, ruling.tier
        )

    async def questioned(
        self, state: ConversationState, asked: Asked, setting: Setting, *, doubted: bool
    ) -> Draft | None:
        """What is said to "are you sure?" and "why?" after a read-back, which stays open; None: none stands.

        The records are asked again, so that it is their word and not ours.

        Args:
            state: as it stands.
            asked: the question, with the proposal's id.
            setting: the turn.
            doubted: whether it is so was asked, not why.
        """
        want, customer = asked.want, self._gate.customer(state.gate)
        key = f"questioned:{asked.proposes}"
        if want is None or asked.proposes is None or customer is None:
            return None
        found = await setting.reads.proposal(asked.proposes)
        if found is None or state.clarified.count(key) >= MOST_QUESTIONED:
            return None
        standing, prepared = found
        if prepared is None or self._stale(standing, prepared, customer, setting) is not None:
            return None
        read, moved = await self._as_it_was(state, want, prepared, customer, setting)
        if read is None or moved is not None:
            return moved
        state = state.model_copy(update={"clarified": (*state.clarified, key)})
        before = (Line("act.sure" if doubted else "act.why"),)
        draft = self._again(state, want, asked, prepared, before, "questioned")
        return replace(
            draft,
            tools=(read,),
            reasons=("the caller asks about what was read back",),
        )

    async def _as_it_was(
        self,
        state: ConversationState,
        want: Want,
        prepared: Prepared,
        customer: VerifiedCustomer,
        setting: Setting,
    ) -> tuple[ToolRead | None, Draft | None]:
        """What the records say of it now; with the turn that follows if that is not what was read back."""
        try:
            read, terms = await setting.reads.terms(
                prepared.tool.name, prepared.arguments, customer=customer, purpose=want.intent
            )
        except ToolRefused as error:
            return None, self._after.failed(state, want, str(error), ())
        if terms is None:
            draft = self._after.failed(state, want, read.error or "no result", ())
            return read, replace(draft, tools=(read,), leaves=Left("voided", "the records do not answer"))
        changed = Left("voided", "the records changed")
        if isinstance(terms, Outcome):
            return read, self._impossible(state, want, prepared.tool, terms, read, setting, leaves=changed)
        if terms.canonical != prepared.canonical:
            return read, self._read_back(
                _emptied(state, want, prepared),
                want,
                terms,
                customer,
                setting,
                read=read,
                before=(Line("act.changed_since"),),
                leaves=changed,
            )
        return read, None

    def _stale(
        self, standing: Standing, prepared: Prepared | None, customer: VerifiedCustomer, setting: Setting
    ) -> str | None:
        """Why a yes to it counts for nothing (any more); None: it counts."""
        proposed = standing.proposed
        if prepared is None:
            return "its tool changed"
        if standing.status != "open":
            return f"it is {standing.status}"
        if standing.expired:
            return "expired"
        if standing.turn != setting.scene.turn - 1:
            return "another turn came between"
        if proposed.policy_version != self._rules.version:
            return "the policy changed"
        if proposed.customer_id != customer.customer_id:
            return "another customer"
        digest = prepared.digest(customer_id=customer.customer_id, policy_version=self._rules.version)
        return None if digest == proposed.digest else "another digest"

    # --- a person's approval ----------------------------------------------------------

    async def decided(self, state: ConversationState, given: AgentDecision, setting: Setting) -> Draft:
        """A person has decided on an act: it is read back to the caller now, or dropped."""
        held = next(one for one in state.held if one.draft == given.draft)
        assert held.proposes is not None
        if given.verdict != "approve":
            # An edited text is said as it is; the act it was about is not done.
            draft = self._holding.decided(state, given, setting)
            return replace(draft, leaves=Left("voided", f"a person decided: {given.verdict}"))
        state = state.model_copy(update={"held": tuple(one for one in state.held if one != held)})
        settled = (held.draft, given.verdict, given.agent)
        facts = (
            Fact("draft.decided", {"draft": held.draft, "verdict": given.verdict, "agent": given.agent}),
        )
        want = held.want
        customer = self._gate.customer(state.gate)
        found = await setting.reads.proposal(held.proposes)
        prepared = None if found is None else found[1]
        if found is None or prepared is None or customer is None or found[0].status != "waiting":
            draft = self._after.failed(state, want, "what was approved can not be done (any more)", facts)
            return replace(draft, decides=settled)
        read, terms = await setting.reads.terms(
            prepared.tool.name, prepared.arguments, customer=customer, purpose=want.intent
        )
        same = isinstance(terms, Prepared) and terms.canonical == prepared.canonical
        if not same or found[0].proposed.policy_version != self._rules.version:
            draft = self._after.failed(state, want, "the facts changed since it was approved", facts)
            return replace(draft, decides=settled, tools=(read,))
        before = self._holding.opening(state, held, setting.scene.turn)
        asked = Asked(kind=AskedKind.PROPOSAL, want=want, proposes=held.proposes)
        draft = self._again(state, want, asked, prepared, before, "approved")
        return replace(
            draft,
            reads_again=False,
            approves=(held.proposes, given.agent),
            decides=settled,
            facts=facts,
            tools=(read,),
            reasons=("approved by a person: approve",),
        )

    # --- words ------------------------------------------------------------------------

    def _words(self, prepared: Prepared, nth: int = 0) -> Said:
        """The read-back: the deployment's line for this tool, filled from what is stored."""
        line = self._phrases.text(f"propose.{prepared.tool.name}", nth, **prepared.values)
        return Said(line, question=True)

    def _another_reference(self, given: Utterance) -> str | None:
        """Another order's number among the words."""
        factor = self._gate.rules.factors[0]
        raw = given.raw
        found = slots.read_digits(raw.text, factor.digits, raw.alternatives, limit=1)
        return found[0] if found else None


def _says_yes(given: Utterance) -> bool:
    return consent(given.raw.text, given.raw.alternatives) is Consent.YES


def essentials(prepared: Prepared) -> tuple[str, ...]:
    """The values that a caller must have heard, as they are spoken."""
    return tuple(spoken(value) for value in prepared.must_hear.values())


def _proposed(proposed: Proposed) -> Fact:
    return Fact("act.proposed", {"act": proposed.tool, "proposal": proposed.id, "digest": proposed.digest})


def _emptied(state: ConversationState, want: Want, prepared: Prepared | None) -> ConversationState:
    """Ready to be proposed anew, with the values that were given."""
    if prepared is None:
        return state.model_copy(update={"filling": None})
    values = prepared.request.model_dump(mode="json", exclude_unset=True)
    asked = tuple(prepared.tool.request.model_fields)
    filling = Filling(want=want, tool=prepared.tool.name, values=values, asked=asked)
    return state.model_copy(update={"filling": filling})
