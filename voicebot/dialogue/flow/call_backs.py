"""The caller asks to be called: offered with a time, noted on a yes, and never just connected. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from voicebot.core.conversation import Utterance
from voicebot.core.when import go_on, parse_when
from voicebot.dialogue.flow.booking import PHONE_NUMBER, WISHED_TIME, wishing
from voicebot.dialogue.flow.calling_back import wants_call_back, wished_time
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.promising import ACT, PHONE_DIGITS, Promising
from voicebot.dialogue.flow.rules import Rules
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.monitor import Reading, Want
from voicebot.dialogue.state import AskedKind, ConversationState
from voicebot.safety.policy import Reads
from voicebot.safety.spoken_numbers import read_digits

_ASKS = re.compile(r"(?:what|when|where|how|why|who|which|do|does|are|is|will|would)\b", re.IGNORECASE)
_AT_ONCE = 3
"""The tier that a person must see now: it is not put off to a call back."""


class CallBacks:
    """Drafts the offer of a call that was asked for. Stateless."""

    def __init__(self, rules: Rules, intents: IntentCatalog, promising: Promising) -> None:
        self._rules = rules
        self._intents = intents
        self._promising = promising

    def asked(
        self, state: ConversationState, given: Utterance, reading: Reading, setting: Setting
    ) -> Draft | None:
        """The offer, or the one that stands with another time; None if no call is asked for."""
        wish = _wish(given.text, setting)
        # The hour is no digit of the number: "tonight at ten, two oh two ...".
        besides = given.raw.text.lower().replace(wish, " ; ") if wish is not None else given.raw.text
        numbers = read_digits(besides, PHONE_DIGITS, given.raw.alternatives, limit=1)
        pending = _offered(state)
        if pending is not None and wish is not None and not numbers:
            other = _ASKS.match(given.text.strip()) or f"not {wish}" in given.text.lower()
            if not other:
                before = state.slots.get(WISHED_TIME) if setting.scene.staff is not None else None
                return self._promising.offer(
                    wishing(state, go_on(before, wish)), pending, setting, "call_back/time"
                )
        if not wants_call_back(given.text):
            return None
        about = self._about(reading, given)
        if about is None:
            return None
        state = wishing(state, wish)
        if numbers:
            state = state.model_copy(update={"slots": {**state.slots, PHONE_NUMBER: numbers[0]}})
        draft = self._promising.offer(state, about, setting, "call_back/asked")
        return replace(draft, gave={PHONE_NUMBER: numbers[0]} if numbers else {})

    def _about(self, reading: Reading, given: Utterance) -> Want | None:
        """What the call is about, as far as it is known; None for what a person must see at once."""
        for want in reading.wants:
            rule = self._rules.rule(want.intent)
            known = self._intents.is_content(want.intent) and want.confidence >= self._rules.sure(want.intent)
            if known and rule is not None and rule.reads is Reads.PERSON:
                return want if rule.tier < _AT_ONCE else None
        return Want(intent="person", confidence=1.0, text=given.text)


def _offered(state: ConversationState) -> Want | None:
    """The want of a call back that was offered, or whose number was asked for."""
    asked = state.asked
    if asked is None:
        return None
    if asked.kind is AskedKind.CONTACT:
        return asked.want
    return asked.proposal.want if asked.proposal is not None and asked.proposal.act == ACT else None


def _wish(text: str, setting: Setting) -> str | None:
    """The time that is named: in the words that name it, or, where those leave something out, in all."""
    wish = wished_time(text)
    if setting.scene.staff is None:
        return wish
    now = setting.scene.now
    whole = parse_when(text, now)
    if whole is None or (wish is not None and parse_when(wish, now) == whole):
        return wish
    return text
