"""Short words that are no question of their own: "why?", "really?", and how much a sentence says at all. Pure,
English.
"""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re

from voicebot.dialogue.generation.wording import terms_of
from voicebot.dialogue.monitor.features import words_of

_BEFORE = (
    r"(?:(?:and|but|so|ok|okay|well|um|uh|hm|oh|no|wait|sorry|please|huh|hey|yes|yeah|then|alright|right) )*"
)
_AFTER = r"(?: (?:though|then|please|exactly|is that|would that be|not|so|on earth|the hell|ever))*"
_WHY = re.compile(
    rf"^{_BEFORE}(?:why|why (?:so|that|this|too) (?:much|long|expensive|late|few|little|high|many|slow|early|short)|how come|how so|what for|for what reason|why (?:is|was|would|should|do|does) (?:that|this|it|you)(?: (?:be|say|need|want|ask|do|think)(?: (?:that|this|it|so|me))?)?(?: so)?"
    r"|(?:can|could|would) you (?:tell me|explain|say) (?:me )?(?:why|the reason|what the reason is)"
    r"|(?:i want to know|tell me|explain|say|but) (?:me )?(?:why|the reason)"
    r"|what (?:is|was) the reason(?: (?:for|behind) (?:that|this|it))?|on what grounds|what makes you say (?:that|so|this)"
    rf"|(?:(?:can|could|would) you )?(?:please )?explain(?: (?:that|this|it|yourself))?){_AFTER}$",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    rf"^{_BEFORE}(?:really|seriously|truly|honestly|for real|no way|says who|who says(?: (?:so|that))?|(?:are|r) you (?:sure|certain|serious|kidding|joking)(?: (?:about|of) (?:that|this|it))?"
    r"|is (?:that|this|it) (?:true|right|correct|so|a fact|for real|certain)|you sure|sure about that|how do you know(?: (?:that|this))?"
    r"|i (?:do not|can not) believe (?:that|it|you)|i doubt (?:that|it)|that can not be(?: (?:right|true))?)"
    r"(?: (?:now|then|though|really|sure))*$",
    re.IGNORECASE,
)
_WHY_SO = re.compile(
    rf"^{_BEFORE}(?:why|how come|what is the reason(?: that| why)?) ((?:[\w']+ ?){{1,6}})$", re.IGNORECASE
)
_POINTS = re.compile(r"\b(?:it|that|this|so|such|they|then)\b", re.IGNORECASE)
_CHAT = frozenset(
    {
        "nobody", "no", "on", "anyone", "someone", "serious", "honest", "tru", "true", "sure", "ever", "never",
        "guy", "man", "dude", "hell", "damn", "wow", "lol", "omg", "wtf", "great", "nice", "cool", "good", "bad",
        "right", "fine", "done", "again", "maybe", "question", "help", "stuff", "matter", "whatever",
        "because", "though", "huh", "oh", "ah", "bro", "sir", "madam", "please", "reason", "explain",
    }
)  # fmt: skip
"""Words (stems) of which no wish can be told."""


def asks_why(text: str) -> bool:
    """Whether the words ask for the reason of what was just said, and name no matter of their own.

    >>> asks_why("but why not?"), asks_why("why can't I return it")
    (True, False)
    """
    return _WHY.search(_plain(text)) is not None


def asks_why_of(text: str, said: str) -> bool:
    """Whether the reason of something that was said is asked for in words of its own.

    >>> asks_why_of("why thirty days", "Within thirty days."), asks_why_of("why is my lamp late", "Thirty days.")
    (True, False)
    """
    found = _WHY_SO.match(_plain(text))
    if found is None:
        return False
    rest = found.group(1)
    words = set(terms_of(rest))
    return (
        bool(_POINTS.search(rest))
        or rest.startswith("not ")
        or (bool(words) and words <= set(terms_of(said)))
    )


def doubts(text: str) -> bool:
    """Whether the words doubt what was just said.

    >>> doubts("are you sure about that?"), doubts("are you sure you have my order")
    (True, False)
    """
    return _DOUBT.search(_plain(text)) is not None


def content_words(text: str) -> int:
    """How many different words of a text say something of a matter.

    >>> content_words("why?"), content_words("my account"), content_words("you charged my card twice")
    (0, 1, 3)
    """
    return sum(1 for term in terms_of(text) if term not in _CHAT)


def _plain(text: str) -> str:
    return " ".join(words_of(text))
