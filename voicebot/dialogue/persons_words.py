"""What is wrong with words that a person wants the bot to say: the same guard as for a model's. Pure.

The person is the source of the values in them, so a price or a day needs no other. What no wording may do
stays forbidden: other customers' data, promises in the bot's voice, a claim to be human, insults, prompts.
What is kept nowhere (a card's number, a one-time code) is refused before it is stored.
"""

from __future__ import annotations

import re
import unicodedata

from voicebot.dialogue.generation.clauses import split
from voicebot.dialogue.generation.speech_guard import SpeechGuard
from voicebot.safety.guard_out import Block, BlockReason, ClauseGuard, Facts
from voicebot.safety.guard_out.values import Fact, values
from voicebot.safety.pii import cues
from voicebot.safety.pii.checksums import is_card, luhn
from voicebot.safety.pii.masking import TOKEN, Masker

LONGEST = 600
"""Characters: about 40 seconds of speech."""
_DIGITS = re.compile(r"\d(?:[ .-]?\d){12,18}")
_SECRET_KINDS = frozenset({cues.CARD, cues.CODE})


def wrong_with(text: str, guard: SpeechGuard, masker: Masker) -> tuple[str, ...]:
    """Why these words may not be said, as names of a closed set; empty: they may.

    Args:
        text: as the person wrote it.
        guard: of the conversation.
        masker: with the conversation's shapes and values; nothing is learned.
    """
    if not text.strip():
        return ("empty",)
    reasons: set[str] = set()
    if len(text) > LONGEST:
        reasons.add("too_long")
    if any(unicodedata.category(c)[0] == "C" and c not in "\n\t" for c in text):
        reasons.add("unprintable")
    if TOKEN.search(text):
        reasons.add("placeholder")
    if _card_in(text, masker):
        reasons.add("card_number")
    elif any(one.kind in _SECRET_KINDS for one in masker.mask(text, learn=False).found):
        reasons.add("secret_number")
    facts = Facts(
        results=(text,),
        caller=guard.caller,
        states=(one.value for one in values(text) if one.kind is Fact.STATUS),
        secret=guard.secret,
        own=guard.own,
    )
    clauses = ClauseGuard(facts, guard.index)
    for clause in split(text):
        ruling = clauses.check(clause)
        if isinstance(ruling, Block) and ruling.reason is not BlockReason.OFF_TOPIC:
            reasons.add(ruling.reason.value)
    return tuple(sorted(reasons))


def _card_in(text: str, masker: Masker) -> bool:
    """Written in figures, or as it is spoken."""
    runs = ("".join(filter(str.isdigit, run)) for run in _DIGITS.findall(text))
    return any(map(luhn, runs)) or any(is_card(one.value) for one in masker.mask(text, learn=False).found)
