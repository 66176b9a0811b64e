"""What happens in a talk that an agent should think of: promises made, cards, danger, topics of others. Pure.

A promise is the agent's own: "I'll call you back", not "shall I call you back", nor "I can't call you back".
"""

# ruff: noqa: E501  # a pattern is not broken into lines

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from voicebot.handoff.assist.library import IDENTITY_ASKED, UNVERIFIED, UPSET, Assistance, promised
from voicebot.handoff.assist.lines import Line, Reads
from voicebot.handoff.mood import ANGRY, is_upset
from voicebot.safety.pii import cues
from voicebot.safety.pii.masking import TOKEN
from voicebot.safety.triggers.rules import Regulated
from voicebot.safety.triggers.topics import named

RECENT = 10
"""A card or code is warned of for so many lines."""

CARD_SAID, CODE_SAID, CARD_ASKED, DISTRESS, REGULATED = (
    "card_said",
    "code_said",
    "card_asked",
    "distress",
    "regulated",
)

_SELF = r"\b(?:i|we|somebody|someone|(?:a|my|our) (?:\w+ )?(?:colleague|team|manager|specialist)|they|the \w+ team)"
_WILL = r"(?:'ll| will| am going to|'m going to| are going to|'re going to| is going to|'ll have (?:somebody|someone)| will have (?:somebody|someone)| promise to)"
_LET = r"\blet me"
_DENIED = re.compile(
    r"\b(?:not|never|won't|can't|cannot|couldn't|don't|unless|nobody|no one|if|whether|should|would|could|know)\b"
)
"""Between "I'll" and the deed, these make it no promise."""
_ASKS = re.compile(
    r"(?:(?:so|and|okay|well) )?(?:did|does|do|has|have|had|was|were|is|are|shall|should|would|can|could)\b"
)
_CARD = re.compile(
    r"\b(?:card (?:number|details|data)|number (?:on|of) (?:your|the) (?:\w+ )?card|security code|expiry date|expiration date|cvv|cvc)\b"
)
_ASKING = re.compile(
    r"\b(?:can i (?:have|get|take)|could i (?:have|get|take)|may i (?:have|ask)|can you (?:give|tell|read|confirm)|could you (?:give|tell|read|confirm)"
    r"|would you (?:give|tell|read|confirm)|what(?:'s| is| are)|i(?:'ll| will)? (?:just )?need|please (?:give|tell|read|confirm)|give me|tell me|read me|do you have|confirm)\b"
)


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that happened. ``name``: a sign; ``line``: where; ``detail``: a topic or a promise's name."""

    name: str
    line: Line
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers and topics of the deployment's policy. ``distress``: the probability from which it counts."""

    distress: float
    topics: Regulated


def signs(
    lines: Sequence[Line], reads: Reads, library: Assistance, limits: Limits, *, unverified: int | None = None
) -> tuple[Sign, ...]:
    """All that can be seen in the lines, in their order; of each thing the latest.

    Args:
        lines: of the conversation; what was said to the bot does not count as said to a person.
        reads: the monitor's reading of a line.
        library: the deployment's.
        limits: of its policy.
        unverified: the line that asked for what is for verified customers only, and the caller is none.
    """
    seen: dict[tuple[str, str], Sign] = {}
    for at, line in enumerate(lines):
        recent = at >= len(lines) - RECENT
        for sign in _of_line(line, reads, library, limits):
            passing = sign.name in (CARD_SAID, CODE_SAID, CARD_ASKED)
            if recent or not passing:
                key = (sign.name, sign.detail if sign.name == REGULATED else "")
                if sign.name.startswith("promised_"):
                    seen.setdefault(key, sign)  # the first time it was promised
                else:
                    seen[key] = sign
    needs = next((line for line in lines if line.id == unverified), None)
    if needs is not None and (IDENTITY_ASKED, "") not in seen:
        seen[UNVERIFIED, ""] = Sign(UNVERIFIED, needs)
    if (line := _upset_since(lines, reads)) is not None:
        seen[UPSET, ""] = Sign(UPSET, line)
    return tuple(seen.values())


def promises(text: str, library: Assistance) -> tuple[str, ...]:
    """Names of what an agent promises in these words."""
    plain = " ".join(text.lower().replace("’", "'").split())
    if plain.endswith("?"):
        return ()
    return tuple(name for name, one in library.promises.items() if _promise(plain, one.words))


def _promise(plain: str, words: tuple[str, ...]) -> bool:
    for clause in re.split(r"[.;!?]+|,? but ", plain):
        if _ASKS.match(clause.strip()):
            continue
        match = _pattern(words).search(clause)
        if match is not None and _DENIED.search(match.group()) is None:
            return True
    return False


@lru_cache(maxsize=64)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    deeds = "|".join(map(re.escape, words))
    return re.compile(rf"(?:{_SELF}{_WILL}|{_LET})(?: [\w']+){{0,4}}? (?:{deeds})\b(?! with the\b)")


def _of_line(line: Line, reads: Reads, library: Assistance, limits: Limits) -> Iterator[Sign]:
    plain = " ".join(line.text.lower().replace("’", "'").split())
    if line.who == "bot":
        return
    kinds = {token[1:].rpartition(" ")[0] for token in TOKEN.findall(line.text)}
    if line.person and cues.CARD in kinds:
        yield Sign(CARD_SAID, line)
    if line.person and cues.CODE in kinds:
        yield Sign(CODE_SAID, line)
    if line.who == "agent":
        for name in promises(line.text, library):
            yield Sign(promised(name), line, name)
        asks = _ASKING.search(plain) is not None
        if asks and _CARD.search(plain):
            yield Sign(CARD_ASKED, line)
        elif asks and any(word in plain for word in library.identity_words):
            yield Sign(IDENTITY_ASKED, line)
        return
    if reads(line).distress >= limits.distress:
        yield Sign(DISTRESS, line)
    cause = named(TOKEN.sub(" ", line.text), limits.topics)
    if cause is not None:
        yield Sign(REGULATED, line, str(cause.evidence["topic"]))


def _upset_since(lines: Sequence[Line], reads: Reads) -> Line | None:
    """The line from which on the caller has sounded upset; None: not now.

    One line that sounds somewhat unhappy is how people ask where their parcel is: it takes an angry one, or two.
    """
    run: list[Line] = []
    for line in reversed([line for line in lines if line.who == "caller"]):
        if not is_upset([reads(line).sentiment]):
            break
        run.append(line)
    angry = any(reads(line).sentiment < ANGRY for line in run)
    return run[-1] if angry or len(run) > 1 else None
