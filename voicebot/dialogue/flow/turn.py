"""One turn of the caller: words or keys, and what they mean where the conversation stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

from voicebot.core.conversation import Action, Channel, Confidences, HearingFailure, Keys, NotHeard, Utterance
from voicebot.core.number_words import DIGIT_WORDS
from voicebot.dialogue.flow.abstaining import PERSON_DECLINED, Abstaining, both, chosen
from voicebot.dialogue.flow.answers import Answers
from voicebot.dialogue.flow.asides import asks_why, asks_why_of, content_words, doubts
from voicebot.dialogue.flow.bare import Bare
from voicebot.dialogue.flow.booking import PHONE_NUMBER
from voicebot.dialogue.flow.call_backs import CallBacks
from voicebot.dialogue.flow.calling import Outgoing, wants_no_calls
from voicebot.dialogue.flow.calling_back import beside_the_call, wants_call_back
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.leaning import Leaning, builds_on
from voicebot.dialogue.flow.leaving import Leaving, wants_to_leave_a_message
from voicebot.dialogue.flow.linking import ACT as TEXT_LINK
from voicebot.dialogue.flow.linking import LINK, Linking, wants_link
from voicebot.dialogue.flow.nobody import Nobody
from voicebot.dialogue.flow.promising import PHONE_DIGITS, Promising
from voicebot.dialogue.flow.proposing import Given, Proposing
from voicebot.dialogue.flow.questions import Question, open_question, person_question
from voicebot.dialogue.flow.reasons import Reasons
from voicebot.dialogue.flow.rules import Rules
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import LANGUAGE, Steering
from voicebot.dialogue.flow.unheard import Unheard
from voicebot.dialogue.flow.verifying import Verifying
from voicebot.dialogue.flow.wanting import DISTRESS, Wanting
from voicebot.dialogue.generation.more import wants_more
from voicebot.dialogue.intents import OUT_OF_SCOPE, IntentCatalog
from voicebot.dialogue.monitor.features import NUMBER, words_of
from voicebot.dialogue.monitor.language import (
    asks_for_language,
    foreign,
    thumb,
    unreadable,
    yes_or_no_abroad,
)
from voicebot.dialogue.monitor.monitor import Monitor, Reading, Want, yes_or_no
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Asked, AskedKind, ConversationState
from voicebot.safety.identity import Gate
from voicebot.safety.policy import Reads
from voicebot.safety.spoken_numbers import read_digits
from voicebot.safety.triggers import Cause, circles, danger, wishes

_SHORT = 4
_PLAIN = frozenset({"yes", "no", "thanks", "goodbye", "repeat"})
_PLAINLY = 0.9
_WAYS_OUT = frozenset({"goodbye", "repeat", "wait"})
"""Said to a question about a change, these are what they always are."""
_SPOKEN = frozenset({Channel.PHONE, Channel.BROWSER})
YES_KEY, NO_KEY = "1", "2"
_YES_NO_QUESTIONS = frozenset(
    {AskedKind.CONFIRM, AskedKind.PERSON, AskedKind.WAITING, AskedKind.PROPOSAL, AskedKind.CHOICE}
)


@dataclass(frozen=True)
class Flows:
    """What a turn can lead to. One per deployment, shared by all conversations of a node."""

    monitor: Monitor
    rules: Rules
    gate: Gate
    phrases: Phrases
    intents: IntentCatalog
    steering: Steering
    verifying: Verifying
    wanting: Wanting
    abstaining: Abstaining
    promising: Promising
    proposing: Proposing
    answers: Answers
    reasons: Reasons
    bare: Bare
    call_backs: CallBacks
    nobody: Nobody
    leaving: Leaving
    linking: Linking
    outgoing: Outgoing
    leaning: Leaning
    unheard: Unheard


class CallerTurn:
    """One turn being planned: what all its steps need, so that they need not pass it on."""

    def __init__(self, flows: Flows, state: ConversationState, setting: Setting) -> None:
        self._f = flows
        self._state = state
        self._setting = setting

    async def unheard(self, given: NotHeard) -> Draft:
        """Sound without usable words."""
        factor = asked_factor(self._state)
        if self._setting.scene.channel in _SPOKEN:
            return self._f.unheard.draft(self._state, given, factor)
        if factor is not None:
            return await self._f.verifying.take(self._state, Utterance(text=""), factor, self._setting)
        return self._f.steering.not_heard(self._state, given.reason)

    async def keys(self, given: Keys) -> Draft:
        """Keypad digits."""
        digits = given.raw.rstrip("#")
        pressed = wishes.by_key(digits)
        if pressed is not None:
            return self._f.steering.person(
                self._state, "person", "keys/0", trigger=pressed.name, evidence=pressed.evidence
            )
        self._state = self._state.model_copy(update={"not_heard": 0, "not_understood": 0})
        if not digits.isdigit():
            return self._f.steering.say(
                self._state, "keys", "keys/again", (), self._f.steering.open_again(self._state)
            )
        factor = asked_factor(self._state)
        if factor is not None:
            return await self._f.verifying.take(self._state, given, factor, self._setting)
        asked = self._state.asked
        if asked is not None and asked.kind is AskedKind.CONTACT and len(digits) == PHONE_DIGITS:
            return self._contact(asked, digits)
        if asked is not None and asked.kind is AskedKind.CALL_TIME and asked.want is not None:
            timed = self._f.nobody.keyed(self._state, asked.want, digits, self._setting)
            if timed is not None:
                return timed
        if asked is not None and asked.proposes is not None and digits in {YES_KEY, NO_KEY}:
            by_key = Given(key=digits == YES_KEY)
            answered = await self._f.proposing.answered(self._state, asked, by_key, self._setting)
            if answered is not None:
                return answered
        if asked is not None and asked.slot is not None and self._state.filling is not None:
            keyed = Utterance(text=digits)
            filled = await self._f.proposing.value(
                self._state, self._state.filling, asked.slot, keyed, self._setting
            )
            if filled is not None:
                return filled
        if asked is not None and len(asked.options) > 1 and digits in {YES_KEY, NO_KEY}:
            option = asked.options[int(digits) - 1]
            return await self._want(option.want, article=option.article)
        if len(digits) == 1 and self._yes_no_asked() and digits in {YES_KEY, NO_KEY}:
            return await self._answered(digits == YES_KEY)
        chosen_intent = self._f.phrases.menu.get(digits)
        if chosen_intent is not None:
            means = self._f.intents.means(chosen_intent)
            return await self._want(Want(intent=chosen_intent, confidence=1.0, text=means))
        if len(digits) in self._f.gate.opening_keys and not verified(self._state):
            rules = self._f.rules.table.intents
            intent = next((name for name, rule in rules.items() if rule.identity), None)
            if intent is not None:
                topic = Want(intent=intent, confidence=1.0, text="")
                self._state = self._state.model_copy(update={"topic": topic})
                return await self._f.verifying.take(self._state, given, None, self._setting)
        line = Line("heard.keys", question=True)
        return self._f.steering.say(
            self._state, "keys", "keys/unexpected", (), Question((line,), Asked(kind=AskedKind.OPEN))
        )

    async def utterance(self, given: Utterance, reading: Reading) -> Draft:
        """Words. Distress first, then a person if one is wanted, then the question that is open."""
        no_words = await self._no_words(given)
        if no_words is not None:
            return no_words
        self._state = self._state.model_copy(update={"not_heard": 0})
        other_language = await self._other_language(given)
        if other_language is not None:
            return other_language
        want = reading.first
        sure = want.confidence >= self._f.rules.sure(want.intent)
        in_distress, danger = self._in_distress(reading), self._danger(reading)
        if in_distress is not None and wants_call_back(given.text):
            beside = self._f.monitor.read(Utterance(text=beside_the_call(given.text)))
            if self._in_distress(beside, with_scores=False) is None:
                in_distress = None  # "call me tonight" is a wish; what else was said is not in distress
                reading, want = beside, beside.first
                sure = want.confidence >= self._f.rules.sure(want.intent)
                self._setting = replace(self._setting, scores=None)
        if in_distress is not None and (plain := self._plain_answer(given, reading)) is not None:
            want, sure, in_distress = plain, True, None  # "that's all, goodbye" is no cry for help
            self._setting = replace(self._setting, scores=None)
        if in_distress is not None:
            evidence = danger.evidence if danger is not None else {}
            return self._f.wanting.distress(self._state, in_distress, self._setting, evidence)
        beyond = self._beyond_the_call(given, want, sure)
        if beyond is not None:
            return beyond
        call_back = self._f.call_backs.asked(self._state, given, reading, self._setting)
        if call_back is not None:
            return call_back
        if len(reading.wants) > 1:
            self._keep(reading.wants[1:])
        factor = asked_factor(self._state)
        wish = self._wish(given, reading, factor)
        if wish is not None and (not self._person_sees_it(want, sure) or want.intent == "person"):
            return self._on_request(want, wish)
        aside = await self._aside(given, want, sure)
        if aside is not None:
            return aside
        if factor is None and (beside := offered_beside(self._state)) and self._f.gate.holds_digits(given):
            return await self._f.verifying.take(self._state, given, beside, self._setting)
        if factor is not None:
            return await self._while_verifying(given, want, sure, factor)
        answered = await self._to_change(given, want, sure) or await self._to_question(given, want, sure)
        if answered is not None:
            return answered
        if self._state.answered is not None and wants_more(given.text):
            return await self._f.answers.more(self._state, self._state.answered, self._setting)
        following = self._f.leaning.want(self._state, given, reading)
        if following is not None:
            self._state = builds_on(self._state)
            return await self._want(following, given)
        if self._says_nothing(given, want, reading):
            confidences = Confidences(classification=round(want.confidence, 4))
            reasons = ("no word in it says what it is about",)
            return self._f.steering.not_understood(self._state, "unknown/no_content", reasons, confidences)
        if sure and not self._f.intents.is_content(want.intent):
            return self._steer(want)
        bare = self._f.bare.clarified(self._state, reading, given.text)
        if bare is not None:
            return bare
        if not sure and self._hardly_a_concern(given, want):
            return self._f.wanting.confirm(self._state, want)
        if want.intent == OUT_OF_SCOPE and self._out_of_scope_rather():
            return self._out_of_scope(want)
        return await self._want(want, given)

    def _beyond_the_call(self, given: Utterance, want: Want, sure: bool) -> Draft | None:
        """Words about being called, a message, or a link: what reaches beyond this call; else None."""
        state, setting = self._state, self._setting
        if state.calling is not None and wants_no_calls(given.text):
            return self._f.outgoing.left_alone(state, state.calling)
        asked = state.asked
        if asked is not None and asked.kind is AskedKind.CALL_TIME and asked.want is not None:
            other = sure and self._f.intents.is_content(want.intent)
            answered = self._f.nobody.answered(state, asked.want, given, setting, sure_of_other=other)
            if answered is not None:
                return answered
        if setting.scene.staff is None:
            return None
        if wants_to_leave_a_message(given.text):
            return self._f.leaving.begin(state, want, setting)
        return self._f.linking.offer(state, want, setting) if state.pages and wants_link(given.text) else None

    async def _no_words(self, given: Utterance) -> Draft | None:
        """Signs and pictures: a thumb answers a question, the rest is asked for in words."""
        if not unreadable(given.text) or asked_factor(self._state) is not None:
            return None
        answer = thumb(given.text)
        if answer is not None and self._yes_no_asked():
            return await self._answered(answer)
        if answer:
            return self._steer(Want(intent="thanks", confidence=1.0, text=given.text))
        if answer is False and self._state.answered is not None:
            lines = (Line("answer.unhelpful"),)
            return self._f.steering.say(self._state, "no", "answer/unhelpful", lines, person_question())
        return self._f.steering.not_heard(self._state, HearingFailure.EMPTY)

    async def _other_language(self, given: Utterance) -> Draft | None:
        """Another language than ours: said so, with a person; the second time a person takes over."""
        if LANGUAGE in self._state.told and self._yes_no_asked():
            answer = yes_or_no_abroad(given.text)
            if answer is not None:
                return await self._answered(answer)
        factor = asked_factor(self._state)
        at_gate = factor is not None and (
            self._f.gate.holds_digits(given, factor) or self._f.gate.is_name(factor)
        )
        if at_gate or not (foreign(given.text) or asks_for_language(given.text)):
            return None
        return self._f.steering.other_language(self._state)

    async def _aside(self, given: Utterance, want: Want, sure: bool) -> Draft | None:
        """Asides such as "why?" and "are you sure?", where something was said to which that can be asked."""
        doubted = doubts(given.text)
        if not doubted and not asks_why(given.text):
            rule = self._f.rules.rule(want.intent)
            other = sure and rule is not None and rule.tier > 1
            if other or not asks_why_of(given.text, self._state.last_said or ""):
                return None
        return await self._f.reasons.why(self._state, self._setting, doubted=doubted)

    def _hardly_a_concern(self, given: Utterance, want: Want) -> bool:
        """One word is not enough to guess that a person must see it at once: it is asked about."""
        rule = self._f.rules.rule(want.intent)
        return (
            rule is not None and rule.tier > 2 and want.intent != DISTRESS and content_words(given.text) < 2
        )

    def _says_nothing(self, given: Utterance, want: Want, reading: Reading) -> bool:
        """No want can be told from the words: small ones like a concern, or none of the language."""
        rule = self._f.rules.rule(want.intent)
        if rule is not None and rule.tier > 2 and content_words(given.text) == 0:
            return True
        return not reading.known and (not self._likely(want) or want.intent == OUT_OF_SCOPE)

    def _out_of_scope_rather(self) -> bool:
        """Not certain what it is, but likely nothing of ours."""
        scores = self._setting.scores
        return scores is not None and scores.out_of_scope >= self._f.rules.table.thresholds.unsure

    def _plain_answer(self, given: Utterance, reading: Reading) -> Want | None:
        """A few plain words in answer to a question of ours: yes, no, thanks, goodbye."""
        asked = self._state.asked
        if asked is None or asked.kind is AskedKind.OPEN or len(words_of(given.text)) > _SHORT:
            return None
        answer = yes_or_no(given.text)
        if answer is not None and self._yes_no_asked():
            return Want(intent="yes" if answer else "no", confidence=1.0, text=given.text)
        best = reading.guesses[0]
        if best.intent in _PLAIN and best.probability >= _PLAINLY:
            return Want(intent=best.intent, confidence=best.probability, text=given.text)
        return None

    def _in_distress(self, reading: Reading, *, with_scores: bool = True) -> Want | None:
        """Distress for sure. What only sounds a little like it is a want that policy gives to a person."""
        if self._danger(reading, with_scores=with_scores) is None:
            return None
        if reading.first.intent == DISTRESS and reading.first.confidence >= self._f.rules.sure(DISTRESS):
            return reading.first
        scores = self._setting.scores if with_scores else reading.scores
        assert scores is not None  # else it were the want
        return Want(intent=DISTRESS, confidence=scores.distress, text=reading.first.text)

    def _danger(self, reading: Reading, *, with_scores: bool = True) -> Cause | None:
        scores = self._setting.scores if with_scores else reading.scores
        return danger_in(reading, None if scores is None else scores.distress, self._f.rules)

    def _wish(self, given: Utterance, reading: Reading, factor: str | None) -> Cause | None:
        """The wish for a person; a plain yes to an offered one is an answer, and no wish of its own."""
        at_gate = factor is not None and not self._f.gate.holds_digits(given, factor)
        answers = self._yes_no_asked() and yes_or_no(given.text) is not None
        return wish_for_a_person(reading, "" if answers else given.text, self._f.rules, at_gate=at_gate)

    def _person_sees_it(self, want: Want, sure: bool) -> bool:
        """A concern that goes to a person anyway, with what is known for them."""
        rule = self._f.rules.rule(want.intent)
        return sure and rule is not None and rule.reads is Reads.PERSON

    async def _to_change(self, given: Utterance, want: Want, sure: bool) -> Draft | None:
        """The words as an answer to a read-back, or as a value that a change needs; None if they are none."""
        asked = self._state.asked
        if asked is None:
            return None
        content = sure and self._f.intents.is_content(want.intent)
        if asked.proposes is not None and asked.want is not None:
            doubted = doubts(given.text)
            if doubted or asks_why(given.text) or asks_why_of(given.text, self._state.last_said or ""):
                draft = await self._f.proposing.questioned(self._state, asked, self._setting, doubted=doubted)
                if draft is not None:
                    return draft
            other = content or (sure and want.intent in _WAYS_OUT)
            spoken = Given(utterance=given)
            draft = await self._f.proposing.answered(self._state, asked, spoken, self._setting, other=other)
            if draft is None and content and want.intent != asked.want.intent:
                self._keep((asked.want.model_copy(update={"confidence": 1.0}),))
            return draft
        filling = self._state.filling
        if asked.slot is None or filling is None:
            return None
        plainly = content and want.intent != filling.want.intent and want.confidence >= _PLAINLY
        plainly = plainly and not self._f.proposing.names(filling, asked.slot, given)
        if plainly or (sure and want.intent in _WAYS_OUT and not _names_all(given.text)):
            return None
        if sure and want.intent == "no" and yes_or_no(given.text) is False:
            self._state = self._state.model_copy(update={"filling": None})
            state, question = self._f.steering.and_next(self._state)
            return self._f.steering.say(state, "no", "value/no", (Line("say.dropped"),), question)
        return await self._f.proposing.value(self._state, filling, asked.slot, given, self._setting)

    async def _to_question(self, given: Utterance, want: Want, sure: bool) -> Draft | None:
        """The words as an answer to the question that is open; None if they are none."""
        asked = self._state.asked
        if asked is None or asked.kind is AskedKind.OPEN:
            return None
        if asked.kind is AskedKind.CONTACT:
            numbers = read_digits(given.raw.text, PHONE_DIGITS, given.raw.alternatives, limit=1)
            if numbers:
                return self._contact(asked, numbers[0])
            if self._f.gate.holds_digits(given) and asked.want is not None:
                return self._f.promising.contact_again(self._state, asked.want)
        if asked.kind is AskedKind.CHOICE:
            option = chosen(asked, given)
            if option is not None:
                return await self._want(option.want, article=option.article)
            of_its_kind = [one for one in asked.options if one.want.intent == want.intent]
            if len(of_its_kind) == 1 and len(asked.options) > 1 and self._likely(want):
                named = of_its_kind[0].named
                meant = of_its_kind[0].want.model_copy(update={"text": f"{given.text} ({named})"})
                return await self._want(meant)
            if both(given) and len(asked.options) > 1:
                return await self._answered(True)
        if asked.kind is AskedKind.CONFIRM and asked.want is not None and not sure:
            same = asked.want.intent == want.intent and yes_or_no(given.text) is None
            if same and self._likely(want):
                return await self._want(_twice(asked.want, want), given)
        answer = _answer(given.text, want.intent if sure else None)
        return None if answer is None else await self._answered(answer)

    def _likely(self, want: Want) -> bool:
        return want.confidence >= self._f.rules.table.thresholds.unsure

    async def _while_verifying(self, given: Utterance, want: Want, sure: bool, factor: str) -> Draft:
        """An utterance while the gate waits for a factor: digits, or something else in between."""
        if not self._f.gate.holds_digits(given, factor):
            undelivered = await self._f.verifying.undelivered(self._state, factor, self._setting)
            if undelivered is not None:
                return undelivered
        answers = self._f.gate.holds_digits(given, factor) or self._f.verifying.sidesteps(given, factor)
        if answers or not sure or _only_numbers(given.text):
            return await self._f.verifying.take(self._state, given, factor, self._setting)
        topic = self._state.topic
        first = self._f.gate.rules.factors[0].name
        if (
            want.intent in {"no", "no_reference"}
            and yes_or_no(" ".join(words_of(given.text)[:3])) is False
            and self._f.gate.heard_as(self._state.gate, first)
        ):
            gate = self._f.gate.forget(self._state.gate, first)
            self._state = self._state.model_copy(update={"gate": gate})
            return await self._f.verifying.go_on(self._state, self._setting)
        if want.intent in {"goodbye", "repeat", "wait", "no_reference"}:
            return self._steer(want)
        if self._f.intents.is_content(want.intent) and (topic is None or want.intent != topic.intent):
            return await self._want(want, given)
        return await self._f.verifying.take(self._state, given, factor, self._setting)

    async def _want(self, want: Want, given: Utterance | None = None, *, article: str | None = None) -> Draft:
        return await self._f.wanting.take(self._state, want, self._setting, given, article=article)

    def _contact(self, asked: Asked, number: str) -> Draft:
        """The number at which the caller can be reached: known from now on."""
        slots = {**self._state.slots, PHONE_NUMBER: number}
        state = self._state.model_copy(update={"slots": slots})
        assert asked.want is not None  # CONTACT is asked for a want
        if asked.want.intent == LINK:
            draft = self._f.linking.offer(state, asked.want, self._setting)
            return replace(draft, gave={PHONE_NUMBER: number})
        draft = self._f.promising.offer(state, asked.want, self._setting, "contact/given")
        return replace(draft, gave={PHONE_NUMBER: number})

    async def _answered(self, answer: bool) -> Draft:
        """A yes or no to the question that is open."""
        asked = self._state.asked
        self._state = self._state.model_copy(update={"not_understood": 0})
        kind = asked.kind if asked else AskedKind.OPEN
        want = asked.want if asked else None
        steering = self._f.steering
        if kind is AskedKind.WAITING and want is not None:
            others = tuple(one for one in self._state.waiting if one.intent != want.intent)
            self._state = self._state.model_copy(update={"waiting": others})
        if asked is not None and asked.proposes is not None:  # a sign or a foreign word is no clear yes
            unclear = Given(utterance=Utterance(text=""))
            draft = await self._f.proposing.answered(self._state, asked, unclear, self._setting)
            if draft is not None:
                return draft
        if asked is not None and asked.proposal is not None:
            if answer and asked.proposal.act == TEXT_LINK:
                return self._f.linking.accepted(self._state, asked.proposal)
            if answer:
                return self._f.promising.accepted(self._state, asked.proposal, self._setting)
            return self._f.promising.declined(self._state, asked.proposal)
        match kind, answer:
            case ((AskedKind.CONFIRM | AskedKind.WAITING), True) if want is not None:
                return await self._want(
                    want.model_copy(update={"confidence": 1.0}), Utterance(text=want.text)
                )
            case ((AskedKind.CONFIRM | AskedKind.PERSON), False) if self._not_now(want):
                assert want is not None  # a call of ours is about something
                return self._f.nobody.ask_when(self._state, want, "call/not_now", before=(Line("say.no"),))
            case AskedKind.CONFIRM, False:
                return steering.not_understood(
                    self._state, "confirm/no", ("the caller said no",), Confidences()
                )
            case AskedKind.CHOICE, _ if asked is not None and want is not None:
                return await self._choice_answered(asked, want, answer)
            case AskedKind.WAITING, False:
                state, question = steering.and_next(self._state)
                return steering.say(state, "no", "waiting/no", (Line("say.dropped"),), question)
            case AskedKind.PERSON, True:
                taken = steering.person(
                    self._state,
                    "person",
                    "offer/yes",
                    trigger="accepted_offer",
                    evidence={"offered": True, "for": want.intent if want is not None else None},
                )
                calling = self._state.calling
                if calling is None:
                    return taken
                form = {
                    "callback": calling.callback,
                    "earlier_conversation": calling.earlier,
                    "intent": calling.want.intent,
                    "question": calling.want.text,
                }
                return replace(taken, owner=calling.owner, form=form)
            case AskedKind.PERSON, False if want is not None:
                return self._f.abstaining.no_person(self._state, want, self._setting)
            case AskedKind.PERSON, False if asked is not None and asked.factor is not None:
                return await self._f.verifying.go_on(self._state, self._setting)
            case AskedKind.PERSON, False:
                told = tuple(dict.fromkeys((*self._state.told, PERSON_DECLINED)))
                self._state = self._state.model_copy(update={"told": told, "topic": None})
                state, question = self._state, open_question()
                if state.waiting:
                    state, question = steering.and_next(state)
                return steering.say(state, "no", "offer/no", (Line("say.no"),), question)
            case AskedKind.MORE, False:
                return steering.end(self._state, "goodbye", "more/no")
            case _:
                state, question = self._state.model_copy(update={"topic": None}), open_question()
                if state.waiting:
                    state, question = steering.and_next(state)
                return steering.say(state, "yes" if answer else "no", "open", (), question)

    def _not_now(self, want: Want | None) -> bool:
        """Whether the no is one to the question with which a call of ours begins."""
        calling = self._state.calling
        return calling is not None and want is not None and want == calling.want

    async def _choice_answered(self, asked: Asked, want: Want, answer: bool) -> Draft:
        """Yes to the only option takes it, yes to two takes one after the other, no leaves nothing to say."""
        if answer and len(asked.options) == 1:
            return await self._want(asked.options[0].want, article=asked.options[0].article)
        if answer:
            first, second = asked.options
            self._keep((second.want,))
            return await self._want(first.want, article=first.article)
        confidences = Confidences(classification=round(want.confidence, 4), grounding=0.0)
        if all(option.article is None for option in asked.options):  # wishes, and not articles
            reasons = ("the caller said no",)
            return self._f.steering.not_understood(self._state, "choice/no", reasons, confidences)
        ruling = self._f.rules.decide(self._state, self._setting, want.intent, confidences)
        return self._f.abstaining.unknown(self._state, want, ruling, confidences, self._setting)

    def _steer(self, want: Want) -> Draft:
        """A sure reading of words that are no question of their own."""
        steering, state = self._f.steering, self._state
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
        declined = PERSON_DECLINED in state.told
        cause = circles.not_understood(count + 1, self._f.rules.table.ladder.not_understood)
        if cause is not None and not declined:
            reasons = ("nothing that was said is ours to answer",)
            last = Line("scope.out", self._f.phrases.variants("scope.out") - 1)
            return self._f.steering.person(
                state,
                want.intent,
                "out_of_scope/person",
                trigger=cause.name,
                evidence=cause.evidence,
                before=(last,),
                reasons=reasons,
            )
        question = person_question() if count and not declined else open_question()
        draft = self._f.steering.say(
            state,
            want.intent,
            "out_of_scope/tier0/sure",
            (Line("scope.out", count),),
            question,
            action=Action.ABSTAIN,
            confidences=Confidences(classification=round(want.confidence, 4)),
        )
        return replace(draft, gap="out_of_scope", question=want.text)

    def _on_request(self, want: Want, wish: Cause) -> Draft:
        return self._f.steering.person(
            self._state,
            "person",
            "person/tier0/sure",
            trigger=wish.name,
            evidence=wish.evidence,
            confidences=Confidences(classification=round(want.confidence, 4)),
        )

    def _keep(self, wants: tuple[Want, ...]) -> None:
        known = {want.intent for want in self._state.waiting}
        fresh = tuple(want for want in wants if want.intent not in known)
        self._state = self._state.model_copy(update={"waiting": (*self._state.waiting, *fresh)})

    def _yes_no_asked(self) -> bool:
        return self._state.asked is not None and self._state.asked.kind in _YES_NO_QUESTIONS


def _names_all(text: str) -> bool:
    """Words such as "everything" end a call, and answer what shall be sent back."""
    return bool({"all", "everything", "both", "whole"} & set(words_of(text))) and "bye" not in text.lower()


def offered_beside(state: ConversationState) -> str | None:
    """The factor that is still wanted while a person is offered: digits count for it."""
    asked = state.asked
    if asked is not None and asked.kind is AskedKind.PERSON and not _proved(state, asked.factor):
        return asked.factor
    return None


def _twice(before: Want, again: Want) -> Want:
    """The same guess of two sentences: both are wrong only if each is."""
    both_wrong = (1 - before.confidence) * (1 - again.confidence)
    return again.model_copy(update={"confidence": round(1 - both_wrong, 4)})


def verified(state: ConversationState) -> bool:
    """Whether the caller has passed the gate."""
    return state.gate.match is not None


def asked_factor(state: ConversationState) -> str | None:
    """The factor of the gate that was asked for last."""
    asked = state.asked
    if asked is not None and asked.kind is AskedKind.FACTOR and not _proved(state, asked.factor):
        return asked.factor
    return None


def _proved(state: ConversationState, factor: str | None) -> bool:
    match = state.gate.match
    return match is not None and factor in match.method


def wish_for_a_person(reading: Reading, words: str, rules: Rules, *, at_gate: bool) -> Cause | None:
    """Whether a person is asked for; at the gate, where no other want is expected, understood from less."""
    first = reading.first
    facts = wishes.PersonFacts(
        first=first.intent == "person",
        confidence=first.confidence,
        sure=rules.sure("person"),
        probability=max((one.probability for one in reading.guesses if one.intent == "person"), default=0.0),
        at_gate=at_gate,
        words=words,
    )
    return wishes.asked(facts, rules.table.triggers.asked_for_person)


def danger_in(reading: Reading, score: float | None, rules: Rules) -> Cause | None:
    """Whether somebody may be in danger or despair."""
    first = reading.first
    facts = danger.DangerFacts(first=first.intent == DISTRESS, confidence=first.confidence, score=score)
    return danger.distress(facts, sure=rules.sure(DISTRESS), limit=rules.table.thresholds.distress)


def _only_numbers(text: str) -> bool:
    words = words_of(text)
    return bool(words) and all(word == NUMBER or word in DIGIT_WORDS for word in words)


def _answer(text: str, sure_intent: str | None) -> bool | None:
    """A yes or no, None when the words are something else for sure or neither."""
    if sure_intent in {"yes", "no"}:
        return sure_intent == "yes"
    return yes_or_no(text) if sure_intent is None else None
