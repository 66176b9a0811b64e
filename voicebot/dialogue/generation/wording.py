"""The words of a question that mean something, and whether a text holds them or their likes. Pure,
English.
"""

from __future__ import annotations

from collections.abc import Iterable

from voicebot.dialogue.monitor.features import NUMBER, words_of

_STOP_LINES = (
    "a an the i you we they he she it its is are was were be been am do does did have has had having of",
    "to in on at for from with by about as that this these those there here and or but if when what where",
    "which who whom how why my your our their me us them him her can could will would shall should may",
    "might must not no so then than too very just only also much many long get gets got go goes going",
    "want wants need needs like please tell know think say said s t d ll ve re m up out into over after",
    "before until any some all one something anything thing things kind sort really actually still",
    "already yet give take takes took come comes make makes let see look put use does happens happen mean",
    "says okay hi hello well yes um",
)
_STOP = frozenset(word for line in _STOP_LINES for word in line.split())
_GROUPS = (
    "cost price fee charge pay expensive cheap dollar",
    "refund reimburse",
    "delivery shipping ship deliver arrive",
    "store shop showroom",
    "buy purchase order",
    "warranty guarantee",
    "reply answer respond response",
    "kid child",
    "restroom toilet bathroom",
    "wireless wifi",
    "elevator lift",
    "sofa couch",
    "color colour",
    "broken damaged defective faulty",
    "pickup collect",
    "robot bot automated machine",
    "hold weigh weight carry",
    "discount off rebate save reduced",
    "expire valid",
    "open close reopen",
)
"""Words that callers use for each other."""
_IRREGULAR = {
    "kept": "keep", "sent": "send", "bought": "buy", "paid": "pay", "broke": "break", "broken": "break",
    "lost": "lose", "given": "give", "gave": "give", "left": "leave", "chosen": "choose", "sold": "sell",
    "brought": "bring", "held": "hold", "written": "write", "children": "child",
    "kids": "kid", "worn": "wear",
    "hung": "hang", "built": "build", "stolen": "steal", "children's": "child", "people": "person",
}  # fmt: skip


def terms_of(question: str) -> tuple[str, ...]:
    """The stems of the words that mean something, in their order, without doubles."""
    return tuple(
        dict.fromkeys(stem(word) for word in words_of(question) if word not in _STOP and word != NUMBER)
    )


def is_stop(word: str) -> bool:
    """Whether a normalised word carries no meaning of its own."""
    return word in _STOP


def matching(terms: Iterable[str], text: str) -> set[str]:
    """Those of the terms that stand in a text, or that a word of it stands for."""
    stems = {stem(word) for word in words_of(text)}
    return {term for term in terms if term in stems or _SYNONYMS.get(term, frozenset()) & stems}


def covers_all(question: str, text: str, but: Iterable[str] = ()) -> bool:
    """Whether every word of the question that means something stands in the text, or one like it.

    ``but``: words that need not. False for a question without such words.
    """
    terms = set(terms_of(question))
    needed = terms - {stem(word) for word in but}
    return bool(terms) and matching(needed, text) == needed


def stem(word: str) -> str:
    """A word without its common endings.

    >>> [stem(word) for word in ("deliveries", "returned", "costs", "washing", "glasses")]
    ['deliver', 'return', 'cost', 'wash', 'glass']
    """
    word = _IRREGULAR.get(word, word)
    for ending, instead in (
        ("ies", "y"),
        ("sses", "ss"),
        ("ing", ""),
        ("ed", ""),
        ("es", "e"),
        ("s", ""),
        ("ly", ""),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + instead
            break
        if ending == "sses" and word.endswith("sses"):
            word = word[:-2]
            break
    if word.endswith(("y", "e")) and len(word) > 4:
        word = word[:-1]
    return word[:7]


_SYNONYMS: dict[str, frozenset[str]] = {
    stem(word): frozenset(stem(other) for other in group.split() if other != word)
    for group in _GROUPS
    for word in group.split()
}
