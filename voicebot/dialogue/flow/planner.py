"""From an input and a state to a draft: which turn this is, what it needs to read, what it says.

The decisions are pure (`Steering`, `Gate`, `Policy`, `Monitor`); this shell routes between them and
awaits the reads. It writes nothing.
"""

from __future__ import annotations

from voicebot.core.conversation import (
    Action,
    CallStarted,
    Confidences,
    Keys,
    NotHeard,
    Route,
    Silence,
    TurnInput,
    Utterance,
)
from voicebot.dialogue.flow.answers import Answers
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.questions import YES_NO, Question, open_question, person_question
from voicebot.dialogue.flow.reads import Reads
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.flow.verifying import Verifying
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.monitor import Monitor, Want, yes_or_no
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.scene import Scene
from voicebot.dialogue.state import Asked, AskedKind, ConversationState
from voicebot.safety.identity import Gate
from voicebot.safety.policy import Policy, PolicyFacts

PERSON_KEY = "0"
YES_KEY, NO_KEY = "1", "2"
_YES_NO_QUESTIONS = frozenset({AskedKind.CONFIRM, AskedKind.PERSON, AskedKind.WAITING})


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
        writer_route: Route,
        writer: str,
    ) -> None:
        self.monitor = monitor
        self.policy = policy
        self.gate = gate
        self.phrases = phrases
        self.intents = intents
        self.steering = Steering(phrases, intents, policy, gate)
        self.answers = Answers(policy, gate, phrases, self.steering, writer_route, writer)
        self.verifying = Verifying(policy, gate, self.steering, self.answers)

    async def draft(self, scene: Scene, state: ConversationState, given: TurnInput, reads: Reads) -> Draft:
        """The turn that ``given`` causes in ``state``. Reads only."""
        cut_off = state.cut_off
        state = _with_unsettled_question(state).model_copy(update={"cut_off": None})
        planned = _Turn(self, scene.conversation_id, scene.turn, state, reads, cut_off)
        match given:
            case CallStarted():
                if not state.greeted:
                    return self.steering.greeting(state, after_loss=given.resumed)
                return self.steering.recovery(state)
            case Silence():
                return self.steering.silence(state, given.nth)
            case NotHeard():
                return await planned.unheard(given)
            case Keys():
                return await planned.keys(given)
            case Utterance():
                return await planned.utterance(given)
            case _:
                raise NotImplementedError(given.kind)


class _Turn:
    """One turn being planned: what all its steps need, so that they need not pass it on."""

    def __init__(
        self,
        planner: Planner,
        conversation_id: str,
        turn: int,
        state: ConversationState,
        reads: Reads,
        cut_off: str | None,
    ) -> None:
        self._p = planner
        self._id = conversation_id
        self._turn = turn
        self._state = state
        self._reads = reads
        self._cut_off = cut_off

    async def unheard(self, given: NotHeard) -> Draft:
        factor = self._asked_factor()
        if factor is not None:
            return await self._p.verifying.take(self._state, Utterance(text=""), factor, self._reads)
        return self._p.steering.not_heard(self._state, given.reason)

    async def keys(self, given: Keys) -> Draft:
        digits = given.digits.rstrip("#")
        if digits == PERSON_KEY:
            return self._p.steering.person(self._state, "person", "keys/0", trigger="key_zero")
        self._state = self._state.model_copy(update={"not_heard": 0, "not_understood": 0})
        if not digits.isdigit():
            return self._p.steering.say(
                self._state, "keys", "keys/again", (), self._p.steering.open_again(self._state)
            )
        factor = self._asked_factor()
        if factor is not None:
            return await self._p.verifying.take(self._state, given, factor, self._reads)
        if len(digits) == 1 and self._yes_no_asked() and digits in {YES_KEY, NO_KEY}:
            return await self._yes_no(digits == YES_KEY)
        chosen = self._p.phrases.menu.get(digits)
        if chosen is not None:
            return await self._want(Want(intent=chosen, confidence=1.0, text=self._p.intents.means(chosen)))
        if any(len(digits) == f.digits for f in self._p.gate.rules.factors) and not self._verified():
            intent = next((n for n, rule in self._p.policy.table.intents.items() if rule.identity), None)
            if intent is not None:
                self._state = self._state.model_copy(
                    update={"topic": Want(intent=intent, confidence=1.0, text="")}
                )
                return await self._p.verifying.take(self._state, given, None, self._reads)
        line = Line("heard.keys", question=True)
        return self._p.steering.say(
            self._state, "keys", "keys/unexpected", (), Question((line,), Asked(kind=AskedKind.OPEN))
        )

    async def utterance(self, given: Utterance) -> Draft:
        self._state = self._state.model_copy(update={"not_heard": 0})
        given = self._with_words_before(given)
        reading = self._p.monitor.read(given)
        if len(reading.wants) > 1:
            self._keep(reading.wants[1:])
        want = reading.first
        sure = want.confidence >= self._sure(want.intent)
        if sure and want.intent == "person":
            return self._escalate_on_request(want)
        factor = self._asked_factor()
        if factor is not None:
            return await self._while_verifying(given, want, sure, factor)
        if self._state.asked is not None and self._state.asked.kind is not AskedKind.OPEN:
            answer = _answer(given.text, want.intent if sure else None)
            if answer is not None:
                return await self._yes_no(answer)
        if sure and not self._p.intents.is_content(want.intent):
            return self._steer(want)
        return await self._want(want, given)

    def _with_words_before(self, given: Utterance) -> Utterance:
        """These words and those whose answer was talked over, if they make sense only together."""
        if self._cut_off is None:
            return given
        joined = given.model_copy(update={"text": f"{self._cut_off} {given.text}", "alternatives": ()})
        factor = self._asked_factor()
        if factor is not None:
            fits = not self._p.gate.fits(given, factor) and self._p.gate.fits(joined, factor)
            return joined if fits else given
        alone, both = self._p.monitor.read(given).first, self._p.monitor.read(joined).first
        clearer = alone.confidence < self._sure(alone.intent) <= both.confidence
        return joined if clearer else given

    async def _while_verifying(self, given: Utterance, want: Want, sure: bool, factor: str) -> Draft:
        """An utterance while the gate waits for a factor: digits, or something else in between."""
        if self._p.gate.holds_digits(given) or not sure:
            return await self._p.verifying.take(self._state, given, factor, self._reads)
        topic = self._state.topic
        if want.intent == "no" and self._p.gate.heard_as(self._state.gate, self._first_factor()):
            gate = self._p.gate.forget(self._state.gate, self._first_factor())
            self._state = self._state.model_copy(update={"gate": gate})
            return await self._p.verifying.go_on(self._state, self._reads)
        if want.intent in {"goodbye", "repeat", "wait", "no_reference"}:
            return self._steer(want)
        if self._p.intents.is_content(want.intent) and (topic is None or want.intent != topic.intent):
            return await self._want(want, given)
        return await self._p.verifying.take(self._state, given, factor, self._reads)

    async def _want(self, want: Want, given: Utterance | None = None) -> Draft:
        """Takes up one want: policy first, then what it needs."""
        rule = self._p.policy.rule(want.intent)
        confidences = Confidences(classification=round(want.confidence, 4))
        first = self._p.policy.decide(PolicyFacts(want.intent, confidences, self._verified()))
        if rule is None:
            return self._p.steering.person(
                self._state, want.intent, first.row, trigger="policy", reasons=first.reasons, tier=first.tier
            )
        if first.row.endswith("/lost") or (first.row.endswith("/unsure") and first.action is Action.CLARIFY):
            return self._unclear(want, first.row, first.reasons, confidences)
        self._state = self._state.model_copy(update={"not_understood": 0})
        if first.action is Action.ESCALATE:
            return self._p.answers.escalate(self._state, want, rule, first)
        if rule.identity:
            self._state = self._state.model_copy(update={"topic": want})
            if given is not None and self._p.gate.holds_digits(given):
                return await self._p.verifying.take(self._state, given, None, self._reads)
            return await self._p.verifying.go_on(self._state, self._reads, confidences)
        return await self._p.answers.from_articles(
            self._state, want, self._reads, conversation_id=self._id, turn=self._turn
        )

    async def _yes_no(self, answer: bool) -> Draft:
        """An answer to the question that is open."""
        asked = self._state.asked
        self._state = self._state.model_copy(update={"not_understood": 0})
        kind = asked.kind if asked else AskedKind.OPEN
        want = asked.want if asked else None
        if kind is AskedKind.WAITING:
            self._state = self._state.model_copy(update={"waiting": self._state.waiting[1:]})
        match kind, answer:
            case ((AskedKind.CONFIRM | AskedKind.WAITING), True) if want is not None:
                return await self._want(
                    want.model_copy(update={"confidence": 1.0}), Utterance(text=want.text)
                )
            case AskedKind.CONFIRM, False:
                return self._p.steering.not_understood(
                    self._state, "confirm/no", ("the caller said no",), Confidences()
                )
            case AskedKind.WAITING, False:
                state, question = self._p.steering.and_next(self._state)
                return self._p.steering.say(state, "no", "waiting/no", (Line("say.dropped"),), question)
            case AskedKind.PERSON, True:
                return self._p.steering.person(self._state, "person", "offer/yes", trigger="accepted_offer")
            case AskedKind.MORE, False:
                return self._p.steering.end(self._state, "goodbye", "more/no")
            case _:
                state, question = self._state.model_copy(update={"topic": None}), open_question()
                if state.waiting:
                    state, question = self._p.steering.and_next(state)
                return self._p.steering.say(state, "yes" if answer else "no", "open", (), question)

    def _steer(self, want: Want) -> Draft:
        """A sure reading of words that are no question of their own."""
        steering, state = self._p.steering, self._state
        row = f"{want.intent}/steering"
        match want.intent:
            case "goodbye":
                return steering.end(state, "goodbye", row)
            case "repeat":
                return steering.repeat(state)
            case "wait":
                line = Line("say.wait", question=True)
                question = steering.open_again(state)
                return steering.say(
                    state, "wait", row, (), Question((line,), state.asked or question.asked, question.expects)
                )
            case "no_reference":
                dropped = state.model_copy(update={"topic": None})
                line = Line("identity.no_reference")
                return steering.say(dropped, want.intent, row, (line,), person_question())
            case "thanks":
                state, question = steering.and_next(state)
                return steering.say(state, want.intent, row, (Line("say.thanks"),), question)
            case "greeting":
                line = Line("say.greeting", question=True)
                return steering.say(
                    state, want.intent, row, (), Question((line,), Asked(kind=AskedKind.OPEN))
                )
            case "help" | "chitchat":
                return steering.say(state, want.intent, row, (Line(f"say.{want.intent}"),), open_question())
            case "out_of_scope":
                return self._out_of_scope(want)
            case _:
                return steering.say(state, want.intent, row, (), open_question())

    def _out_of_scope(self, want: Want) -> Draft:
        count = self._state.not_understood
        state = self._state.model_copy(update={"not_understood": count + 1})
        question = person_question() if count else open_question()
        return self._p.steering.say(
            state,
            want.intent,
            "out_of_scope/tier0/sure",
            (Line("scope.out", count),),
            question,
            action=Action.ABSTAIN,
            confidences=Confidences(classification=round(want.confidence, 4)),
        )

    def _unclear(self, want: Want, row: str, reasons: tuple[str, ...], confidences: Confidences) -> Draft:
        if row.endswith("/unsure") and self._p.intents.is_content(want.intent):
            line = Line("ask.confirm", slots={"means": self._p.intents.means(want.intent)}, question=True)
            question = Question((line,), Asked(kind=AskedKind.CONFIRM, want=want), YES_NO)
            return self._p.steering.say(
                self._state,
                want.intent,
                row,
                (),
                question,
                action=Action.CLARIFY,
                reasons=reasons,
                confidences=confidences,
            )
        return self._p.steering.not_understood(self._state, row, reasons, confidences)

    def _escalate_on_request(self, want: Want) -> Draft:
        return self._p.steering.person(
            self._state,
            "person",
            "person/tier0/sure",
            trigger="asked_for_person",
            confidences=Confidences(classification=round(want.confidence, 4)),
        )

    def _keep(self, wants: tuple[Want, ...]) -> None:
        known = {want.intent for want in self._state.waiting}
        fresh = tuple(want for want in wants if want.intent not in known)
        self._state = self._state.model_copy(update={"waiting": (*self._state.waiting, *fresh)})

    def _asked_factor(self) -> str | None:
        asked = self._state.asked
        if asked is not None and asked.kind is AskedKind.FACTOR and not self._verified():
            return asked.factor
        return None

    def _first_factor(self) -> str:
        return self._p.gate.rules.factors[0].name

    def _yes_no_asked(self) -> bool:
        return self._state.asked is not None and self._state.asked.kind in _YES_NO_QUESTIONS

    def _verified(self) -> bool:
        return self._state.gate.match is not None

    def _sure(self, intent: str) -> float:
        rule = self._p.policy.rule(intent)
        default = self._p.policy.table.thresholds.sure
        return rule.sure if rule is not None and rule.sure is not None else default


def _answer(text: str, sure_intent: str | None) -> bool | None:
    """A yes or no, None when the words are something else for sure or neither."""
    if sure_intent in {"yes", "no"}:
        return sure_intent == "yes"
    return yes_or_no(text) if sure_intent is None else None


def _with_unsettled_question(state: ConversationState) -> ConversationState:
    """A question that is just being spoken counts for understanding its answer, heard to the end or not."""
    asked = next((turn.asked for turn in reversed(state.open_turns) if turn.asked is not None), None)
    return state if asked is None else state.model_copy(update={"asked": asked})
