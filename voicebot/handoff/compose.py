"""From a conversation's turns to the payload: transcript, what was tried, summary, next action. Pure.

The summary is composed from what is stored; no model writes it, so it holds nothing that did not happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicebot.core.conversation import Channel, Decision, Source
from voicebot.dialogue.handover import HandoverRequest
from voicebot.handoff.patterns import HandoffPatterns
from voicebot.handoff.payload import Identity, Line, Payload, ToolCall, TurnScore

_WRITTEN = frozenset({Channel.CHAT, Channel.SMS})
_NO_WORDS = frozenset({"call_started", "silence", "not_heard", "late_result", "agent_decision", "timer"})


def compose(request: HandoverRequest, patterns: HandoffPatterns) -> Payload:
    """The payload of one handoff."""
    decisions = [(row["turn"], _decision(row)) for row in request.turns]
    if request.decision is not None:
        decisions.append((request.turn, request.decision))
    sources: dict[str, Source] = {
        source.article: source for _, decision in decisions for source in decision.sources
    }
    match = request.state.gate.match
    return Payload(
        conversation=request.snapshot.id,
        transcript=_transcript(request),
        tool_calls=tuple(ToolCall(turn=turn, call=call) for turn, one in decisions for call in one.tools),
        scores=tuple(
            TurnScore(
                turn=turn,
                intent=decision.intent,
                classification=decision.confidences.classification,
                grounding=decision.confidences.grounding,
                answer=decision.confidences.answer,
                sentiment=decision.scores.sentiment if decision.scores is not None else None,
            )
            for turn, decision in decisions
            if decision.confidences.classification is not None
        ),
        trigger=request.trigger,
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
        tried=_tried(decisions),
        citations=tuple(sources.values()),
        specialist=request.owner,
        form=request.form,
        similar=request.similar,
        next_action=patterns.next_action(request.trigger, decisions[-1][1].intent if decisions else ""),
        summary=_summary(request, decisions, patterns),
        policy_version=request.policy_version,
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


def _caller(turn: int, given: dict[str, Any]) -> list[Line]:
    kind = given["kind"]
    if kind == "not_heard" and given.get("text"):
        return [Line(turn=turn, who="caller", text=f"(unclear: {given['text']})")]
    if kind in _NO_WORDS:
        return []
    text = given["text"] if kind == "utterance" else f"(keys {given['digits']})"
    return [Line(turn=turn, who="caller", text=text)]


def _tried(decisions: Sequence[tuple[int, Decision]]) -> tuple[str, ...]:
    """What the bot did for the caller so far, one line each, without repeats."""
    tried: dict[str, None] = {}
    for _, decision in decisions:
        for call in decision.tools:
            tried.setdefault(f"{call.tool}: {call.error or (call.result or {}).get('outcome', 'done')}")
        if decision.sources:
            tried.setdefault(f"answered {decision.intent} from {decision.sources[0].title}")
        elif decision.policy_row.startswith(("identity/", "not_heard/")) and decision.trigger is None:
            tried.setdefault(decision.policy_row)
    return tuple(tried)


def _summary(
    request: HandoverRequest, decisions: Sequence[tuple[int, Decision]], patterns: HandoffPatterns
) -> str:
    """Who, what for, what was done, why a person: at most five short sentences."""
    match = request.state.gate.match
    who = "Verified customer" if match else "Caller not verified"
    if match:
        who += f", order {match.reference}"
    wants = [decision.intent for _, decision in decisions if patterns.is_topic(decision.intent)]
    topics = [patterns.topic(intent) for intent in dict.fromkeys(wants)]
    pieces = [f"{who}."]
    came = "Wrote" if request.snapshot.channel in _WRITTEN else "Called"
    pieces.append(f"{came} about {_listed(topics)}." if topics else "Did not say what it is about.")
    others = dict.fromkeys(want.intent for want in request.state.waiting if want.intent not in wants)
    if others:
        pieces.append(f"Still open: {_listed([patterns.topic(intent) for intent in others])}.")
    tried = _tried(decisions)
    if tried:
        pieces.append(f"So far: {'; '.join(tried)}.")
    pieces.append(f"Handed over because: {patterns.reason(request.trigger)}.")
    return " ".join(pieces)


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _decision(row: dict[str, Any]) -> Decision:
    import json

    return Decision.model_validate_json(json.dumps(row["decision"]))


def _urgency(value: str) -> Any:
    return value if value in {"low", "normal", "high", "critical"} else "normal"
