"""From a conversation's turns to the payload: transcript, what was tried, summary, next action. Pure.

The summary is composed from what is stored; no model writes it, so it holds nothing that did not happen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from voicebot.core.conversation import Channel, Decision, FiredTrigger, Source
from voicebot.dialogue.handover import HandoverRequest
from voicebot.handoff.mood import mood_of
from voicebot.handoff.patterns import Facts
from voicebot.handoff.payload import Identity, Line, Payload, Scores, Summary, ToolCall, TurnScore
from voicebot.handoff.reasons import Library, Reasons

COMPOSED = "composed"
"""Who wrote a summary that no model wrote."""

_WRITTEN = frozenset({Channel.CHAT, Channel.SMS})
_NO_WORDS = frozenset({"call_started", "silence", "not_heard", "late_result", "agent_decision", "timer"})

Decisions = Sequence[tuple[int, Decision]]


def compose(request: HandoverRequest, library: Library, now: datetime) -> Payload:
    """The payload of one handoff, stored at ``now``."""
    reasons = library.reasons
    decisions = [(row["turn"], _decision(row)) for row in request.turns]
    if request.decision is not None:
        decisions.append((request.turn, request.decision))
    sources: dict[str, Source] = {
        source.article: source for _, decision in decisions for source in decision.sources
    }
    match = request.state.gate.match
    measured = tuple(_score(turn, one) for turn, one in decisions if _is_measured(one))
    tried = _tried(decisions, reasons)
    about = _about(decisions, reasons)
    next_action, choice = library.patterns.choose(_facts(request, decisions, reasons, measured))
    return Payload(
        conversation=request.snapshot.id,
        channel=request.snapshot.channel.value,
        transcript=_transcript(request),
        tool_calls=tuple(ToolCall(turn=turn, call=call) for turn, one in decisions for call in one.tools),
        scores=Scores(
            moment=_score(request.turn, request.decision) if request.decision is not None else None,
            turns=measured,
        ),
        trigger=request.fired or _fired(request.trigger, now),
        reason=reasons.reason(request.trigger),
        urgency=_urgency(request.urgency),
        identity=Identity(
            verified=match is not None,
            customer=match.customer_id if match else None,
            reference=match.reference if match else None,
            method=match.method if match else (),
            tries=request.state.gate.tries,
            given=tuple(
                name for name, one in request.state.gate.given.items() if one.candidates or one.before
            ),
            declined=request.state.gate.declined,
            locked=request.state.gate.locked,
            level=match.level if match else 0,
            caller=request.snapshot.caller,
        ),
        about=about,
        tried=tried,
        citations=tuple(sources.values()),
        specialist=request.owner,
        form=request.form,
        similar=request.similar,
        next_action=next_action,
        choice=choice,
        summary=Summary(
            issue=_issue(request, about, _waiting(request, decisions, reasons), reasons),
            tried=f"So far: {'; '.join(tried)}." if tried else "Nothing was tried yet.",
            mood=mood_of([one.sentiment for one in measured]),
            next=next_action,
            written_by=COMPOSED,
        ),
        policy_version=request.policy_version,
    )


def _fired(trigger: str, now: datetime) -> FiredTrigger:
    """A trigger that fired outside any turn: a failure is its own first sign."""
    return FiredTrigger(name=trigger, evidence={}, at=now, first_sign_at=now, first_sign=trigger)


def _is_measured(decision: Decision) -> bool:
    return decision.confidences.classification is not None


def _score(turn: int, decision: Decision) -> TurnScore:
    return TurnScore(
        turn=turn,
        intent=decision.intent,
        classification=decision.confidences.classification,
        grounding=decision.confidences.grounding,
        answer=decision.confidences.answer,
        sentiment=decision.scores.sentiment if decision.scores is not None else None,
    )


def _facts(
    request: HandoverRequest, decisions: Decisions, reasons: Reasons, measured: Sequence[TurnScore]
) -> Facts:
    last = decisions[-1][1].intent if decisions else ""
    topics = [one.intent for _, one in decisions if reasons.is_topic(one.intent)]
    topics = topics or [want.intent for want in request.state.waiting[:1]]
    felt = [one.sentiment for one in measured if one.sentiment is not None]
    return Facts(
        trigger=request.trigger,
        intent=topics[-1] if topics and not reasons.is_topic(last) else last,
        verified=request.state.gate.match is not None,
        urgency=_urgency(request.urgency),
        channel=request.snapshot.channel.value,
        sentiment=felt[-1] if felt else None,
        tools=tuple(
            (call.tool, call.error or str((call.result or {}).get("outcome", "")))
            for _, one in decisions
            for call in one.tools
        ),
    )


def _transcript(request: HandoverRequest) -> tuple[Line, ...]:
    lines: list[Line] = []
    for row in request.turns:
        lines += _caller(row["turn"], row["input"])
        heard = row["heard"]
        text = heard["text"] if heard is not None else row["spoken"]
        if text:
            lines.append(Line(turn=row["turn"], who="bot", text=text, heard=heard is not None))
    if request.caller and (not request.caller.startswith("(") or request.caller.startswith("(keys")):
        lines.append(Line(turn=request.turn, who="caller", text=request.caller))
    if request.said:
        lines.append(Line(turn=request.turn, who="bot", text=request.said, heard=False))
    return tuple(lines)


def as_heard(payload: Payload, turns: Sequence[dict[str, Any]]) -> Payload:
    """The payload with what became known since: how much was heard of lines still being spoken then."""
    heard = {row["turn"]: row["heard"]["text"] for row in turns if row["heard"] is not None}
    lines = (
        line
        if line.who == "caller" or line.heard or line.turn not in heard
        else line.model_copy(update={"text": heard[line.turn], "heard": True})
        for line in payload.transcript
    )
    return payload.model_copy(update={"transcript": tuple(line for line in lines if line.text)})


def _caller(turn: int, given: dict[str, Any]) -> list[Line]:
    kind = given["kind"]
    if kind == "not_heard" and given.get("text"):
        return [Line(turn=turn, who="caller", text=f"(unclear: {given['text']})")]
    if kind == "utterance":
        return [Line(turn=turn, who="caller", text=given["text"])]
    if kind in _NO_WORDS or "digits" not in given:
        return []
    return [Line(turn=turn, who="caller", text=f"(keys {given['digits']})")]


def _tried(decisions: Decisions, reasons: Reasons) -> tuple[str, ...]:
    """What the bot did for the caller so far, one line each, without repeats."""
    tried: dict[str, None] = {}
    for _, decision in decisions:
        for call in decision.tools:
            came = call.error or str((call.result or {}).get("outcome", "done"))
            tried.setdefault(f"{_words(call.tool)}: {_words(came)}")
        if decision.sources:
            tried.setdefault(f"answered {reasons.topic(decision.intent)} from {decision.sources[0].title}")
        elif decision.policy_row.startswith(("identity/", "not_heard/")) and decision.trigger is None:
            tried.setdefault(_words(decision.policy_row.replace("/", ", ")))
    return tuple(tried)


def _about(decisions: Decisions, reasons: Reasons) -> tuple[str, ...]:
    intents = [one.intent for _, one in decisions if reasons.is_topic(one.intent)]
    return tuple(reasons.topic(intent) for intent in dict.fromkeys(intents))


def _waiting(request: HandoverRequest, decisions: Decisions, reasons: Reasons) -> tuple[str, ...]:
    done = {one.intent for _, one in decisions}
    others = dict.fromkeys(want.intent for want in request.state.waiting if want.intent not in done)
    return tuple(reasons.topic(intent) for intent in others)


def _issue(request: HandoverRequest, about: Sequence[str], waiting: Sequence[str], reasons: Reasons) -> str:
    """Who, what for, what is open, why a person."""
    match = request.state.gate.match
    who = f"Verified customer, order {match.reference}." if match else "Caller not verified."
    came = "Wrote" if request.snapshot.channel in _WRITTEN else "Called"
    pieces = [who, f"{came} about {_listed(about)}." if about else "Did not say what it is about."]
    if waiting:
        pieces.append(f"Still open: {_listed(waiting)}.")
    pieces.append(f"Handed over because: {reasons.reason(request.trigger)}.")
    return " ".join(pieces)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _decision(row: dict[str, Any]) -> Decision:
    return Decision.model_validate_json(json.dumps(row["decision"]))


def _urgency(value: str) -> Any:
    return value if value in {"low", "normal", "high", "critical"} else "normal"
