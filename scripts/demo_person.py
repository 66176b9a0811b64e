"""The demo's last act: a person takes over. What events, both lines and the payload say of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import Any

from voicebot.core.transcript import LEG_LINE
from voicebot.handoff.payload import PAYLOAD_VERSION, Payload
from voicebot.handoff.summary import briefing
from voicebot.proof.ears.recogniser import normal
from voicebot.proof.simulation.analysis import RATE_HZ, Span, dead_air, spans
from voicebot.proof.simulation.phonecall import DEAD_AIR_MS, CallResult
from voicebot.runtime.phone import PhoneReport

ASKS = "a person"
"""The step of the script with which the act begins."""

WAY = ("requested", "ringing", "briefing", "accepted", "bridged")
"""What a transfer goes through when all is well, in this order."""

_SAME_WORDS = 0.5
"""So much of what a side said must be in its transcript: the demo's Whisper errs, but not on every word."""


class LastAct:
    """From the wish for a person to the end of the call. Times in ms on the call clock."""

    def __init__(self, report: PhoneReport) -> None:
        self._result: CallResult = report.result
        self._events: list[dict[str, Any]] = (report.conversation or {}).get("events", [])
        self.handoff = report.handoff
        self.payload = _payload(report.handoff)

    def at(self, state: str) -> datetime | None:
        """When the transfer came to that state, by the server's events."""
        found = [e["time"] for e in self._events if e["type"] == f"transfer.{state}"]
        return datetime.fromisoformat(found[0]) if found else None

    @property
    def went_its_way(self) -> bool:
        """One dial, each state once and in order."""
        found = [e["type"].partition(".")[2] for e in self._events if e["type"].startswith("transfer.")]
        return tuple(found[: len(WAY)]) == WAY and all(found.count(state) == 1 for state in WAY)

    @property
    def handed_over(self) -> bool:
        """A payload of today's version with a summary, and the caller's wish was seen.

        The wish is the reason, or its first sign: misheard as a complaint, it goes to whoever takes those.
        """
        one = self.payload
        if one is None or not {one.trigger.name, one.trigger.first_sign} & {"asked_for_person", "person"}:
            return False
        return one.version == PAYLOAD_VERSION and bool(one.summary.text and one.transcript)

    @property
    def briefed(self) -> bool:
        """The person understood what they were told, and pressed 1."""
        agents = self._result.agents
        return bool(agents) and agents[0].told and self.at("accepted") is not None

    @property
    def talked(self) -> bool:
        """Each did all of their part, which needs having understood the other."""
        steps = [step for agent in self._result.agents for step in agent.steps]
        begun = [step.step for step in self._result.steps].index(ASKS)
        steps += self._result.steps[begun:]
        return self._result.together_ms is not None and all(step.done for step in steps)

    @property
    def silence(self) -> Span | None:
        """The longest one on the caller's line from their wish until somebody was there; None: nobody was."""
        asked = next((step for step in self._result.steps if step.step == ASKS), None)
        until = self._result.together_ms
        if asked is None or asked.began_ms is None or until is None:
            return None
        begin = asked.began_ms
        samples = self._result.recording.samples()
        line = samples[int(begin * RATE_HZ / 1000) : int(until * RATE_HZ / 1000)]
        quiet = max(dead_air(line, longer_than_ms=0), key=lambda one: one.length_ms, default=Span(0, 0))
        return Span(begin + quiet.start_ms, begin + quiet.end_ms)

    @property
    def never_silent(self) -> bool:
        """Until somebody was there, the line was never silent for 3 s."""
        silence = self.silence
        return silence is not None and silence.length_ms <= DEAD_AIR_MS

    def transcribed(self, who: str) -> float:
        """What share (0..1) of that side's words after the bridge is in its transcript, in order."""
        since = self._result.together_ms or 0
        said = [
            line["text"]
            for line in self._result.transcript
            if line["who"] == who and line["at_ms"] >= since and not line.get("keys")
        ]
        written = [
            e["data"]["text"] for e in self._events if e["type"] == LEG_LINE and e["data"]["who"] == who
        ]
        return _kept(" ".join(said), " ".join(written))

    @property
    def both_transcribed(self) -> bool:
        """Each side's words are stored under its own name, and a reader had them while the call went on."""
        live = {line["who"] for line in self._result.read_live if line["at_ms"] < self._result.duration_ms}
        return live == {"caller", "agent"} and all(self.transcribed(who) >= _SAME_WORDS for who in live)

    def read_after_ms(self) -> list[int]:
        """From the end of each line's last sound to its words at a reader of the live transcript."""
        columns = self._result.recording.samples()
        sounds = {"caller": spans(columns[:, 0], join_ms=0), "agent": spans(columns[:, 1], join_ms=0)}
        delays: list[int] = []
        for line in self._result.read_live:
            ends = [s.end_ms for s in sounds[line["who"]] if s.end_ms <= line["at_ms"]]
            delays += [round(line["at_ms"] - ends[-1])] if ends else []
        return delays

    def sentences(self) -> Iterable[tuple[str, str]]:
        """For people: what happened when, what was said and written down; name and value."""
        if self.payload is not None:
            yield "briefing", f'"{briefing(self.payload)}"'
        times = [(state, self.at(state)) for state in WAY]
        steps = [
            f"{name} +{(now - before).total_seconds():.1f} s"
            for (_, before), (name, now) in pairwise(times)
            if before is not None and now is not None
        ]
        yield "transfer", ", ".join(["requested", *steps])
        silence = self.silence
        if silence is not None:
            yield (
                "silence",
                f"while the caller waited, {silence.length_ms / 1000:.1f} s at most, from"
                f" {silence.start_ms / 1000:.1f} s on; the local Twilio's clock was late by up to"
                f" {self._result.clock_late_ms:.0f} ms",
            )
        if self._result.together_ms is None:
            return
        legs = [f"{self.transcribed(who):.0%} of the {who}'s" for who in ("agent", "caller")]
        yield "transcript", f"of the words of both legs it has {' and '.join(legs)}"
        if delays := self.read_after_ms():
            words = ", ".join(f"{ms / 1000:.1f}" for ms in delays)
            yield "live", f"its lines were read {words} s after the last sound before each"


def payload_sentences(payload: Payload) -> Iterable[tuple[str, str]]:
    """What is in a payload, shortened for a terminal: name and value, in the order an agent reads."""
    summary = payload.summary
    yield "issue", summary.issue
    yield "tried", summary.tried
    yield "mood", summary.mood
    yield "next", summary.next
    yield "summary by", summary.written_by
    fired = payload.trigger
    evidence = ", ".join(f"{name} {value}" for name, value in fired.evidence.items())
    yield "trigger", f"{fired.name} ({evidence})" if evidence else fired.name
    yield "urgency", payload.urgency
    identity = payload.identity
    by = f"level {identity.level}, by {', '.join(identity.method)}" if identity.verified else "not verified"
    yield "identity", f"{identity.customer or 'unknown'}, {by}"
    yield "about", "; ".join(payload.about)
    if (moment := payload.scores.moment) is not None:
        scores = {
            "classification": moment.classification,
            "grounding": moment.grounding,
            "answer": moment.answer,
            "sentiment": moment.sentiment,
        }
        yield "scores", ", ".join(f"{k} {'-' if v is None else f'{v:.2f}'}" for k, v in scores.items())
    calls = [f"{one.call.tool}: {_outcome(one.call.result, one.call.error)}" for one in payload.tool_calls]
    yield "tool calls", f"{len(calls)}; the last {calls[-1]}" if calls else "none"
    yield "citations", ", ".join(dict.fromkeys(source.title for source in payload.citations)) or "none"
    choice = payload.choice
    held = ", ".join(choice.matched)
    yield "why next", f"pattern {choice.pattern}{f' ({held})' if held else ''}, reviewed {choice.reviewed_on}"
    yield "transcript", f"{len(payload.transcript)} lines, as they were heard"


def _payload(handoff: dict[str, Any] | None) -> Payload | None:
    if handoff is None or handoff.get("payload") is None:
        return None
    return Payload.model_validate_json(json.dumps(handoff["payload"]))


def _outcome(result: Any, error: Any) -> str:
    return str(result.get("outcome", "read")) if isinstance(result, dict) else str(error or "read")


def _kept(said: str, written: str) -> float:
    """The longest common subsequence of words, as a share of those that were said."""
    a, b = normal(said).split(), normal(written).split()
    row = [0] * (len(b) + 1)
    for word in a:
        before = row[:]
        for n, other in enumerate(b, 1):
            row[n] = before[n - 1] + 1 if word == other else max(before[n], row[n - 1])
    return row[-1] / len(a) if a else 0.0
