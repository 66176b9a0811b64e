"""A person was asked for: in words, by key, by taking up an offer. Pure.

What counts in words is the monitor's reading, less of it while digits are asked for; and, because nobody who
says it plainly may be talked round, words that ask for a person whatever the model makes of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.rules import Asked

PERSON_KEY = "0"

_SMALL = r"(?:\w+'?\w*\s+){0,4}?"
_ONE = (
    r"(?:human(?: being)?|person|agent|operator|representative|rep|colleague|advis[eo]r|supervisor|manager|"
    r"boss|employee)"
)
_WHO = (
    rf"(?:{_ONE}s?|people|staff|clerk|someone|somebody|anyone|anybody|(?:service|front|help) desk|reception|"
    r"customer (?:care|services?|support)|support|whoever)"
)
_TITLE = r"(?:human(?: being)?|agent|operator|representative|supervisor|manager|(?:real|live) person)"
_LIVING = r"(?:real|actual|live|human|proper)"
_MACHINE = r"(?:machine|robot|bot|computer|recording|automat\w*|menu)s?"
_NO_MORE = r"(?:no more|enough of|not|no|refuse|stop|don't|sick of|tired of|instead of)"
_WISH = (
    r"(?:want|wanna|need|like|love|prefer|rather|let me|(?:can|could|may|might|how do|how can|who can) i|"
    r"(?:able|allowed|get|possible|have|way|time|chance) to|please|i(?:'ll| will)? only|nobody|anybody|"
    r"anyone|someone|somebody)"
)
_TALK = r"(?:speak|talk|chat)\s+(?:to|with)"
_PUT = r"(?:put|pass|hand|transfer|connect|switch|send|forward|patch|route)"
_GET = r"(?:get|give|fetch|call|bring|find)"
_FIRST = r"(?:please|an?|the|your|hello|just|um|uh|okay|no)"
_STAFF = r"(?:member of (?:your|the) (?:team|staff)|colleague of yours)"
_SOME = r"(?:someone|somebody|a colleague|one)"
_TEAM = r"(?:desk|office|team|staff|department|service|support|colleagues)"

_ASKS = tuple(
    re.compile(pattern)
    for pattern in (
        # "let me talk to somebody", "may i have a word with the manager"
        rf"\b{_WISH}\b\s+{_SMALL}{_TALK}\s+{_SMALL}\b{_WHO}\b",
        rf"\b{_WISH}\b\s+{_SMALL}(?:word|conversation|chat) with\s+{_SMALL}\b{_WHO}\b",
        # "who can i actually talk to", "is there nobody real i can speak with"
        r"\b(?:who|whom) (?:can|could|may) i (?:\w+ )?(?:speak|talk) (?:to|with)\b",
        rf"\b(?:{_WHO}|nobody) {_SMALL}i (?:can|could|may) (?:speak|talk) (?:to|with)\b",
        # "transfer this call to an operator", "put me through"
        rf"\b{_PUT} (?:me|us|(?:this|the|my) call)\b\s+(?:\w+ ){{0,6}}?{_WHO}\b",
        r"\b(?:put me through|transfer me|connect me|hand me over|pass me on)(?: now| please)?$",
        # "get me a human", "would you fetch someone from the service desk"
        rf"\b{_GET} me\s+{_SMALL}\b{_ONE}\b",
        rf"\b{_GET} (?:me )?{_SOME} (?:from|of|in) (?:the|your) {_SMALL}{_TEAM}\b",
        # "can a real person look at this", "can a member of your team pick up"
        rf"\b(?:can|could|would|will) (?:a|an|some) {_LIVING} (?:person|human|agent|being|colleague)\b",
        rf"\b(?:can|could|would) (?:a|any|some) {_STAFF}\b",
        # "i need live support", "i want an agent"
        rf"\b(?:need|want|like|prefer|have|get)\s+(?:an? |some )?{_LIVING} (?:{_ONE}|support|help)\b",
        rf"\b(?:want|need|i'd like|i would like|prefer) (?:an?|to have a) {_TITLE}\b",
        # "enough of the robot, a human please", "i talk to people, not to machines"
        rf"\b{_NO_MORE}\b.*\b{_MACHINE}\b.*\b{_WHO}\b",
        rf"\b(?:talk|speak) to (?:people|humans?)\b.*\bnot\b.*\b{_MACHINE}\b",
        # the word alone: "representative representative", "supervisor now"
        rf"^(?:{_FIRST} )*{_TITLE}(?: (?:please|now|right now|{_TITLE}))*$",
    )
)
_ABOUT_IT = re.compile(
    r"\b(?:i (?:have |already )?(?:spoken?|talked)|(?:do|should|must|will) i (?:need|have) to|"
    r"carry|deliver|courier|carrier|neighbou?r|driver|assembl\w*|(?:another|second|one) person|"
    r"two people|gift|pick (?:it|them|my) up|pick up (?:my|the))\b"
)
"""Sentences about persons, and not to have one on the line."""


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What a turn says about the wish for a person.

    ``first``: the likeliest want is a person, with ``confidence``, and ``sure`` the intent's limit.
    ``probability``: of that intent among all guesses. ``at_gate``: digits are asked for, and none were said.
    ``words``: of the caller, for `says_so` alone.
    """

    first: bool
    confidence: float
    sure: float
    probability: float = 0.0
    at_gate: bool = False
    words: str = ""


def says_so(words: str) -> bool:
    """Whether the words ask for a person plainly.

    >>> says_so("would you let me talk to somebody"), says_so("can somebody else pick up my parcel")
    (True, False)
    """
    text = " ".join(re.sub(r"[^a-z0-9' ]", " ", words.lower()).split())
    return not _ABOUT_IT.search(text) and any(ask.search(text) for ask in _ASKS)


def asked(facts: PersonFacts, rules: Asked) -> Cause | None:
    """Fires when a person is asked for in words."""
    if facts.first and facts.confidence >= facts.sure:
        how, limit, reading = "understood", facts.sure, facts.confidence
    elif facts.at_gate and facts.probability >= rules.at_gate:
        how, limit, reading = "likely, instead of digits", rules.at_gate, facts.probability
    elif says_so(facts.words):
        how, limit, reading = "plain words", facts.sure, facts.probability
    else:
        return None
    return Cause("asked_for_person", {"by": how, "classification": round(reading, 4), "limit": limit})


def by_key(digits: str) -> Cause | None:
    """Fires on the key for a person, whatever is asked."""
    return Cause("key_zero", {"key": PERSON_KEY}) if digits == PERSON_KEY else None


def accepted(offered: bool, yes: bool) -> Cause | None:
    """Fires when an offered person is wanted."""
    return Cause("accepted_offer", {"offered": True}) if offered and yes else None
