"""One media session on one timeline: words, turns with their hops, tools, systems, moments, silences. Pure.

All times are ms on the media clock of the session, which is that of its sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from voicebot.audio.recording.examining import Examined
from voicebot.channels.phone.waiting import FILLER_TURN
from voicebot.console.player.words import Timed, bot_words, caller_words, spread
from voicebot.core.conversation import TurnTimings
from voicebot.core.transcript import LEG_LINE
from voicebot.core.waterfall import hops, waited_ms
from voicebot.dialogue.evidence import COMMITTED
from voicebot.proof.replay.facts import FACTS
from voicebot.proof.replay.turns import turns_in

Who = Literal["caller", "bot", "agent"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Word(_Strict):
    """A word of the transcript. ``exact``: an engine said when; else its place is worked out."""

    text: str
    at_ms: int
    until_ms: int
    exact: bool


class Line(_Strict):
    """What one said in one turn (``turn``; None: to a person). ``unheard``: what the bot did not get to say.

    ``how``: ``keys``, ``not_heard``, ``interrupted``, ``silence`` or nothing special.
    """

    who: Who
    turn: int | None
    at_ms: int
    until_ms: int
    words: list[Word]
    unheard: str = ""
    how: str = ""


class HopSpan(_Strict):
    """A step of a turn, as `core.waterfall` has them; ``ahead``: while the end of the turn was waited for."""

    name: str
    at_ms: int
    until_ms: int
    ahead: bool


class ToolCall(_Strict):
    """A call of a tool. Its place is worked out: tools are over before the plan stands."""

    tool: str
    status: str
    reason: str | None
    outcome: str
    inputs: dict[str, Any]
    outputs: dict[str, Any] | None
    duration_ms: float
    at_ms: int


class TurnView(_Strict):
    """A turn and why it went as it did. ``until_ms``: its answer was over."""

    turn: int
    at_ms: int
    until_ms: int
    kind: str
    waited_ms: int | None
    early: bool
    hops: list[HopSpan]
    intent: str
    action: str
    row: str
    route: str
    after: str
    trigger: str | None
    gap: str | None
    confidences: dict[str, float]
    reasons: list[str]
    sources: list[str]
    tools: list[ToolCall]


class Moment(_Strict):
    """Something that happened. ``until_ms``: where it took time. ``lane``: ``events`` or ``systems``."""

    at_ms: int
    until_ms: int | None
    kind: str
    text: str
    lane: Literal["events", "systems"]


class Silence(_Strict):
    """A stretch that is silent in what is played, and why. ``until_ms`` None: to the end."""

    channel: str
    at_ms: int
    until_ms: int | None
    why: Literal["personal", "card"]


class Fault(_Strict):
    """What is wrong with a recording, in the reader's words."""

    kind: str
    at_ms: int
    text: str


class Session(_Strict):
    """One media session of a call. ``error``: nothing of it can be read. ``version``: of the format."""

    name: str
    ms: int
    version: int | None
    whole: bool
    sound: bool
    error: str | None
    problems: list[Fault]


class Timeline(Session):
    """With everything that lies on its timeline."""

    began_at: datetime | None
    engines: dict[str, str]
    lines: list[Line]
    turns: list[TurnView]
    moments: list[Moment]
    silences: list[Silence]


Stored = Mapping[int, Mapping[str, Any]]
"""Turns as `Conversations.turns` gives them, by number."""


def session(name: str, found: Examined) -> Session:
    """What can be said of a session that was examined."""
    return Session(
        name=name,
        ms=found.ends_ms,
        version=found.version,
        whole=found.whole,
        sound=found.sound is not None and found.sound.samples > 0,
        error=None,
        problems=[Fault(kind=p.kind, at_ms=p.at_ms, text=p.text) for p in found.problems],
    )


def unreadable(name: str, why: str) -> Session:
    """One of which nothing can be read."""
    return Session(name=name, ms=0, version=None, whole=False, sound=False, error=why, problems=[])


def timeline(
    name: str,
    found: Examined,
    stored: Stored,
    tool_calls: Sequence[Mapping[str, Any]],
    told: Iterable[Mapping[str, Any]],
    *,
    alone: bool,
) -> Timeline:
    """Puts it together.

    Args:
        name: of the session.
        found: its files.
        stored: the turns of the conversation; their words are the ones that are shown.
        tool_calls: of the conversation, as they are stored.
        told: events of the conversation, as they are stored.
        alone: it is the only session: turns that its files do not tell of are its own all the same.
    """
    events = found.events
    facts = next((event for event in events if event.get("type") == FACTS), {})
    began_at = datetime.fromisoformat(facts["started_at"]) if facts.get("started_at") else None
    recorded = {turn.number: turn for turn in turns_in(events)}
    afters = {event["turn"]: event["after"] for event in events if event.get("type") == COMMITTED}
    numbers = sorted({*recorded} or ({*stored} if alone else set()))
    lines: list[Line] = []
    turns: list[TurnView] = []
    for number in numbers:
        row = stored.get(number)
        if row is None:
            continue  # of a database that was set back: what is personal in it is not known
        timings = TurnTimings.model_validate(row["timings"]) if row["timings"] else TurnTimings()
        own = recorded.get(number)
        at_ms = own.at_ms if own is not None else timings.committed_ms or 0
        lines += _lines(number, row, timings, at_ms, events)
        calls = [call for call in tool_calls if call["turn"] == number]
        turns.append(_turn(number, row, timings, at_ms, calls, afters.get(number, "continue")))
    if began_at is not None:
        lines += _bridged(told, began_at, found.ends_ms)
    lines.sort(key=lambda line: (line.at_ms, line.who != "caller"))
    return Timeline(
        **session(name, found).model_dump(),
        began_at=began_at,
        engines={role: _engine(one) for role, one in (facts.get("engines") or {}).items()},
        lines=lines,
        turns=turns,
        moments=sorted(_moments(events, told, began_at, found.ends_ms), key=lambda one: one.at_ms),
        silences=_silences(found, events),
    )


def _lines(
    number: int,
    row: Mapping[str, Any],
    timings: TurnTimings,
    at_ms: int,
    events: Sequence[dict[str, Any]],
) -> list[Line]:
    given, lines = row["input"], list[Line]()
    kind = given.get("kind")
    text = str(given.get("text") or "")
    if kind == "keys":
        text = f"keys {given.get('digits', '')}"
    ended_ms = timings.last_voiced_ms or given.get("last_voiced_ms") or at_ms
    began_ms = given.get("started_ms")
    began_ms = max(0, ended_ms - 400 * max(1, len(text.split()))) if began_ms is None else began_ms
    if text:
        how = kind if kind in ("keys", "not_heard") else ""
        words = (
            caller_words(text, began_ms, ended_ms, events) if kind != "keys" else spread([text], at_ms, at_ms)
        )
        begin = words[0].at_ms if words else began_ms
        lines.append(_line("caller", number, words, begin, max(begin, ended_ms), how=how))
    heard = row["heard"] or {}
    spoken, ear = str(row["spoken"] or ""), str(heard.get("text") or "")
    if not spoken and not ear:
        return lines
    clauses = [
        (int(event["at_ms"] or 0), str(event["text"]))
        for event in events
        if event.get("type") == "speaking.ClauseStarted" and event.get("turn") == number and event.get("text")
    ]
    first_ms = timings.first_heard_ms if timings.first_heard_ms is not None else at_ms
    last_ms = timings.finished_ms if timings.finished_ms is not None else first_ms
    whole = bool(heard.get("complete"))
    words = bot_words(ear, clauses, first_ms, last_ms, events)
    rest = "" if whole else _rest(spoken, ear)
    lines.append(
        _line("bot", number, words, first_ms, last_ms, rest=rest, how="" if whole else "interrupted")
    )
    return lines


def _line(
    who: Who,
    turn: int | None,
    words: Sequence[Timed],
    at_ms: int,
    until_ms: int,
    rest: str = "",
    how: str = "",
) -> Line:
    return Line(
        who=who,
        turn=turn,
        at_ms=at_ms,
        until_ms=max(at_ms, until_ms),
        words=[Word(text=w.text, at_ms=w.at_ms, until_ms=w.until_ms, exact=w.exact) for w in words],
        unheard=rest,
        how=how,
    )


def _rest(spoken: str, heard: str) -> str:
    """What was not heard of it."""
    said, got = spoken.split(), heard.split()
    return " ".join(said[len(got) :])


def _bridged(told: Iterable[Mapping[str, Any]], began_at: datetime, ends_ms: int) -> list[Line]:
    """What caller and person said to each other: known is when a line was over."""
    found: list[Line] = []
    for event in told:
        data = event.get("data") or {}
        if event["type"] != LEG_LINE or not data.get("text"):
            continue
        until_ms = _on_clock(event["time"], began_at)
        texts = str(data["text"]).split()
        at_ms = max(0, until_ms - 400 * len(texts))
        if 0 <= until_ms <= ends_ms + 2000:
            who: Who = "agent" if data.get("who") == "agent" else "caller"
            found.append(_line(who, None, spread(texts, at_ms, until_ms), at_ms, until_ms))
    return found


def _turn(
    number: int,
    row: Mapping[str, Any],
    timings: TurnTimings,
    at_ms: int,
    calls: Sequence[Mapping[str, Any]],
    after: str,
) -> TurnView:
    made = row["decision"]
    ready_ms = timings.planned_ms or timings.committed_ms or at_ms
    sure = {name: value for name, value in (made.get("confidences") or {}).items() if value is not None}
    moments = [ms for ms in (timings.last_voiced_ms, timings.turn_ended_ms) if ms is not None]
    return TurnView(
        turn=number,
        at_ms=min([*moments, at_ms]),
        until_ms=timings.finished_ms if timings.finished_ms is not None else at_ms,
        kind=str(row["input"].get("kind")),
        waited_ms=waited_ms(timings),
        early=bool(timings.early),
        hops=[
            HopSpan(name=hop.name, at_ms=hop.from_ms, until_ms=hop.to_ms, ahead=hop.ahead)
            for hop in hops(timings)
        ],
        intent=str(made.get("intent") or ""),
        action=str(made.get("action") or ""),
        row=str(made.get("policy_row") or ""),
        route=str(made.get("route") or ""),
        after=after,
        trigger=made.get("trigger"),
        gap=made.get("gap"),
        confidences=sure,
        reasons=[str(one) for one in made.get("reasons") or ()],
        sources=[str(source.get("title") or source.get("article")) for source in made.get("sources") or ()],
        tools=[_tool(call, ready_ms) for call in calls],
    )


def _tool(call: Mapping[str, Any], ready_ms: int) -> ToolCall:
    outputs = call["outputs"]
    return ToolCall(
        tool=call["tool"],
        status=call["status"],
        reason=call["reason"],
        outcome=str((outputs or {}).get("outcome") or call["reason"] or call["status"]),
        inputs=call["inputs"] or {},
        outputs=outputs,
        duration_ms=round(float(call["duration_ms"]), 1),
        at_ms=max(0, round(ready_ms - float(call["duration_ms"]))),
    )


_PLAIN = {
    "hearing.SpeechStarted": ("speech", "the caller began"),
    "hearing.EagerTurn": ("eager", "perhaps the end: planned ahead"),
    "hearing.EagerVoid": ("eager", "the caller went on: the plan ahead is dropped"),
    "hearing.CallerFinished": ("end", "the turn is over"),
    "hearing.NothingSaid": ("nothing", "a click or a cough"),
    "hearing.CallerSilent": ("silent", "nobody said anything"),
    "hearing.OverlapStarted": ("overlap", "the caller speaks over the bot, which pauses"),
    "hearing.Unheard": ("unheard", "sound, but no words"),
    "speaking.FirstAudioSent": ("sent", "the answer's first sound was sent"),
    "speaking.FirstHeard": ("heard", "the caller hears the answer"),
    "speaking.SpeakingEnded": ("spoken", "the answer is over"),
    "speaking.SpeechFailed": ("failed", "the voice stayed away"),
    "speaking.LineSpoken": ("line", "an emergency line"),
    "key": ("key", "a key was pressed"),
    "paused": ("paused", "recording pauses: a card is typed in"),
    "resumed": ("paused", "recording goes on"),
}
_OUTSIDE = {"outside.rows": "records", "outside.change": "change", "outside.model": "language model"}
_TOLD = ("call", "handoff", "transfer", "desk", "payment")


def _moments(
    events: Sequence[Mapping[str, Any]],
    told: Iterable[Mapping[str, Any]],
    began_at: datetime | None,
    ends_ms: int,
) -> Iterable[Moment]:
    for event in events:
        kind, at_ms = str(event.get("type")), event.get("at_ms")
        if at_ms is None:
            continue
        if kind in _OUTSIDE:
            tokens = event.get("tokens") or ()
            took = float(tokens[-1][0] if tokens else event.get("took_ms") or 0)
            what = f"{_OUTSIDE[kind]}: {event.get('query') or event.get('route') or ''}"
            failed = " (failed)" if event.get("error") or event.get("failure") else ""
            begin = max(0, round(int(at_ms) - took))
            yield _moment(
                begin, "system", f"{what.rstrip(': ')}, {took:.0f} ms{failed}", int(at_ms), "systems"
            )
        elif kind == "engine.turn":
            sure = event.get("probability")
            text = f"end of turn: {sure:.2f}" if sure is not None else f"end of turn: {event.get('down')}"
            yield _moment(int(at_ms), "judged", text)
        elif kind == "hearing.OverlapEnded":
            after = event.get("decided_after_ms")
            yield _moment(int(at_ms), "overlap", f"{event.get('verdict')} ({event.get('why')}, {after} ms)")
        elif kind == "speaking.ClauseStarted" and event.get("turn") == FILLER_TURN:
            yield _moment(int(at_ms), "filler", f"a filler: {event.get('text') or ''}")
        elif kind in _PLAIN and event.get("turn") != FILLER_TURN:
            name, text = _PLAIN[kind]
            yield _moment(int(at_ms), name, text)
    for event in told if began_at is not None else ():
        family = str(event["type"]).partition(".")[0]
        at_ms = _on_clock(event["time"], began_at) if began_at is not None else 0
        if family in _TOLD and 0 <= at_ms <= ends_ms + 2000:
            yield _moment(at_ms, family, str(event["type"]).replace(".", " ").replace("_", " "))


def _moment(
    at_ms: int,
    kind: str,
    text: str,
    until_ms: int | None = None,
    lane: Literal["events", "systems"] = "events",
) -> Moment:
    return Moment(at_ms=at_ms, until_ms=until_ms, kind=kind, text=text, lane=lane)


def _silences(found: Examined, events: Sequence[Mapping[str, Any]]) -> list[Silence]:
    silences = [
        Silence(
            channel=one.channel,
            at_ms=one.first // 8,
            until_ms=None if one.last is None else one.last // 8,
            why="personal",
        )
        for one in found.mutes
    ]
    for event in events:
        if event.get("type") == "unsaid":
            silences.append(
                Silence(
                    channel=event["channel"],
                    at_ms=int(event["at_ms"]),
                    until_ms=int(event["until_ms"]),
                    why="card",
                )
            )
        elif event.get("type") == "resumed" and event.get("paused_from_ms") is not None:
            silences += [
                Silence(
                    channel=channel,
                    at_ms=int(event["paused_from_ms"]),
                    until_ms=int(event["at_ms"]),
                    why="card",
                )
                for channel in ("caller", "bot")
            ]
    return sorted(silences, key=lambda one: (one.at_ms, one.channel))


def _engine(one: Mapping[str, Any]) -> str:
    kind, model = str(one.get("kind") or ""), str(one.get("model") or "")
    return model if model.startswith(kind) else f"{kind} {model}".strip()


def _on_clock(at: Any, began_at: datetime) -> int:
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(str(at))
    return round((moment - began_at).total_seconds() * 1000)
