"""The turns around a card: what is said before it is taken, and what came of it, in honest words.

The card itself is taken elsewhere (`core.store.payments` says how far that is). A turn that comes while the
caller has a payment under way looks at the row and nothing else: no words of a model, no memory.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from voicebot.core.conversation import Action, Channel, Route, Utterance
from voicebot.core.store import payments
from voicebot.core.store.payments import Payment, Way
from voicebot.dialogue.actions.tool import Tool
from voicebot.dialogue.flow.draft import ActOutcome, Draft, Fact
from voicebot.dialogue.flow.questions import YES_NO, Question, person_question
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import Asked, AskedKind, ConversationState, Paying
from voicebot.safety.consent import Consent, consent
from voicebot.safety.policy.table import PolicyTable

MOST_REFUSED = 2
"""So many payments that came to nothing; then a person is offered instead of another one."""
INTENT = "payment"
SPOKEN_CARD = "pay.spoken_card"
LINES = (
    "pay.ahead_pay", "pay.ahead_keypad", "pay.by_phone_only", "pay.paid", "pay.declined", "pay.spent",
    "pay.stopped", "pay.left", "pay.failed", "pay.unknown", "pay.try_again", "pay.offer", "pay.key.number",
    "pay.key.number_again", "pay.key.expiry", "pay.key.expiry_again", "pay.key.code", "pay.key.code_again",
    "pay.key.wait",
)  # fmt: skip
"""What a deployment needs that takes cards."""


def goes_to_card(draft: Draft, tool: Tool, outcome: ActOutcome, want: Want, key: str, cards: Way) -> Draft:
    """The turn of a change that is done: if it ends with a card, the call goes there when this was heard."""
    if not tool.takes_card or outcome.status != "done":
        return draft
    paying = Paying(payment=payments.id_of(key), want=want)
    return replace(
        draft,
        state=draft.state.model_copy(update={"paying": paying}),
        parts=(*draft.parts[:1], Line(f"pay.ahead_{cards}")),
        asked=None,
        after=cards,
    )


class Payments:
    """Drafts them. Stateless.

    Args:
        steering: says things.
        table: says who takes a card, and for which intent.
    """

    def __init__(self, steering: Steering, table: PolicyTable) -> None:
        self._steering = steering
        self._cards: Way = table.cards
        self._table = table

    def spoken_card(self, state: ConversationState, setting: Setting) -> Draft:
        """A card number was said aloud: stopped kindly, and sent to where it can be typed in."""
        line = Line(SPOKEN_CARD)
        question = self._steering.open_again(state)
        if state.asked is None or state.asked.kind in {AskedKind.OPEN, AskedKind.MORE}:
            intent = self._intent(setting)
            if intent is not None and setting.scene.channel is Channel.PHONE:
                want = Want(intent=intent, confidence=1.0, text="")
                asked = Asked(kind=AskedKind.WAITING, want=want)
                question = Question((Line("pay.offer", question=True),), asked, YES_NO)
        draft = self._steering.say(state, INTENT, "card/spoken", (line,), question, action=Action.CLARIFY)
        return replace(draft, facts=(Fact("card.spoken", {}),))

    def _intent(self, setting: Setting) -> str | None:
        """The intent that ends with a card payment."""
        for name, rule in self._table.intents.items():
            tool = setting.reads.declared(rule.act) if rule.act is not None else None
            if tool is not None and tool.takes_card:
                return name
        return None

    def elsewhere(self, state: ConversationState, want: Want, setting: Setting) -> Draft | None:
        """Where no card can be taken, that is said. None: it can."""
        if setting.scene.channel is Channel.PHONE:
            return None
        row = f"{want.intent}/not_here"
        line = Line("pay.by_phone_only")
        draft = self._steering.say(state, want.intent, row, (line,), person_question(want))
        return replace(draft, tier=2)

    async def meanwhile(
        self, state: ConversationState, paying: Paying, given: Utterance | None, setting: Setting
    ) -> Draft:
        """The caller does something before the card is taken: a no stops it, anything else goes on to it."""
        payment = await setting.reads.payment(paying.payment)
        if payment is None or payment.status != "agreed":
            return self._over(state, paying, payment)
        if given is not None and consent(given.raw.text, given.raw.alternatives) is Consent.NO:
            state, question = self._steering.and_next(_finished(state))
            draft = self._steering.say(state, "no", "payment/no", (Line("say.dropped"),), question)
            return replace(draft, settles=(payment.id, "stopped"), tier=2)
        line = Line(f"pay.ahead_{self._cards}")
        return Draft(
            state=state,
            intent=INTENT,
            action=Action.ACT,
            route=Route.FIXED,
            row="payment/ahead",
            tier=2,
            parts=(line,),
            after=self._cards,
        )

    async def over(self, state: ConversationState, paying: Paying, setting: Setting) -> Draft:
        """The call is back: what came of the payment, and what next."""
        owed = tuple(item for turn in state.open_turns for item in turn.owes)
        state = state.model_copy(update={"open_turns": (), "owed": (*state.owed, *owed)})
        return self._over(state, paying, await setting.reads.payment(paying.payment))

    def _over(self, state: ConversationState, paying: Paying, payment: Payment | None) -> Draft:
        want = paying.want
        state = _finished(state)
        if payment is None:
            return self._person(state, want, "failed")
        match payment.status:
            case "paid":
                line = Line("pay.paid", slots={"amount": Decimal(payment.amount)}, owed="payment")
                state, question = self._steering.and_next(state)
                draft = self._steering.say(state, want.intent, "payment/paid", (line,), question)
                return replace(draft, tier=2, tells=("payment.paid",))
            case "declined" | "spent" | "stopped" | "left":
                return self._again(state, want, payment.status)
            case "agreed":
                return replace(self._again(state, want, "left"), settles=(payment.id, "left"))
            case "taking" if payment.way == "keypad":
                return replace(self._again(state, want, "left"), settles=(payment.id, "left"))
            case "failed":
                return self._person(state, want, "failed")
            case "taking" | "charging" | "unknown":
                line = Line("pay.unknown", owed="payment")
                state, question = self._steering.and_next(state)
                draft = self._steering.say(
                    state, want.intent, "payment/unknown", (line,), question, action=Action.FOLLOW_UP
                )
                return replace(draft, tier=2, settles=(payment.id, "unknown"))

    def _again(self, state: ConversationState, want: Want, how: str) -> Draft:
        """Nothing was charged: once more, from a read-back on, or a person."""
        refused = state.refused_cards + 1
        state = state.model_copy(update={"refused_cards": refused})
        if refused >= MOST_REFUSED:
            return self._person(state, want, how)
        asked = Asked(kind=AskedKind.WAITING, want=want)
        question = Question((Line("pay.try_again", question=True),), asked, YES_NO)
        draft = self._steering.say(state, want.intent, f"payment/{how}", (Line(f"pay.{how}"),), question)
        return replace(draft, tier=2)

    def _person(self, state: ConversationState, want: Want, how: str) -> Draft:
        row = f"payment/{how}/person"
        draft = self._steering.say(state, want.intent, row, (Line(f"pay.{how}"),), person_question(want))
        return replace(draft, tier=2)


def _finished(state: ConversationState) -> ConversationState:
    return state.model_copy(update={"paying": None, "asked": None, "topic": None})
