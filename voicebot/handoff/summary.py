"""The summary for the person who takes over, and the few words that are spoken to them before.

`summarise` asks the deployment's language model, an inference of its own; what it writes is used only if it
has the agent's format and holds nothing that the payload does not (`checked`, pure). Else, and without a
model, the composed one stands. The next step is always the reviewed one. `briefing` needs no model.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Protocol

from voicebot.core.conversation import Strict
from voicebot.dialogue.generation.request import GenerationFailed, Meter
from voicebot.dialogue.prompts import Composed, data
from voicebot.handoff.mood import is_upset
from voicebot.handoff.payload import Payload, Summary
from voicebot.safety.guard_out import Block, ClauseGuard, Facts
from voicebot.safety.pii.masking import TOKEN
from voicebot.safety.pii.words import listed

WITHIN_S = 8.0
BRIEFING_S = 12.0
WORDS_PER_S = 2.5
"""Speech at 150 words a minute: slower than our voices, which leaves room for pauses."""

_MOST_WORDS = int(BRIEFING_S * WORDS_PER_S)
_LINES = ("issue", "tried", "mood")
_LONGEST = 320
_LATEST_LINES = 60
"""Lines of the transcript that a model reads: the latest."""
_DONE = listed(
    "cancelled canceled refunded changed replaced sent booked credited confirmed paid shipped delivered "
    "reset removed added updated registered exchanged returned compensated approved granted"
)
"""What the assistant can only have done if a tool or the assistant itself said so."""
_WISH = re.compile(
    r"\b(?:wants?|wanted|wish(?:es|ed)?|asks?|asked|asking|needs?|needed|should|hopes?|expects?|not|never|"
    r"couldn't|wasn't|hasn't|isn't)\b"
)
_CLAUSE = re.compile(r"[.;,]|\b(?:and|but|then)\b")
_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")


class Llm(Protocol):
    """A language model: `voicebot.dialogue.generation.models.LanguageModel`."""

    name: str

    def write(self, composed: Composed, meter: Meter | None = None) -> AsyncGenerator[str]:
        """What it makes of a prompt, in tokens."""
        ...


class Told(Strict):
    """A summary. ``fell_back``: why the model's was not used; None: it was, or there is none."""

    summary: Summary
    fell_back: str | None = None


async def summarise(
    payload: Payload, llm: Llm | None, prompt: Composed | None, *, within_s: float = WITHIN_S
) -> Told:
    """The summary by the model, or the composed one that the payload has. Raises nothing of the model's.

    Args:
        payload: with tokens in place of what is personal; the model sees no other.
        llm: None: the composed one stands.
        prompt: how it is asked for, without material.
        within_s: seconds for all of it.
    """
    if llm is None or prompt is None:
        return Told(summary=payload.summary)
    asked = prompt.model_copy(update={"user": material(payload)})
    written = ""
    try:
        async with asyncio.timeout(within_s), aclosing(llm.write(asked)) as tokens:
            async for token in tokens:
                written += token
                if len(written) > len(_LINES) * _LONGEST * 2:
                    return Told(summary=payload.summary, fell_back="endless")
    except TimeoutError:
        return Told(summary=payload.summary, fell_back="late")
    except GenerationFailed as failed:
        return Told(summary=payload.summary, fell_back=failed.failure.value)
    return checked(written, payload, llm.name)


def material(payload: Payload) -> str:
    """What a model is shown: no value of the vault, no result of a tool but its outcome."""
    lines = [
        f"<handed_over_because>{data(payload.reason)}</handed_over_because>",
        f"<customer>{'verified' if payload.identity.verified else 'not verified'}</customer>",
        f"<about>{data(', '.join(payload.about) or 'not said')}</about>",
        f"<assistant_did>{data('; '.join(payload.tried) or 'nothing yet')}</assistant_did>",
        f"<mood>{data(payload.summary.mood)}</mood>",
        "<transcript>",
    ]
    for line in payload.transcript[-_LATEST_LINES:]:
        tag = "customer" if line.who == "caller" else "assistant"
        lines.append(f"<{tag}>{data(line.text)}</{tag}>")
    return "\n".join([*lines, "</transcript>"])


def checked(written: str, payload: Payload, by: str) -> Told:
    """What a model wrote, if it may stand. Pure."""
    lines = _parsed(written)
    if lines is None:
        return Told(summary=payload.summary, fell_back="format")
    for name, text in lines.items():
        problem = _unfounded(text, payload)
        if problem is not None:
            return Told(summary=payload.summary, fell_back=f"{name}: {problem}")
    summary = Summary(**lines, next=payload.next_action, written_by=by)
    return Told(summary=summary)


def _parsed(written: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for line in written.strip().splitlines():
        bare = line.strip().lstrip("-* ").replace("**", "")
        if not bare:
            continue
        name, colon, text = bare.partition(":")
        name, text = name.strip().lower(), " ".join(text.split())
        if not colon or name not in _LINES or name in found or not 0 < len(text) <= _LONGEST:
            return None
        found[name] = text
    return found if len(found) == len(_LINES) else None


def _unfounded(text: str, payload: Payload) -> str | None:
    """What a line says that the payload does not; None: nothing."""
    said = [line.text for line in payload.transcript]
    known = [
        *said,
        *payload.tried,
        *payload.about,
        payload.reason,
        payload.summary.mood,
        payload.summary.issue,
    ]
    tokens = {match.group() for one in known for match in TOKEN.finditer(one)}
    if any(match.group() not in tokens for match in TOKEN.finditer(text)):
        return "token"
    plain = [TOKEN.sub("that", one) for one in known]
    outcomes = [call.call.result.get("outcome", "") for call in payload.tool_calls if call.call.result]
    line = TOKEN.sub("that", text)
    ours = " ".join((*payload.tried, *(one.text for one in payload.transcript if one.who == "bot")))
    wished, claimed = _deeds(line)
    if claimed - set(_words(ours)):
        return "deed"
    facts = Facts(cited=plain, states=[*(str(one).replace("_", " ") for one in outcomes), *wished])
    ruling = ClauseGuard(facts).check(line)
    if isinstance(ruling, Block) and ruling.reason.value != "off_topic":
        return ruling.reason.value
    if not payload.identity.verified and re.search(r"(?<!not )(?<!un)\bverified\b", line.lower()):
        return "identity"
    names = set(_capitals(line)) - {word for one in plain for word in _words(one)}
    return "name" if names else None


def _deeds(line: str) -> tuple[set[str], set[str]]:
    """Words of `_DONE` in a line: those that are wished for or denied, and those that are claimed."""
    wished, claimed = set[str](), set[str]()
    for clause in _CLAUSE.split(line.lower()):
        (wished if _WISH.search(clause) else claimed).update(_DONE & set(_words(clause)))
    return wished, claimed


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _capitals(line: str) -> Iterator[str]:
    """Words with a capital that does not begin a sentence, in lower case."""
    for match in _WORD.finditer(line):
        before = line[: match.start()].rstrip()
        if match.group()[0].isupper() and match.group() != "I" and before and before[-1] not in ".!?:":
            yield match.group().lower()


def briefing(payload: Payload) -> str:
    """What is spoken to the person before they are connected: at most `BRIEFING_S` of speech, nothing secret.

    Made of the deployment's own words for topic, reason and next step, never of what was said. A sentence
    with a digit or a token in it is left out. If there is no time for all of it, only the latest topic is
    named, then only the first part of the next step, then the mood and at last the next step go.
    """
    upset = ["They sound upset."] if is_upset([one.sentiment for one in payload.scores.turns]) else []
    step = payload.next_action
    first = re.split(r"(?<=[.!?])\s|[;:,]\s", step)[0].rstrip(".!?")
    for topics, mood, following in (
        (2, upset, [f"Next: {step}"]),
        (1, upset, [f"Next: {step}"]),
        (1, upset, [f"Next: {first}."]),
        (1, [], [f"Next: {first}."]),
        (1, upset, []),
    ):
        said = [*_opening(payload, topics), *mood, *following]
        said = [one for one in said if not re.search(r"[\d\[\]]", one)]
        if sum(len(one.split()) for one in said) <= _MOST_WORDS:
            return " ".join(said)
    return " ".join(_opening(payload, 0)[:1])


def _opening(payload: Payload, topics: int) -> list[str]:
    identity = "a verified customer" if payload.identity.verified else "a caller who is not verified"
    about = " and ".join(payload.about[-topics:]) if topics else ""
    urgent = ["This is urgent."] if payload.urgency == "critical" else []
    reason = f"{payload.reason[:1].upper()}{payload.reason[1:]}."
    return [*urgent, f"You have {identity}{', about ' if about else ''}{about}.", reason]
