"""The scripted agents of one call: who answers which number, what they do, what came of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from voicebot.proof.ears.ears import HeardClause
from voicebot.proof.ears.recogniser import normal

from .call import LocalCall
from .caller import CallerEvent, Said, SyntheticCaller
from .exchange import LocalTwilio
from .mind import Outcome
from .people import Person
from .recording import CallRecording
from .script import AgentScript, CallScript, load_lines

ANY_NUMBER = ""


@dataclass(frozen=True)
class LegLine:
    """Something on an agent's leg. ``at_ms`` is on that leg's clock; see ``where``."""

    who: str
    """``agent`` spoke or pressed; ``heard`` is what the agent understood."""
    text: str
    at_ms: float
    keys: str | None = None


@dataclass
class AgentResult:
    """What came of one scripted agent. Never rung: ``status`` is ``not rung``."""

    name: str
    number: str
    status: str
    steps: list[Outcome]
    understood: list[str]
    told: bool
    """It understood what the script says it must be told."""
    in_conference: bool
    """Took part in a conference that had begun."""
    violations: list[str]
    recording: CallRecording | None = field(repr=False, default=None)

    @property
    def ok(self) -> bool:
        """It was rung, was told what it must be, did every step, and saw no rule of Twilio's broken."""
        rung = self.status != "not rung"
        return rung and self.told and all(s.done for s in self.steps) and not self.violations

    def as_dict(self) -> dict[str, Any]:
        """JSON able; without the sound."""
        return {
            "name": self.name,
            "number": self.number,
            "status": self.status,
            "told": self.told,
            "in_conference": self.in_conference,
            "steps": [asdict(step) for step in self.steps],
            "understood": self.understood,
            "violations": self.violations,
        }


class _Phone:
    """One agent's phone: rung at most once."""

    def __init__(self, script: AgentScript, caller: SyntheticCaller | None) -> None:
        self.script = script
        self.caller = caller
        self.call: LocalCall | None = None


class ScriptedAgents:
    """Puts a script's agents behind the numbers of a local Twilio. Async context manager.

    Each answers once; the next ring of the same number gets the next agent of that number (or of any), and
    after the last nobody answers. Without agents the local Twilio's own people stay.

    Args:
        exchange: whose numbers.
        script: whose agents.
        lines: folder of the recorded lines.
        tell: gets what happens on an agent's leg, with that leg; must return at once.

    Raises:
        ScriptError, EarsError: lines or cues cannot be used.
    """

    def __init__(
        self, exchange: LocalTwilio, script: CallScript, lines: Path,
        tell: Callable[[AgentScript, LocalCall, LegLine], None],
    ) -> None:  # fmt: skip
        self._tell = tell
        self._stack = AsyncExitStack()
        self._exchange = exchange
        self._phones = [
            _Phone(one, SyntheticCaller(one, load_lines(lines, one)) if one.steps else None)
            for one in script.agents
        ]

    async def __aenter__(self) -> ScriptedAgents:
        if self._phones:
            self._exchange.default_person = Person(does="no_answer")
        for phone in self._phones:
            if phone.caller is not None:
                phone.caller.tell = self._listener(phone)
                await self._stack.enter_async_context(phone.caller.ears)
            number = phone.script.number or ANY_NUMBER
            self._exchange.turns.setdefault(number, deque()).append(self._person(phone))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def wait_ended(self, timeout_s: float) -> None:
        """Until every leg that answered is over, or the time is up."""
        legs = [phone.call.wait_ended() for phone in self._phones if phone.call is not None]
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*legs)
        except TimeoutError:
            pass  # what is left ends with the exchange

    def over(self) -> None:
        """The caller's call has ended: agents who only waited are done."""
        for phone in self._phones:
            if phone.caller is not None and phone.call is not None:
                phone.caller.mind.over(round(phone.call.log.clock_ms()))

    def results(self) -> list[AgentResult]:
        """What came of each, in the script's order."""
        return [self._result(phone) for phone in self._phones]

    def _person(self, phone: _Phone) -> Person:
        return Person(
            does=phone.script.does, after_s=phone.script.rings_s, ear=lambda: _Held(phone, phone.caller)
        )

    def _listener(self, phone: _Phone) -> Callable[[CallerEvent], None]:
        def happened(event: CallerEvent) -> None:
            call = phone.call
            if call is None:
                return
            opened = call.line.opened_ms
            match event:
                case Said():
                    text = f"presses {event.keys}" if event.keys else event.text
                    line = LegLine("agent", text, opened + event.start_ms, event.keys)
                    self._tell(phone.script, call, line)
                case HeardClause():
                    if event.text:
                        self._tell(phone.script, call, LegLine("heard", event.text, opened + event.start_ms))
                case _:
                    pass

        return happened

    def _result(self, phone: _Phone) -> AgentResult:
        call, caller = phone.call, phone.caller
        sid = call.call_sid if call is not None else None
        begun = any(
            any(e.name == "conference-start" for e in room.events)
            and any(e.form.get("CallSid") == sid for e in room.events)
            for room in self._exchange.conferences
        )
        understood = [clause.text for clause in caller.heard if clause.text] if caller is not None else []
        words = f" {' '.join(understood)} "
        told = phone.script.told
        return AgentResult(
            name=phone.script.label,
            number=call.to if call is not None else phone.script.number or "",
            status=call.status if call is not None else "not rung",
            steps=caller.mind.outcomes if caller is not None else [],
            understood=understood,
            told=not told or any(f" {normal(cue)} " in words for cue in told),
            in_conference=call is not None and begun,
            violations=[str(v) for v in call.violations] if call is not None else [],
            recording=call.recording if call is not None else None,
        )


class _Held:
    """The agent's ear; hears of the call that rings it also when it does not answer."""

    def __init__(self, phone: _Phone, caller: SyntheticCaller | None) -> None:
        self._phone = phone
        self._caller = caller

    def hold(self, call: LocalCall) -> None:
        self._phone.call = call
        if self._caller is not None:
            self._caller.hold(call)

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        if self._caller is not None:
            self._caller.on_audio(frame, at_ms)

    def next_frame(self, at_ms: int) -> bytes | None:
        return self._caller.next_frame(at_ms) if self._caller is not None else None


def where(call: LocalCall, leg: LocalCall, at_ms: float) -> float:
    """A time on a leg's clock, on the clock of the caller's call."""
    return at_ms + call.log.clock_ms() - leg.log.clock_ms()
