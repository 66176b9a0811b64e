"""How satisfied a caller was, 1 to 5, asked once after the goodbye where policy says so. Pure.

By key or in words; who says nothing, or something else, is let go with the usual goodbye and not asked again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from voicebot.core.conversation import (
    FREE,
    Action,
    Channel,
    Keys,
    NotHeard,
    Silence,
    TurnInput,
    Utterance,
)
from voicebot.core.number_words import HOMOPHONES, UNITS
from voicebot.dialogue.flow.draft import ActOutcome, Deed, Draft, Fact
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.outcome import RATING
from voicebot.dialogue.state import Asked, AskedKind, ConversationState
from voicebot.safety.policy.csat import CsatRules

ACT = "rate_conversation"
SLOT = "csat"
TOLD = "csat"
_SPOKEN = frozenset({Channel.PHONE, Channel.BROWSER})
_BEST = 5
_SHORT = 6
_BEHIND = ("stars", "star", "points", "point", "please")
_OUT_OF = (("out", "of", "five"), ("of", "five"), ("out", "of", "5"), ("of", "5"))


def score_of(text: str) -> int | None:
    """The one number from 1 to 5 that short words name; None: none, another, or several.

    >>> score_of("I'd say a four"), score_of("five out of five"), score_of("for"), score_of("4")
    (4, 5, 4, 4)
    >>> score_of("six"), score_of("one or two"), score_of("thanks for all of it")
    (None, None, None)
    """
    words = text.lower().replace(",", " ").replace(".", " ").replace("!", " ").split()
    while words and words[-1] in _BEHIND:
        words.pop()
    for tail in _OUT_OF:
        if len(words) > len(tail) and tuple(words[-len(tail) :]) == tail:
            words = words[: -len(tail)]
            break
    if len(words) > _SHORT:
        return None
    found = [
        int(word) if word.isdigit() else UNITS[word] for word in words if word.isdigit() or word in UNITS
    ]
    if not found and len(words) == 1 and words[0] in HOMOPHONES:
        found = [HOMOPHONES[words[0]]]
    return found[0] if len(found) == 1 and 1 <= found[0] <= _BEST else None


class Rating:
    """Drafts the question and what comes of it. Stateless."""

    def __init__(self, steering: Steering, rules: CsatRules) -> None:
        self._steering = steering
        self._rules = rules

    def before_goodbye(self, draft: Draft, channel: Channel) -> Draft:
        """The question in place of a goodbye, where something had been settled and nobody was in need."""
        state = draft.state
        settled = state.asked_more > 0 or state.answered is not None
        if (
            draft.action is not Action.END
            or draft.intent != "goodbye"
            or channel not in self._rules.channels
            or TOLD in state.told
            or state.calling is not None
            or state.vulnerable
            or not settled
        ):
            return draft
        line = Line("csat.ask" if channel in _SPOKEN else "csat.write", question=True)
        asked = Asked(kind=AskedKind.SLOT, slot=SLOT)
        state = state.model_copy(update={"ending": False, "told": (*state.told, TOLD)})
        return replace(
            draft,
            state=state,
            action=Action.ANSWER,
            row=RATING,
            parts=(line,),
            after="continue",
            asked=asked,
            expects=FREE,  # a grammar of digits made a one of "what does the shipping cost"
            facts=(Fact("csat.asked", {}),),
        )

    def answered(
        self,
        state: ConversationState,
        given: TurnInput,
        channel: Channel,
        goes_on: Callable[[Utterance], bool],
    ) -> Draft | None:
        """What the caller said to it; None: it was not asked, or they want something else.

        ``goes_on``: whether words are about something else.
        """
        asked = state.asked
        if asked is None or asked.kind is not AskedKind.SLOT or asked.slot != SLOT:
            return None
        state = state.model_copy(update={"asked": None})
        match given:
            case Keys():
                digit = given.raw.rstrip("#*")
                score = int(digit) if digit in {"1", "2", "3", "4", "5"} else None
                return None if digit == "0" else self._over(state, score, "keys")
            case Utterance():
                score = score_of(given.raw.text)
                if score is None and goes_on(given):
                    return None
                return self._over(state, score, "voice" if channel in _SPOKEN else "text")
            case Silence() | NotHeard():
                return self._over(state, None, "voice")
            case _:
                return None

    def _over(self, state: ConversationState, score: int | None, how: str) -> Draft:
        end = self._steering.end(state, "goodbye", "csat/none")
        if score is None:
            return end
        thanks = replace(
            end,
            row="csat/given",
            parts=(Line("csat.thanks"),),
            facts=(*end.facts, Fact("csat.given", {"score": score, "how": how})),
        )

        def then(outcome: ActOutcome) -> Draft:
            return thanks if outcome.status == "done" else end

        return replace(end, deed=Deed("act", ACT, {"score": score, "how": how}, then))
