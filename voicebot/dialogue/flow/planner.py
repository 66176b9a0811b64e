"""From an input and a state to a draft: which turn this is, what it needs to read, what it says.

The decisions are pure (`Steering`, `Gate`, `Rules`, `Monitor`); the flows route between them and await
the reads. Nothing here writes.
"""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import (
    BY_CALLER,
    AgentDecision,
    CallStarted,
    Channel,
    Keys,
    LateResult,
    NotHeard,
    PaymentOver,
    Silence,
    Timer,
    TransferFailed,
    TurnInput,
    Utterance,
    Whispered,
)
from voicebot.dialogue.flow.abstaining import Abstaining
from voicebot.dialogue.flow.also import with_the_others
from voicebot.dialogue.flow.answers import Answers
from voicebot.dialogue.flow.bare import Bare
from voicebot.dialogue.flow.call_backs import CallBacks
from voicebot.dialogue.flow.calling import Outgoing
from voicebot.dialogue.flow.coming_back import ComingBack
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.escalating import Escalating
from voicebot.dialogue.flow.guarding import Guarding
from voicebot.dialogue.flow.holding import Holding
from voicebot.dialogue.flow.late import LateResults
from voicebot.dialogue.flow.leaning import Leaning
from voicebot.dialogue.flow.leaving import Leaving
from voicebot.dialogue.flow.linking import Linking, with_page
from voicebot.dialogue.flow.nobody import Nobody
from voicebot.dialogue.flow.paying import Payments
from voicebot.dialogue.flow.promising import Promising
from voicebot.dialogue.flow.proposing import Proposing
from voicebot.dialogue.flow.rating import Rating
from voicebot.dialogue.flow.reads import Reads
from voicebot.dialogue.flow.reasons import Reasons
from voicebot.dialogue.flow.routing import Routing
from voicebot.dialogue.flow.rules import Rules
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.flow.straining import Straining
from voicebot.dialogue.flow.turn import (
    CallerTurn,
    Flows,
    asked_factor,
    danger_in,
    offered_beside,
    wish_for_a_person,
)
from voicebot.dialogue.flow.unheard import Unheard, at_beginning, at_end, keypad_at_once, put_otherwise
from voicebot.dialogue.flow.verifying import Verifying
from voicebot.dialogue.flow.wanting import Wanting
from voicebot.dialogue.flow.whispering import Whispering
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.intents import OUT_OF_SCOPE, IntentCatalog
from voicebot.dialogue.monitor.course import Course, signals
from voicebot.dialogue.monitor.monitor import Monitor, Reading
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.scene import Scene
from voicebot.dialogue.state import AskedKind, ConversationState
from voicebot.safety.guard_in import GuardReading, InputGuard, Kind, Source
from voicebot.safety.guard_in.reading import ATTACKS
from voicebot.safety.identity import Gate
from voicebot.safety.policy import Policy
from voicebot.safety.spoken_numbers import count_digits


class Planner:
    """Plans turns of one deployment. Stateless; shared by all conversations of a node."""

    def __init__(
        self,
        *,
        monitor: Monitor,
        policy: Policy,
        gate: Gate,
        phrases: Phrases,
        intents: IntentCatalog,
        writers: Writers,
        guard: InputGuard,
    ) -> None:
        rules = Rules(policy, gate)
        steering = Steering(phrases, intents, policy, gate)
        promising = Promising(steering, gate)
        abstaining = Abstaining(steering, promising, phrases, intents)
        routing = Routing(steering, gate)
        self._steering = steering
        self._phrases = phrases
        self._holding = Holding(steering)
        self._guard = guard
        self._guarding = Guarding(steering, policy.table.conduct)
        self._straining = Straining(steering, phrases, intents, policy.table.triggers.loop)
        self._escalating = Escalating(steering, rules)
        self._proposing = Proposing(rules, gate, steering, phrases, intents, self._holding, routing)
        answers = Answers(
            rules,
            gate,
            phrases,
            steering,
            abstaining,
            promising,
            self._holding,
            routing,
            writers,
            self._proposing,
        )
        verifying = Verifying(rules, gate, steering, answers, phrases)
        self._late = LateResults(answers)
        self._payments = Payments(steering, policy.table)
        leaving, linking = Leaving(steering), Linking(steering, phrases)
        self._flows = Flows(
            monitor=monitor,
            rules=rules,
            gate=gate,
            phrases=phrases,
            intents=intents,
            steering=steering,
            verifying=verifying,
            wanting=Wanting(rules, gate, intents, steering, answers, verifying, promising, routing),
            abstaining=abstaining,
            promising=promising,
            proposing=self._proposing,
            answers=answers,
            unheard=Unheard(steering, phrases, intents, gate, policy.table.ladder),
            reasons=Reasons(rules, gate, steering, intents),
            bare=Bare(rules, steering, phrases, intents),
            call_backs=CallBacks(rules, intents, promising),
            leaning=Leaning(rules, intents, monitor),
            nobody=Nobody(steering, promising, leaving, linking),
            leaving=leaving,
            linking=linking,
            outgoing=Outgoing(steering, phrases, intents),
        )
        self._coming_back = ComingBack(steering, promising, self._flows.nobody)
        self._rating = Rating(steering, policy.table.csat)
        self._whispering = Whispering(steering, intents)

    async def draft(self, scene: Scene, state: ConversationState, given: TurnInput, reads: Reads) -> Draft:
        """The turn that ``given`` causes in ``state``. Reads only."""
        state = state.model_copy(update={"risk": state.risk.begun(scene.now)})
        draft = self._escalating.switched(await self._draft(scene, state, given, reads), scene)
        draft = self._rating.before_goodbye(self._whispering.offered(draft), scene.channel)
        draft = with_page(self._flows.nobody.instead(draft, Setting(scene, reads)))
        draft = with_the_others(draft, self._flows.intents)
        if scene.channel in {Channel.PHONE, Channel.BROWSER}:
            draft = keypad_at_once(at_end(_with_unsettled_question(state), draft, given))
        lines = self._phrases.on(scene.channel)
        draft = replace(draft, parts=put_otherwise(draft.parts, state.last_said, lines))
        draft = self._escalating.finished(draft, scene)
        return replace(draft, category=self._flows.intents.category(draft.intent))

    async def _draft(self, scene: Scene, state: ConversationState, given: TurnInput, reads: Reads) -> Draft:
        cut_off = state.cut_off
        state = at_beginning(_with_unsettled_question(state), given).model_copy(update={"cut_off": None})
        draft = await self._given(Setting(scene, reads), state, given, cut_off)
        late = self._holding.late(state, scene.now) if given.kind in BY_CALLER else None
        if late is None or draft.after == "hand_over" or await reads.decided(late.about) is not None:
            return draft
        return replace(self._holding.overdue(state, late), scores=draft.scores)

    async def _given(
        self, setting: Setting, state: ConversationState, given: TurnInput, cut_off: str | None
    ) -> Draft:
        if state.paying is not None:
            if given.kind in BY_CALLER:
                spoken = given if isinstance(given, Utterance) else None
                return await self._payments.meanwhile(state, state.paying, spoken, setting)
            if isinstance(given, CallStarted | PaymentOver):
                return await self._payments.over(state, state.paying, setting)
        if state.asked is not None and state.asked.kind is AskedKind.MESSAGE:
            left = self._message(state, given, setting)
            if left is not None:
                return left
        rated = self._rating.answered(state, given, setting.scene.channel, self._goes_on)
        if rated is not None:
            return rated
        match given:
            case CallStarted():
                if not state.greeted and state.calling is not None:
                    return self._flows.outgoing.opening(state, state.calling)
                if not state.greeted:
                    return self._steering.greeting(state, after_loss=given.resumed)
                return self._steering.recovery(state)
            case Silence():
                undelivered = await self._flows.verifying.undelivered(state, asked_factor(state), setting)
                return undelivered or self._holding.still(state) or self._steering.silence(state, given.nth)
            case NotHeard():
                draft = await CallerTurn(self._flows, state, setting).unheard(given)
                return self._escalating.look(draft, state, given, setting.scene)
            case Keys():
                draft = await CallerTurn(self._flows, state, setting).keys(given)
                return self._escalating.look(draft, state, given, setting.scene)
            case Utterance() if given.tells_card:
                return self._payments.spoken_card(state, setting)
            case Utterance():
                return await self._utterance(state, given, setting, cut_off)
            case LateResult():
                return self._late.take(state, given, setting)
            case AgentDecision():
                return await self._decided(state, given, setting)
            case Whispered():
                return await self._whispering.take(state, given, setting)
            case Timer():
                decided = await setting.reads.decided(given.about)
                if decided is not None:  # at the last moment: the row is the last word
                    return await self._decided(state, decided, setting)
                return self._holding.overdue(state, given)
            case TransferFailed():
                return self._coming_back.told(state, given, setting)
            case PaymentOver():  # told already
                return replace(self._steering.repeat(state), parts=(), asked=None, unspoken=True)

    async def _decided(self, state: ConversationState, given: AgentDecision, setting: Setting) -> Draft:
        """A person has decided on words, or on an act."""
        if any(one.draft == given.draft and one.proposes is not None for one in state.held):
            return await self._proposing.decided(state, given, setting)
        return self._holding.decided(state, given, setting)

    def _message(self, state: ConversationState, given: TurnInput, setting: Setting) -> Draft | None:
        """What comes while a message is being left; None for what is none of it, danger above all."""
        want = state.asked.want if state.asked is not None else None
        if want is None:
            return None
        match given:
            case Utterance() if not self._in_distress(self._flows.monitor.read(given)):
                return self._flows.leaving.take(state, want, given, setting)
            case Silence() | Keys():
                return self._flows.leaving.end(state, want, setting)
            case NotHeard():
                return self._flows.leaving.unheard(state, want)
            case _:
                return None

    async def _utterance(
        self, state: ConversationState, given: Utterance, setting: Setting, cut_off: str | None
    ) -> Draft:
        seen_by_guard = self._guard.read(given.text, Source.CALLER)
        given = self._with_words_before(state, given, cut_off)
        reading = self._flows.monitor.read(given)
        setting = replace(setting, scores=reading.scores)
        guarded = self._guarded(state, seen_by_guard, reading)
        if guarded is not None:
            looked = self._escalating.look(guarded, state, given, setting.scene, scores=reading.scores)
            return replace(looked, scores=reading.scores)
        # The gate, and values of a change, have ladders of their own. Words instead count like everywhere.
        at_gate = asked_factor(state) is not None or offered_beside(state) is not None
        waits = (at_gate and count_digits(given.raw.text) > 0) or self._answers_a_slot(state, reading)
        course = state.course if waits else state.course.heard(reading, given.text)
        seen = signals(Course() if waits else course)
        strained = seen.sentiment_falling or seen.loop != "none"
        before, state = state, state.model_copy(update={"course": course, "strained": strained})
        draft = await CallerTurn(self._flows, state, setting).utterance(given, reading)
        if not waits:  # a turn that builds on the answer before it leaves the circle
            seen = signals(draft.state.course)
        draft = self._straining.ease(draft, seen, reading.scores, given.text)
        if seen_by_guard.kind is Kind.ABUSE and not self._in_distress(reading):
            wants_person = wish_for_a_person(reading, given.text, self._flows.rules, at_gate=True)
            draft = self._guarding.warned(draft, seen_by_guard, wants_person=wants_person)
        draft = self._escalating.look(
            draft, before, given, setting.scene, scores=reading.scores, seen=None if waits else seen
        )
        return replace(draft, scores=reading.scores)

    def _guarded(self, state: ConversationState, seen: GuardReading, reading: Reading) -> Draft | None:
        """The whole turn, where the words are an attack, or abuse after a warning."""
        if seen.allowed or self._in_distress(reading):
            return None
        if seen.kind in ATTACKS and not (seen.only_suspected and self._sure_of_ours(reading)):
            return self._guarding.deflect(state, seen)
        if seen.kind is Kind.ABUSE:
            return self._guarding.abused(state, seen)
        if seen.kind is Kind.UNSUPPORTED and not self._sure_of_a_wish(reading):
            return self._guarding.unsupported(state, seen)
        return None

    def _in_distress(self, reading: Reading) -> bool:
        return danger_in(reading, reading.scores.distress, self._flows.rules) is not None

    def _answers_a_slot(self, state: ConversationState, reading: Reading) -> bool:
        """Whether a value that was asked for is given: "Denver" after "Elm Street, Denver" is no circle."""
        if state.asked is None or state.asked.kind is not AskedKind.SLOT:
            return False
        first, flows = reading.first, self._flows
        return not flows.intents.is_content(first.intent) or first.confidence < flows.rules.sure(first.intent)

    def _goes_on(self, given: Utterance) -> bool:
        """Whether words after a goodbye want something after all."""
        reading = self._flows.monitor.read(given)
        first, flows = reading.first, self._flows
        ours = flows.intents.is_content(first.intent) or first.intent == "person"
        sure = ours and first.confidence >= flows.rules.sure(first.intent)
        return sure or given.tells_card or self._in_distress(reading)

    def _sure_of_ours(self, reading: Reading) -> bool:
        """A wish that is known for certain is taken up, whatever the guard's model alone suspects."""
        first = reading.first
        return first.intent != OUT_OF_SCOPE and first.confidence >= self._flows.rules.sure(first.intent)

    def _sure_of_a_wish(self, reading: Reading) -> bool:
        first = reading.first
        sure = first.confidence >= self._flows.rules.sure(first.intent)
        return first.intent == OUT_OF_SCOPE or (sure and self._flows.intents.is_content(first.intent))

    def _with_words_before(
        self, state: ConversationState, given: Utterance, cut_off: str | None
    ) -> Utterance:
        """These words and those whose answer was talked over, if they make sense only together."""
        if cut_off is None:
            return given
        joined = given.behind(cut_off)
        factor = asked_factor(state)
        gate, monitor = self._flows.gate, self._flows.monitor
        if factor is not None:
            fits = not gate.fits(given, factor) and gate.fits(joined, factor)
            return joined if fits else given
        alone, both = monitor.read(given).first, monitor.read(joined).first
        clearer = alone.confidence < self._flows.rules.sure(alone.intent) <= both.confidence
        return joined if clearer else given


def _with_unsettled_question(state: ConversationState) -> ConversationState:
    """A question that is just being spoken counts for understanding its answer, heard to the end or not."""
    asked = next((turn.asked for turn in reversed(state.open_turns) if turn.asked is not None), None)
    return state if asked is None else state.model_copy(update={"asked": asked})
