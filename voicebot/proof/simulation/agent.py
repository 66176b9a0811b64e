"""Synthetic agents: a phone number of the local Twilio answered by a program that knows only what it hears.

```python
agent = Agent(Listen(), Press("1"), Talk(murmur(1500)), Listen(), HangUp(), rings_s=0.3)
twilio.people["+12025550140"] = agent.person
...
(leg,) = agent.calls
leg.recording.save(path)  # left: what the agent said; right: the briefing, then the caller
```
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .call import LocalCall
from .ear import FRAME_BYTES, FRAME_MS
from .meter import VoiceMeter
from .people import Does, Person

_KEY_EVERY_MS = 220


@dataclass(frozen=True)
class Listen:
    """Until somebody was heard for ``heard_ms`` and then nobody for ``quiet_ms``; at most ``at_most_s``."""

    heard_ms: int = 200
    quiet_ms: int = 700
    at_most_s: float = 30.0


@dataclass(frozen=True)
class Press:
    """Presses keys."""

    digits: str


@dataclass(frozen=True)
class Talk:
    """Says a sound, mu-law; ``text`` is for reports."""

    ulaw: bytes
    text: str = ""


@dataclass(frozen=True)
class Wait:
    """Does nothing for so long."""

    s: float


@dataclass(frozen=True)
class HangUp:
    """Puts the phone down."""


Act = Listen | Press | Talk | Wait | HangUp


class AgentMind:
    """What an agent does next. Pure; times are ms since it answered. After its last act it only listens."""

    def __init__(self, acts: tuple[Act, ...]) -> None:
        self._acts = acts
        self._at = -1
        self._began_ms = 0
        self._heard_ms = 0
        self._quiet_ms = 0

    def tick(self, at_ms: int, *, loud: bool, busy: bool) -> Act | None:
        """The act that begins now, if one does.

        Args:
            at_ms: now.
            loud: somebody was heard in the last 20 ms.
            busy: the agent itself still speaks or presses.
        """
        self._heard_ms += FRAME_MS if loud else 0
        self._quiet_ms = 0 if loud else self._quiet_ms + FRAME_MS
        if busy or not self._over(at_ms) or self._at >= len(self._acts):
            return None
        self._at += 1
        self._began_ms, self._heard_ms, self._quiet_ms = at_ms, 0, 0
        return self._acts[self._at] if self._at < len(self._acts) else None

    def _over(self, at_ms: int) -> bool:
        if not 0 <= self._at < len(self._acts):
            return self._at < 0
        match self._acts[self._at]:
            case Listen() as listen:
                finished = self._heard_ms >= listen.heard_ms and self._quiet_ms >= listen.quiet_ms
                return finished or at_ms - self._began_ms >= listen.at_most_s * 1000
            case Wait() as wait:
                return at_ms - self._began_ms >= wait.s * 1000
            case _:
                return True


class _AtThePhone:
    """One call of an agent: an ``Ear``."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._mind = AgentMind(agent.acts)
        self._meter = VoiceMeter()
        self._loud = False
        self._call: LocalCall | None = None
        self._saying = b""
        self._keys: deque[str] = deque()
        self._key_due_ms = 0

    def hold(self, call: LocalCall) -> None:
        self._call = call
        self._agent.calls.append(call)

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        self._loud = self._meter.loud(frame)

    def next_frame(self, at_ms: int) -> bytes | None:
        assert self._call is not None
        if self._keys and at_ms >= self._key_due_ms:
            self._call.press_key(self._keys.popleft())
            self._key_due_ms = at_ms + _KEY_EVERY_MS
        busy = bool(self._saying) or bool(self._keys)
        act = self._mind.tick(at_ms, loud=self._loud, busy=busy)
        match act:
            case Press():
                self._keys.extend(act.digits)
            case Talk():
                self._saying = act.ulaw
            case HangUp():
                self._call.hang_up()
            case Listen() | Wait() | None:
                pass
        if act is not None:
            self._agent.did(self._call, act)
        frame, self._saying = self._saying[:FRAME_BYTES], self._saying[FRAME_BYTES:]
        return frame.ljust(FRAME_BYTES, b"\xff") if frame else None


class Agent:
    """Somebody with a phone. ``calls`` are the legs that rang it, oldest first.

    Args:
        acts: what it does after answering, one after the other.
        rings_s: how long it lets the phone ring.
        does: whether it answers at all.
        tell: gets each act as it begins (for a display); must return at once.
    """

    def __init__(
        self, *acts: Act, rings_s: float = 1.0, does: Does = "answer",
        tell: Callable[[LocalCall, Act], None] = lambda _call, _act: None,
    ) -> None:  # fmt: skip
        self.acts = acts
        self.calls: list[LocalCall] = []
        self.did = tell
        self.person = Person(does=does, after_s=rings_s, ear=lambda: _AtThePhone(self))

    @property
    def was_told(self) -> list[str]:
        """What Twilio said or played to it alone, in order: words of ``Say``, addresses of ``Play``."""
        return [
            str(entry.data.get("text") or entry.data.get("url"))
            for call in self.calls
            for entry in call.log.entries
            if entry.kind in ("text", "played")
        ]


def accepting(*talk: Act, rings_s: float = 0.3) -> Agent:
    """Answers, hears the briefing out, presses 1, and then does what is given."""
    return Agent(Listen(), Press("1"), *talk, rings_s=rings_s)


def declining(rings_s: float = 0.3) -> Agent:
    """Answers, hears the briefing out, presses 2."""
    return Agent(Listen(), Press("2"), rings_s=rings_s)


def not_there(does: Does, rings_s: float = 0.3) -> Agent:
    """Never answers, is busy, turns the call away, or has no working phone."""
    return Agent(rings_s=rings_s, does=does)


def mute(rings_s: float = 0.3) -> Agent:
    """Answers and does nothing at all: a voice mailbox, or a phone in a pocket."""
    return Agent(rings_s=rings_s)
