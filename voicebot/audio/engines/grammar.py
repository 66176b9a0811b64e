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

_DIGITS = """
<digit> = zero | oh | one | two | three | four | five | six | seven | eight | nine;
<piece> = <digit> | (double | triple) <digit>;
<lead> = it's | it is | its | that's | that is | the number is | my number is | my order number is
       | order number | my order number | the order number is | my postcode is | the postcode is
       | my zip code is | postcode | zip code | yes | sure | okay | um | uh;
<tail> = please | thanks | thank you;
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

    Digits of a known length still accept any number of them: a caller who gives five of six digits is to
    be heard as five, not forced into six.
    """
    match expects.kind:
        case "digits":
            answer = "<answer> = [<lead>] <piece>+ [<tail>];"
            return _grammar("digits", _DIGITS + answer, leaves)
        case "yes_no":
            return _grammar("yes_no", _YES_NO, leaves)
        case "date":
            return _grammar("date", _DATE, leaves)
        case "free" | "name":
            return None


def all_grammars(leaves: tuple[str, ...] = LEAVES) -> tuple[Grammar, ...]:
    """One of each kind, for loading a decoder."""
    made = (
        grammar_of(Expects(kind="digits"), leaves),
        grammar_of(Expects(kind="yes_no"), leaves),
        grammar_of(Expects(kind="date"), leaves),
    )
    return tuple(g for g in made if g is not None)


def _grammar(name: str, rules: str, leaves: tuple[str, ...]) -> Grammar:
    leave = "".join(f" | {phrase}" for phrase in leaves)
    return Grammar(name, f"#JSGF V1.0;\ngrammar {name};\n{rules}\npublic <turn> = <answer>{leave};\n")
