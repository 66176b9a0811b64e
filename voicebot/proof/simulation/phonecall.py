"""Phones a server with a synthetic caller, shows it live, and says what came of it.

```python
result = await run_call(read_script(path), lines=Path("recordings/lines"), url="http://127.0.0.1:8080")
print(result.ok, result.latencies_ms)
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from .analysis import Analysis, Span, analyse, dead_air
from .call import LocalCall
from .caller import BotBegan, CallerEvent, Said, SyntheticCaller
from .exchange import LocalTwilio
from .legs import AgentResult, LegLine, ScriptedAgents, where
from .mind import Outcome
from .recording import CallRecording
from .script import AgentScript, CallScript, load_lines
from .show import Show
from .watch import ServerWatch

DEAD_AIR_MS = 3000.0
_WATCH_AFTER_S = 3.0
_BRIEF = 48  # characters: what PocketSphinx makes of a briefing is worth no more
_AGENTS_LEAVE_S = 10.0  # a person who is told goodbye after the caller has gone


class PhoneCallError(Exception):
    """The call could not be made; the message says what to do."""


@dataclass(frozen=True)
class ServerUnderCall:
    """A server that is ready for a call."""

    url: str
    api_token: str | None = None


StartServer = Callable[[LocalTwilio], AbstractAsyncContextManager[ServerUnderCall]]
"""Starts a server that uses this local Twilio (its REST address, account and token), and ends it."""


@dataclass
class CallResult:
    """What came of a call. All times in ms on the call clock, as the caller heard it."""

    call_sid: str
    conversation_id: str | None
    status: str
    duration_ms: float
    steps: list[Outcome]
    transcript: list[dict[str, Any]]
    analysis: Analysis
    underruns_ms: list[float]
    """Holes in the bot's speech because its audio came too late."""
    understood: list[dict[str, Any]]
    """What the caller's ears made of the bot."""
    put_through: bool
    """A dialled person and the caller heard each other."""
    together_ms: float | None
    """From when on somebody was with the caller in a room."""
    read_live: list[dict[str, Any]]
    """What the server's live transcript told of the two legs after the bot stepped back: ``who, text``,
    ``at_ms`` when it was read here, ``sure``."""
    agents: list[AgentResult]
    """What came of the script's agents."""
    violations: list[str]
    """Twilio's rules that the server broke."""
    notifications: list[str]
    """Everything Twilio's debugger would show, violations included."""
    clock_late_ms: float
    """The worst delay of the stand-in's own clock: how far to trust the figures."""
    recording: CallRecording = field(repr=False)

    @property
    def ok(self) -> bool:
        """Every step of every party was done, and no rule of Twilio's was broken."""
        done = all(step.done for step in self.steps) and all(agent.ok for agent in self.agents)
        return done and not self.violations and self.status == "completed"

    @property
    def latencies_ms(self) -> list[float]:
        """Of each spoken turn that was answered; what a person answered later is not the bot's."""
        until = self.together_ms if self.together_ms is not None else float("inf")
        return self.analysis.latencies_ms(until)

    @property
    def dead_air(self) -> list[Span]:
        """Where the caller neither said nor heard anything for more than three seconds."""
        return dead_air(self.recording.samples(), longer_than_ms=DEAD_AIR_MS)

    @property
    def keypad_helped(self) -> list[str]:
        """Steps on whose way the keypad was needed."""
        return [step.step for step in self.steps if step.keypad]

    def as_dict(self) -> dict[str, Any]:
        """JSON able; without the sound."""
        latencies = self.latencies_ms
        return {
            "ok": self.ok,
            "call_sid": self.call_sid,
            "conversation_id": self.conversation_id,
            "status": self.status,
            "duration_ms": round(self.duration_ms),
            "steps": [asdict(step) for step in self.steps],
            "keypad_helped": self.keypad_helped,
            "put_through": self.put_through,
            "together_ms": None if self.together_ms is None else round(self.together_ms),
            "read_live": self.read_live,
            "agents": [agent.as_dict() for agent in self.agents],
            "turn_latency_ms": {
                "all": [round(ms) for ms in latencies],
                "p50": round(float(np.percentile(latencies, 50))) if latencies else None,
                "p95": round(float(np.percentile(latencies, 95))) if latencies else None,
            },
            "cut_ins_ms": [round(ms) for ms in self.analysis.cut_ins_ms()],
            "barge_ins": [asdict(barge_in) for barge_in in self.analysis.barge_ins],
            "underruns_ms": [round(ms) for ms in self.underruns_ms],
            "dead_air_ms": [[round(s.start_ms), round(s.end_ms)] for s in self.dead_air],
            "longest_gap_ms": round(max((gap.length_ms for gap in self.analysis.gaps), default=0)),
            "levels": {"caller": asdict(self.analysis.caller_level), "bot": asdict(self.analysis.bot_level)},
            "transcript": self.transcript,
            "understood": self.understood,
            "violations": self.violations,
            "notifications": self.notifications,
            "clock_late_ms": round(self.clock_late_ms, 1),
        }


async def run_call(
    script: CallScript,
    *,
    lines: Path,
    url: str | None = None,
    api_token: str | None = None,
    start_server: StartServer | None = None,
    twilio: LocalTwilio | None = None,
    console: Console | None = None,
    from_: str | None = None,
) -> CallResult:
    """Makes one call by a script and returns when it is over.

    Args:
        script: what the caller wants.
        lines: folder of the recorded lines.
        url: a running server; else ``start_server`` starts one for this call.
        api_token: bearer token of that server's API, to show its words; without, the caller's ears must do.
        start_server: see ``StartServer``.
        twilio: to phone through (with the credentials the server checks, and the people who answer); not
            entered yet. Without it one is made up, which suits a server that takes unsigned webhooks.
        console: where to show the call; None: nowhere.
        from_: the caller's number.

    Raises:
        PhoneCallError: no server to phone, or nobody answers there.
        ScriptError, EarsError: the script's lines or cues cannot be used.
    """
    if (url is None) == (start_server is None):
        raise PhoneCallError("give either the URL of a running server or a way to start one")
    voice = load_lines(lines, script)
    async with twilio or LocalTwilio() as exchange, _server(exchange, url, api_token, start_server) as server:
        with Show(console) as show:
            talk = _Conversation(exchange, server, script, show)
            async with ScriptedAgents(exchange, script, lines, talk.on_leg) as agents:
                return await talk.run(SyntheticCaller(script, voice), from_, agents)


@asynccontextmanager
async def _server(
    exchange: LocalTwilio, url: str | None, api_token: str | None, start: StartServer | None
) -> AsyncGenerator[ServerUnderCall]:
    if start is None:
        assert url is not None
        yield ServerUnderCall(url.rstrip("/"), api_token)
        return
    async with start(exchange) as server:
        yield server


class _Conversation:
    """One call with its display and its transcript."""

    def __init__(
        self, exchange: LocalTwilio, server: ServerUnderCall, script: CallScript, show: Show
    ) -> None:
        self._exchange = exchange
        self._server = server
        self._script = script
        self._show = show
        self._watch = ServerWatch(server.url, server.api_token)
        self._transcript: list[dict[str, Any]] = []
        self._read_live: list[dict[str, Any]] = []
        self._server_speaks = False
        self._bot_began_ms = 0.0
        self._call: LocalCall | None = None

    async def run(self, caller: SyntheticCaller, from_: str | None, agents: ScriptedAgents) -> CallResult:
        caller.tell = self._happened
        async with caller.ears:
            call = await self._exchange.phone(
                f"{self._server.url}/twilio/voice",
                ear=caller,
                status_callback=f"{self._server.url}/twilio/status",
                **({"from_": from_} if from_ else {}),
            )
            self._call = call
            caller.hold(call)
            watching = asyncio.create_task(self._follow(call), name="phonecall-watch")
            try:
                await call.wait_ended()
                caller.mind.over(round(call.log.clock_ms()))
                await agents.wait_ended(_AGENTS_LEAVE_S)
                agents.over()
                await call.settle(3.0)
                await asyncio.wait({watching}, timeout=_WATCH_AFTER_S)
            finally:
                call.hang_up()
                watching.cancel()
                await asyncio.wait({watching})
                if not watching.cancelled():
                    watching.result()
        return self._result(call, caller, agents.results())

    def _result(self, call: LocalCall, caller: SyntheticCaller, agents: list[AgentResult]) -> CallResult:
        if any(n.code == 11205 for n in call.notifications) and not call.log.of("twiml"):
            raise PhoneCallError(f"nobody answers at {self._server.url}: is the server running there?")
        keys = tuple(e.at_ms for e in call.log.of("dtmf"))
        analysis = analyse(call.recording.samples(), keys_ms=keys)
        return CallResult(
            call_sid=call.call_sid,
            conversation_id=self._watch.conversation_id,
            status=call.status,
            duration_ms=call.recording.duration_ms,
            steps=caller.mind.outcomes,
            transcript=sorted(self._transcript, key=lambda line: line["at_ms"]),
            analysis=analysis,
            underruns_ms=[e.data["ms"] for e in call.log.of("underrun")],
            understood=[{"at_ms": c.start_ms, "text": c.text} for c in caller.heard if c.text],
            put_through=self._put_through(call),
            together_ms=self._together_ms(call),
            read_live=self._read_live,
            agents=agents,
            violations=[str(v) for v in call.violations],
            notifications=[str(n) for n in call.notifications],
            clock_late_ms=call.line.max_late_ms,
            recording=call.recording,
        )

    def _put_through(self, call: LocalCall) -> bool:
        """Joined to a dialled leg, or together with somebody in a conference that had begun."""
        rooms = {e.data["sid"] for e in call.log.of("conference", event="joined")}
        begun = [
            room
            for room in self._exchange.conferences
            if room.sid in rooms and any(e.name == "conference-start" for e in room.events)
        ]
        return bool(begun) or bool(call.log.of("leg", event="bridged"))

    def _together_ms(self, call: LocalCall) -> float | None:
        """When the first of the others joined a conference that the caller joined too, both being there."""
        ours = {e.data["sid"]: e.at_ms for e in call.log.of("conference", event="joined")}
        both = [
            max(where(call, leg, joined.at_ms), ours[joined.data["sid"]])
            for leg in self._exchange.calls
            if leg is not call
            for joined in leg.log.of("conference", event="joined")
            if joined.data["sid"] in ours
        ]
        return min(both, default=None)

    # --- what is shown ----------------------------------------------------------------

    def _now_ms(self) -> float:
        return self._call.log.clock_ms() if self._call is not None else 0.0

    def _happened(self, event: CallerEvent) -> None:
        match event:
            case Said():
                who, text = ("keys", f"presses {event.keys}") if event.keys else ("caller", event.text)
                self._line("caller", text, event.start_ms, keys=event.keys, shown_as=who)
            case BotBegan():
                self._bot_began_ms = self._bot_began_ms or event.at_ms
                alone = self._call is None or self._together_ms(self._call) is None
                if event.latency_ms is not None and alone:
                    self._show.latency(event.latency_ms)
            case _:
                if not self._server_speaks and event.text:
                    self._line("bot", event.text, event.start_ms, by_ear=True)

    def on_leg(self, agent: AgentScript, leg: LocalCall, line: LegLine) -> None:
        """Something on an agent's leg; what it hears is shown until it talks with the caller."""
        if self._call is None:
            return
        at_ms = where(self._call, leg, line.at_ms)
        joined = leg.log.of("conference", event="joined")
        if line.who == "agent":
            self._line("agent", line.text, at_ms, keys=line.keys)
        elif not joined or line.at_ms < joined[0].at_ms:
            self._transcript.append(
                {"who": "briefing", "at_ms": round(at_ms), "text": line.text, "by_ear": True}
            )
            words = line.text if len(line.text) <= _BRIEF else f"{line.text[:_BRIEF].rsplit(' ', 1)[0]} ..."
            self._show.line("note", f"the agent's ears make of the briefing: '{words}'", at_ms)

    def _line(
        self,
        who: str,
        text: str,
        at_ms: float,
        *,
        shown_as: str | None = None,
        keys: str | None = None,
        by_ear: bool = False,
    ) -> None:
        self._transcript.append(
            {"who": who, "at_ms": round(at_ms), "text": text}
            | ({"keys": keys} if keys else {})
            | ({"by_ear": True} if by_ear else {})
        )
        self._show.line(shown_as or who, f"({text})" if by_ear else text, at_ms)

    async def _follow(self, call: LocalCall) -> None:
        """The server's words, as its live stream tells them."""
        told: int | None = None
        said = ""
        async for event in self._watch.events(call.call_sid):
            match event:
                case {"type": "partial", "who": "bot", "text": text, "turn": turn}:
                    self._server_speaks = True
                    before = said if turn == told else ""
                    self._line("bot", text[len(before) :].strip(), self._now_ms())
                    told, said = turn, text
                case {"type": "line", "who": "bot", "text": text, "turn": turn} if turn == told:
                    if missed := _begins(text, said):
                        self._transcript.append(
                            {"who": "bot", "at_ms": round(self._bot_began_ms), "text": missed}
                        )
                        before = f"the bot had begun with '{missed}', before this display was connected"
                        self._show.line("note", before, self._now_ms())
                        said = text
                case {"type": "partial", "who": "caller", "text": text}:
                    self._show.partial("hears", text)
                case {"type": "state", "what": "overlap", "facts": facts}:
                    found = f"a sound over the bot: {facts['verdict']}, after {facts['after_ms']} ms"
                    self._show.line("note", found, self._now_ms())
                case {"type": "line", "who": "caller", "text": text}:
                    if event.get("intent") is None:  # said to a person, on a leg of its own
                        self._read(event)
                        continue
                    made = f"{event['intent']}, {event['action']}"
                    self._show.line("note", f"understood '{text}' -> {made}", self._now_ms())
                case {"type": "line", "who": "agent"}:
                    self._read(event)
                case {"type": "transfer", "what": what}:
                    self._show.line("note", f"transfer: {str(what).replace('_', ' ')}", self._now_ms())
                case _:
                    pass
        if self._watch.reason:
            self._show.line("note", f"no words from the server: {self._watch.reason}", self._now_ms())

    def _read(self, event: dict[str, Any]) -> None:
        """A line of the live transcript of a leg."""
        who, text, sure = event["who"], event["text"], event.get("heard") != "unsure"
        at_ms = self._now_ms()
        self._read_live.append({"who": who, "text": text, "at_ms": round(at_ms), "sure": sure})
        unsure = "" if sure else " (not sure of it)"
        self._show.line("note", f"live transcript, {who}: '{text}'{unsure}", at_ms)


def _begins(whole: str, shown: str) -> str:
    """What of ``whole`` stands before ``shown``; empty where all of it was shown."""
    return whole[: max(whole.find(shown), 0)].strip() if shown else ""
