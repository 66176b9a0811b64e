"""The way through the identity gate: facts in, the next question or the answer behind the gate out."""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import Action, Confidences, Keys, Route, Utterance
from voicebot.dialogue.connectors.connector import ConnectorError
from voicebot.dialogue.flow.answers import Answers
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.questions import factor_question
from voicebot.dialogue.flow.rules import Rules
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line, Part
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.flow.trial import Trial
from voicebot.dialogue.flow.unheard import Kind, keypad_first
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import ConversationState, CustomerFacts
from voicebot.safety.identity import (
    Ask,
    AskHow,
    Check,
    CheckCode,
    FactorKind,
    Gate,
    GateProgress,
    IdentityRecord,
    Passed,
    Refused,
    SendCode,
    not_come,
    refuses,
)

MESSAGE = "identity.code.message"
"""The line that goes out as a text message, with ``{code}`` in it."""


class Verifying:
    """Drafts the turns at the gate. Stateless."""

    def __init__(
        self, rules: Rules, gate: Gate, steering: Steering, answers: Answers, phrases: Phrases
    ) -> None:
        self._rules = rules
        self._gate = gate
        self._steering = steering
        self._answers = answers
        self._phrases = phrases

    async def take(
        self, state: ConversationState, given: Utterance | Keys, asked: str | None, setting: Setting
    ) -> Draft:
        """Takes facts out of an input (for ``asked``, or unasked) and goes on."""
        level = self._level(state)
        if isinstance(self._gate.next(state.gate, level), Passed):
            return await self._answers.from_tool(state, setting, digits=self._another_reference(given))
        if asked is not None and self.sidesteps(given, asked):
            return await self._without(state, asked, setting)
        before = state.gate
        state = state.model_copy(update={"gate": self._gate.hear(before, given, asked=asked, level=level)})
        return await self.go_on(state, setting, heard=self._newly_heard(before, state.gate, given))

    def sidesteps(self, given: Utterance | Keys, asked: str) -> bool:
        """Whether the caller does not give what was asked for: he refuses, or the code did not come.

        The reference is another matter: without it there is nobody to verify.
        """
        if isinstance(given, Keys) or asked == self._gate.rules.factors[0].name:
            return False
        if self._gate.holds_digits(given, asked):
            return False
        text = given.raw.text
        code = self._gate.rules.factor(asked).kind is FactorKind.CODE
        return refuses(text) or (code and not_come(text))

    async def _without(self, state: ConversationState, asked: str, setting: Setting) -> Draft:
        """Another code, or else another fact; where policy has none, a person."""
        if self._gate.rules.factor(asked).kind is FactorKind.CODE:
            progress = self._gate.code_lapsed(state.gate)
        else:
            progress = self._gate.decline(state.gate, asked)
        draft = await self.go_on(state.model_copy(update={"gate": progress}), setting)
        if draft.after == "hand_over":
            return draft
        return replace(draft, parts=(Line("identity.other"), *draft.parts))

    async def undelivered(
        self, state: ConversationState, asked: str | None, setting: Setting
    ) -> Draft | None:
        """The code that is waited for will not come: said so, and another way. None: nothing is known of it.

        No second one goes to a number that took none.
        """
        if asked is None or self._gate.rules.factor(asked).kind is not FactorKind.CODE:
            return None
        if not await setting.reads.code_undelivered():
            return None
        declined = state.model_copy(update={"gate": self._gate.decline(state.gate, asked)})
        draft = await self.go_on(declined, setting)
        return replace(draft, parts=(Line("identity.code.undelivered"), *draft.parts))

    async def go_on(
        self,
        state: ConversationState,
        setting: Setting,
        confidences: Confidences = Confidences(),  # noqa: B008  # frozen
        *,
        heard: tuple[str, str] | None = None,
    ) -> Draft:
        """The gate's next step: a question, a check, the answer, or a person."""
        step = self._gate.next(state.gate, self._level(state))
        try:
            match step:
                case Check():
                    return await self._check(state, step, setting, confidences)
                case SendCode():
                    return await self._send(state, step, setting, confidences)
                case CheckCode():
                    return await self._check_code(state, step, setting, confidences)
                case _:
                    return await self._stepped(state, setting, confidences, (), heard)
        except ConnectorError as error:
            return self._unreachable(state, str(error))

    async def _stepped(
        self,
        state: ConversationState,
        setting: Setting,
        confidences: Confidences,
        facts: tuple[Fact, ...],
        heard: tuple[str, str] | None = None,
        records: tuple[IdentityRecord, ...] = (),
    ) -> Draft:
        """What follows once nothing is left to compare."""
        step = self._gate.next(state.gate, self._level(state))
        match step:
            case Passed():
                return await self._passed(state, setting, facts)
            case Refused():
                return self._refused(state, step, facts)
            case Ask():
                return self._ask(state, step, setting, confidences, facts, heard)
            case SendCode():
                return await self._send(state, step, setting, confidences, facts, records)
            case Check() | CheckCode():
                raise AssertionError("a checked try is either passed or cleared")

    async def _check(
        self, state: ConversationState, step: Check, setting: Setting, confidences: Confidences
    ) -> Draft:
        """Compares the facts. It counts with the commit, where nobody else may have tried meanwhile."""
        if await setting.reads.locked(step.references):
            return self._locked(state)
        records = await setting.reads.identities(step.references)
        progress = self._gate.check(state.gate, records, self._level(state))
        passed = progress.tries == state.gate.tries
        facts = (_verified(progress) if passed else _not_matched(progress),)
        match = progress.match
        first = (match.reference,) if passed and match is not None else ()
        known = tuple(record for value, record in records if value in first)
        after = state.model_copy(update={"gate": progress})
        draft = await self._stepped(after, setting, confidences, facts, None, known)
        if draft.trial is not None:  # a code is sent at once: that counts
            return draft
        return replace(
            draft,
            trial=Trial(
                kind="facts",
                expected="matched" if passed else "not_matched",
                then=lambda _: (
                    draft if draft.after == "hand_over" and not passed else self._locked(state, facts)
                ),
                references=tuple(dict.fromkeys((*first, *step.references))),
            ),
        )

    async def _send(
        self,
        state: ConversationState,
        step: SendCode,
        setting: Setting,
        confidences: Confidences,
        facts: tuple[Fact, ...] = (),
        records: tuple[IdentityRecord, ...] = (),
    ) -> Draft:
        """Sends a code with the commit; where none can be sent, another fact is asked for, or a person."""
        if await setting.reads.locked((step.reference,)):
            return self._locked(state)
        record = await self._record(state, step.reference, setting, records)
        code = next(one for one in self._gate.rules.factors if one.kind is FactorKind.CODE)
        without = state.model_copy(update={"gate": self._gate.decline(state.gate, code.name)})
        instead = await self._stepped(without, setting, confidences, facts)
        if instead.after != "hand_over":
            instead = replace(instead, parts=(Line("identity.code.not_sent"), *instead.parts))
        if record is None or not record.number or not setting.reads.texting:
            return instead
        sent = (*facts, Fact("identity.code_sent", {"tries": state.gate.tries}))
        after = state.model_copy(update={"gate": self._gate.sent(state.gate)})
        draft = await self._stepped(after, setting, confidences, sent)
        minutes = str(self._gate.rules.code.minutes)
        trial = Trial(
            kind="send",
            expected="sent",
            then=lambda outcome: self._locked(state, facts) if outcome == "locked" else instead,
            references=(step.reference,),
            customer_id=record.customer_id,
            number=record.number,
            digits=code.digits,
            words=self._phrases.text(MESSAGE, minutes=minutes, code="{code}"),
        )
        return replace(draft, trial=trial)

    async def _check_code(
        self, state: ConversationState, step: CheckCode, setting: Setting, confidences: Confidences
    ) -> Draft:
        """Looks whether the code is right; with the commit it counts and is used up."""
        if await setting.reads.locked((step.reference,)):
            return self._locked(state)
        record = await self._record(state, step.reference, setting)
        number = record.number if record is not None else ""
        told = await setting.reads.code(step.candidates, number)
        lapsed = state.model_copy(update={"gate": self._gate.code_lapsed(state.gate)})
        if told == "expired":
            draft = await self._stepped(lapsed, setting, confidences, ())
            return replace(draft, parts=(Line("identity.code.expired"), *draft.parts))
        progress = self._gate.code_checked(state.gate, right=told == "right")
        facts = (_verified(progress) if told == "right" else _not_matched(progress),)
        draft = await self._stepped(state.model_copy(update={"gate": progress}), setting, confidences, facts)
        wrong = state.model_copy(update={"gate": self._gate.code_checked(state.gate, right=False)})

        def otherwise(outcome: str) -> Draft:
            """It ran out, was used, or too much was tried elsewhere, between plan and commit."""
            if outcome == "locked":
                return draft if draft.after == "hand_over" and told != "right" else self._locked(state, facts)
            step = self._gate.next(wrong.gate, self._level(wrong))
            if isinstance(step, Ask):
                return self._ask(wrong, step, setting, confidences, (_not_matched(wrong.gate),), None)
            return self._locked(wrong)

        trial = Trial(
            kind="code",
            expected=told,
            then=otherwise,
            references=(step.reference,),
            code=step.candidates,
            number=number,
        )
        return replace(draft, trial=trial)

    async def _record(
        self,
        state: ConversationState,
        reference: str,
        setting: Setting,
        records: tuple[IdentityRecord, ...] = (),
    ) -> IdentityRecord | None:
        """The record of the caller who is known already."""
        known = state.gate.match
        found = records or tuple(one for _, one in await setting.reads.identities((reference,)))
        return next(
            (one for one in found if known is not None and one.customer_id == known.customer_id), None
        )

    async def _passed(self, state: ConversationState, setting: Setting, facts: tuple[Fact, ...]) -> Draft:
        """Verified just now: what is known of the customer counts from here on, and only from here on."""
        customer = self._gate.customer(state.gate)
        assert customer is not None  # the gate has passed
        intent = state.topic.intent if state.topic else "identity"
        known, recall = await setting.reads.remembered(
            customer,
            intent=intent,
            told=state.told,
            now=setting.scene.now,
            layers=self._cleared(state, setting),
        )
        state = state.model_copy(
            update={
                "customer": CustomerFacts(segment=known.segment, region=known.region),
                "slots": {**known.slots, **state.slots},
            }
        )
        draft = await self._answers.from_tool(state, setting, facts=facts, recall=recall)
        return replace(draft, remembers=known.remembers, gave=dict(state.slots))

    def _level(self, state: ConversationState) -> int:
        """What must be proved for what the caller wants."""
        return self._gate.rules.demanded(state.topic.intent if state.topic else None)

    def _cleared(self, state: ConversationState, setting: Setting) -> tuple[str, ...] | None:
        """The layers of memory that policy opens for what the caller wants; None: he has not said."""
        want = state.topic
        if want is None:
            return None
        certain = Confidences(classification=want.confidence, grounding=1.0, answer=1.0)
        return self._rules.decide(state, setting, want.intent, certain).clearances

    def _ask(
        self,
        state: ConversationState,
        step: Ask,
        setting: Setting,
        confidences: Confidences,
        facts: tuple[Fact, ...],
        heard: tuple[str, str] | None,
    ) -> Draft:
        intent = state.topic.intent if state.topic else "identity"
        tier = rule.tier if (rule := self._rules.rule(intent)) else 1
        if confidences.classification is None and state.topic is not None:
            confidences = Confidences(classification=round(state.topic.confidence, 4))
        ruling = self._rules.decide(state, setting, intent, confidences)
        keyed = step.factor.keys > 0
        if keyed and step.how in {AskHow.FIRST, AskHow.AGAIN} and keypad_first(state.hearing, Kind.DIGITS):
            step = replace(step, how=AskHow.KEYPAD, nth=0)
        said_back = heard if heard is not None and heard[0] != step.factor.name else None
        question = factor_question(step, said_back)
        parts: tuple[Part, ...] = ()
        if any(one.type == "identity.not_matched" for one in facts) and step.how is AskHow.KEYPAD:
            parts = (Line("identity.refused"),)
        return Draft(
            state=state,
            intent=intent,
            action=Action.CLARIFY,
            route=Route.FIXED,
            row=ruling.row,
            tier=tier,
            reasons=(f"identity: {step.factor.name}, {step.how}",),
            confidences=confidences,
            parts=(*parts, *question.parts),
            expects=question.expects,
            asked=question.asked,
            facts=facts,
        )

    def _refused(self, state: ConversationState, step: Refused, facts: tuple[Fact, ...]) -> Draft:
        intent = state.topic.intent if state.topic else "identity"
        matched = Line("identity.refused")
        if step.reason == "not_understood":  # nothing was compared, so nothing failed to match
            matched = Line(f"identity.{self._missing(state)}.missing")
        elif step.reason == "declined":
            matched = Line(f"identity.{state.gate.declined[-1]}.missing")
        elif step.reason == "locked":
            matched = Line("identity.locked")
        draft = self._steering.person(
            state,
            intent,
            f"identity/{step.reason}",
            trigger="identity_not_verified",
            before=(matched,),
            tier=1,
            reasons=(step.reason,),
        )
        refused = Fact("identity.refused", {"reason": step.reason, "tries": state.gate.tries})
        return _with_facts(draft, (*facts, refused))

    def _locked(self, state: ConversationState, facts: tuple[Fact, ...] = ()) -> Draft:
        """Too many tries in a while, here or elsewhere: nothing is compared, a person takes over."""
        state = state.model_copy(update={"gate": self._gate.lock(state.gate)})
        kept = tuple(one for one in facts if one.type == "identity.not_matched")
        return self._refused(state, Refused("locked"), kept)

    def _missing(self, state: ConversationState) -> str:
        """The first factor that the caller has not given."""
        factors = self._gate.rules.factors
        open_ = (one.name for one in factors if self._gate.heard_as(state.gate, one.name) is None)
        return next(open_, factors[0].name)

    def _unreachable(self, state: ConversationState, reason: str) -> Draft:
        return self._steering.person(
            state,
            state.topic.intent if state.topic else "identity",
            "identity/records_down",
            trigger="tool_error",
            before=(Line("tool.failed"),),
            tier=1,
            reasons=(reason,),
        )

    def _newly_heard(
        self, before: GateProgress, after: GateProgress, given: Utterance | Keys
    ) -> tuple[str, str] | None:
        """The reference the caller just spoke: only it is said back, and only in his own digits."""
        name = self._gate.rules.factors[0].name
        value = self._gate.heard_as(after, name)
        spoken = isinstance(given, Utterance) and value is not None
        return (name, value) if spoken and value and self._gate.heard_as(before, name) != value else None

    def _another_reference(self, given: Utterance | Keys) -> str | None:
        progress = self._gate.hear(GateProgress(), given)  # of level 1: only a reference counts unasked
        return self._gate.heard_as(progress, self._gate.rules.factors[0].name)


def _with_facts(draft: Draft, facts: tuple[Fact, ...]) -> Draft:
    return replace(draft, facts=facts)


def _verified(progress: GateProgress) -> Fact:
    data = {"tries": progress.tries}
    level = progress.match.level if progress.match is not None else 0
    return Fact("identity.verified", data if level < 2 else {**data, "level": level})


def _not_matched(progress: GateProgress) -> Fact:
    return Fact("identity.not_matched", {"tries": progress.tries})
