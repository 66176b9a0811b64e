"""What a caller may answer to a question, as JSGF grammars for PocketSphinx.

Pure: an ``Expects`` in, a grammar out. Grammars say only what KIND of answer fits (digits, yes or no, a
date); a value that somebody is expected to give never enters one. Each also lets the caller leave the
question ("I don't know", "a person please"), which a bare grammar would force into digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from voicebot.core.conversation import Expects

DIGITS = ("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_SELDOM = 0.001
"""Weight of what callers seldom say (a lead, "double", a goodbye) beside plain digits. Measured: with equal
weights short leads swallow digits, 71 of 96 six-digit numbers whole became 61; with these, 69."""

_ANY_LENGTH = 0.1
"""Weight of another number of digits than was asked for: five of six are heard as five."""

_PIECES = f"""
<digit> = zero | oh | one | two | three | four | five | six | seven | eight | nine;
<piece> = /1/ <digit> | /{_SELDOM}/ double <digit> | /{_SELDOM}/ triple <digit>;
<lead> = it's | it is | its | that's | that is | the number is | my number is | my order number is
       | order number | my order number | the order number is | my postcode is | the postcode is
       | my zip code is | postcode | zip code | yes | sure | okay | um | uh | um it's | yes it's;
<tail> = please | thanks | thank you;
"""

_AROUND = f"""
<led> = /1/ <core> | /{_SELDOM}/ <lead> <core>;
<answer> = /1/ <led> | /{_SELDOM}/ <led> <tail>;
"""

_YES_NO = """
<yes> = yes | yeah | yep | yup | sure | okay | correct | right | that's right | that is right | that's correct
      | that is correct | exactly | of course | please do | go ahead | absolutely | yes i do | yes it is;
<no> = no | nope | nah | not really | no thanks | no thank you | that's wrong | that is wrong | wrong
     | incorrect | that's not right | that is not right | no i don't | no it isn't | no that's all
     | that's all | that's it | nothing else;
<answer> = [um | uh | well | oh] (<yes> | <no>) [please | thanks | thank you];
"""

_DATE = """
<month> = january | february | march | april | may | june | july | august | september | october | november
        | december;
<ordinal> = first | second | third | fourth | fifth | sixth | seventh | eighth | ninth | tenth | eleventh
          | twelfth | thirteenth | fourteenth | fifteenth | sixteenth | seventeenth | eighteenth | nineteenth
          | twentieth | twenty first | twenty second | twenty third | twenty fourth | twenty fifth
          | twenty sixth | twenty seventh | twenty eighth | twenty ninth | thirtieth | thirty first;
<unit> = one | two | three | four | five | six | seven | eight | nine;
<teen> = ten | eleven | twelve | thirteen | fourteen | fifteen | sixteen | seventeen | eighteen | nineteen;
<tens> = twenty | thirty | forty | fifty | sixty | seventy | eighty | ninety;
<two> = <teen> | <tens> [<unit>] | oh <unit>;
<year> = nineteen <two> | twenty <two> | two thousand [[and] (<unit> | <teen> | <tens> [<unit>])];
<day> = [the] <ordinal> | <unit> | <teen> | twenty [<unit>] | thirty [one];
<weekday> = monday | tuesday | wednesday | thursday | friday | saturday | sunday;
<relative> = today | tomorrow | yesterday | [this | next | last] <weekday> | next week | last week;
<date> = <month> <day> [<year>] | <day> [of] <month> [<year>] | <relative>;
<lead> = it's | it is | on | um | uh | i was born on | my birthday is | my date of birth is;
<answer> = [<lead>] <date> [please];
"""

LEAVES = (
    "i don't know",
    "i don't have it",
    "i don't have that",
    "i don't have it with me",
    "hold on",
    "one moment",
    "one moment please",
    "wait a moment",
    "what",
    "sorry what",
    "can you repeat that",
    "please repeat that",
    "say that again",
    "i want a person",
    "a person",
    "a person please",
    "a human please",
    "an agent please",
    "operator",
    "representative",
    "talk to a person",
    "i want to talk to a person",
    "i'd like to speak to a person",
    "can i speak to a person",
)
"""What a caller may say instead of answering, whatever was asked."""


LONGEST_EXACT = 8
"""PocketSphinx writes the rules out, twice as much for each digit: 0.3 s for eight, 4 s for twelve."""


@dataclass(frozen=True)
class Grammar:
    """A named JSGF grammar. ``name`` is its key in a decoder."""

    name: str
    jsgf: str

    def words(self) -> frozenset[str]:
        """Every word it can hear."""
        return frozenset(
            re.findall(r"[a-z][a-z']*", re.sub(r"<[^>]*>|#JSGF[^;]*;|grammar \w+;|public", " ", self.jsgf))
        )


def grammar_of(expects: Expects, leaves: tuple[str, ...] = LEAVES) -> Grammar | None:
    """The grammar for an answer to ``expects``; None where only the language model fits.

    Digits of a known length prefer that length and still accept any other: a caller who gives five of six
    digits is to be heard as five, not forced into six. Longer than ``LONGEST_EXACT`` counts as unknown.
    """
    match expects.kind:
        case "digits":
            if expects.length is None or expects.length > LONGEST_EXACT:
                return _grammar("digits", _PIECES + "<core> = <piece>+;" + _AROUND, leaves)
            core = f"{_exactly(expects.length)}<core> = /1/ <n{expects.length}> | /{_ANY_LENGTH}/ <piece>+;"
            return _grammar(f"digits{expects.length}", _PIECES + core + _AROUND, leaves)
        case "yes_no":
            return _grammar("yes_no", _YES_NO, leaves)
        case "date":
            return _grammar("date", _DATE, leaves)
        case "free" | "name":
            return None


def _exactly(length: int) -> str:
    """Rules ``<n1>`` to ``<n{length}>``: that many digits, "double" counting as two of them."""
    rules = ["<n1> = <digit>;\n"]
    for nth in range(2, length + 1):
        ways = [f"/1/ <digit> <n{nth - 1}>"]
        ways += [f"/{_SELDOM}/ double <digit>" + (f" <n{nth - 2}>" if nth > 2 else "")]
        ways += [f"/{_SELDOM}/ triple <digit>" + (f" <n{nth - 3}>" if nth > 3 else "")] if nth > 2 else []
        rules.append(f"<n{nth}> = {' | '.join(ways)};\n")
    return "".join(rules)


def all_grammars(leaves: tuple[str, ...] = LEAVES) -> tuple[Grammar, ...]:
    """One of each kind, for loading a decoder."""
    made = (
        grammar_of(Expects(kind="digits"), leaves),
        grammar_of(Expects(kind="yes_no"), leaves),
        grammar_of(Expects(kind="date"), leaves),
    )
    return tuple(g for g in made if g is not None)


def _grammar(name: str, rules: str, leaves: tuple[str, ...]) -> Grammar:
    leave = f"<leave> = {' | '.join(leaves)};\n" if leaves else ""
    turn = f"/1/ <answer> | /{_SELDOM}/ <leave>" if leaves else "<answer>"
    return Grammar(name, f"#JSGF V1.0;\ngrammar {name};\n{rules}\n{leave}public <turn> = {turn};\n")
