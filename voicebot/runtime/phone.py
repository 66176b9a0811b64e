"""``voicebot call``: one synthetic call, to a running server or to one that is started for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from voicebot.core.conversation import TurnTimings
from voicebot.core.settings import Settings, load_settings
from voicebot.core.store.embedded import erase
from voicebot.core.waterfall import hops, waited_ms
from voicebot.proof.simulation import LocalTwilio, Talk, accepting, murmur
from voicebot.proof.simulation.analysis import Analysis, Span
from voicebot.proof.simulation.phonecall import CallResult, ServerUnderCall, run_call
from voicebot.proof.simulation.script import read_script
from voicebot.proof.simulation.waterfall import draw, headline
from voicebot.runtime.copies import open_recordings, write_copies
from voicebot.runtime.own_server import own_server

PERSON = "+14155550199"
"""Whom the local Twilio rings when the bot hands over."""

Look = Callable[[Settings], Awaitable[Any]]
"""Looks at a running server's data; its settings say where that is."""


@dataclass
class PhoneReport:
    """What came of a call, and of the server's side of it where its API could be reached.

    ``conversation`` and ``handoff`` are as ``/api`` gives them; ``ready_s`` is how long an own server took;
    ``seen`` is what ``look`` saw before the call and after it.
    """

    result: CallResult
    conversation: dict[str, Any] | None = None
    handoff: dict[str, Any] | None = None
    ready_s: float | None = None
    copies: list[Path] = field(default_factory=list[Path])
    seen: list[Any] = field(default_factory=list[Any])

    @property
    def timings(self) -> list[tuple[int, TurnTimings]]:
        """The server's waterfall of each turn, where its API could be reached."""
        turns = (self.conversation or {}).get("turns", ())
        return [
            (turn["turn"], TurnTimings.model_validate(turn["timings"]))
            for turn in turns
            if turn.get("timings")
        ]

    def as_dict(self) -> dict[str, Any]:
        """JSON able: the caller's side, and under ``waterfalls`` the server's of each turn, ms."""
        waterfalls = [
            {
                "turn": turn,
                "early": timings.early,
                "waited_ms": waited_ms(timings),
                "hops": [{"hop": hop.name, "ms": hop.ms, "ahead": hop.ahead} for hop in hops(timings)],
            }
            for turn, timings in self.timings
        ]
        return {**self.result.as_dict(), "waterfalls": waterfalls}


async def phone(
    script: Path | None,
    *,
    url: str | None = None,
    save: Path | None = None,
    console: Console | None = None,
    data_dir: Path | None = None,
    look: Look | None = None,
    **overrides: Any,
) -> PhoneReport:
    """Makes the call and, with ``save``, leaves plain copies of it there.

    Args:
        script: what the caller wants; None: the demo's.
        url: a running server (``VOICEBOT_API_TOKEN`` is used if it is set); None: one is started.
        save: folder for the copies.
        console: where to show the call live; None: nowhere.
        data_dir: of the server that is started; emptied first. None: one of this call's own below the data
            directory in force, deleted afterwards unless something went wrong (``server.log`` is there).
        look: looks at the data of the server that is started, once when it is ready and once after the call.
        overrides: settings of the server that is started, e.g. ``stt="sphinx"``.

    Raises:
        PhoneCallError, ScriptError, EarsError, OwnServerError: it could not be made.
    """
    settings = load_settings(**overrides)
    recordings = settings.deployment / "recordings"
    scripted = read_script(script or recordings / "scripts" / "demo.yaml")
    lines = recordings / "lines"
    token = settings.api_token.get_secret_value() if settings.api_token else None
    own: _Own | None = None
    if url is not None:
        result = await run_call(scripted, lines=lines, url=url, api_token=token, console=console)
        conversation, handoff = await _look(url, token, result.conversation_id)
        report = PhoneReport(result, conversation, handoff)
    else:
        own = _Own(settings, data_dir or settings.data_dir / f"call-{os.getpid()}", overrides, look)
        result = await run_call(scripted, lines=lines, start_server=own.start, console=console)
        report = own.report(result)
    if save is not None and report.conversation is not None:
        sound = [] if own is None else await open_recordings(own.settings, report.conversation["id"])
        report.copies = write_copies(
            save,
            conversation=report.conversation,
            handoff=report.handoff,
            recording=sound[-1] if sound else None,
            call=result.recording,
            agent=next((one.recording for one in result.agents if one.in_conference), None),
            caller_timings={k: v for k, v in result.as_dict().items() if k != "transcript"},
        )
    if own is not None and data_dir is None and result.ok:
        own.forget()
    return report


async def _look(
    url: str, token: str | None, conversation_id: str | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Conversation (the newest without an id) and handoff, as far as the server's API tells."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10.0) as api:
        if conversation_id is None:
            newest = await api.get("/api/conversations", params={"limit": 1})
            if not newest.is_success or not newest.json():
                return None, None
            conversation_id = str(newest.json()[0]["id"])
        conversation = await api.get(f"/api/conversations/{conversation_id}")
        handoffs = await api.get("/api/handoffs", params={"conversation": conversation_id})
    if not conversation.is_success:
        return None, None
    return conversation.json(), next(iter(handoffs.json()), None) if handoffs.is_success else None


class _Own:
    """A server for this call only: signed, with a person at the fallback number."""

    def __init__(
        self, settings: Settings, data_dir: Path, overrides: dict[str, Any], look: Look | None
    ) -> None:
        self._settings = settings
        self._look = look
        self._seen: list[Any] = []
        self._data_dir = data_dir.absolute()
        alone = {"data_dir": self._data_dir, "database_url": None, "master_key": None}
        self.settings = settings.model_copy(update=alone)
        self._environment = {f"VOICEBOT_{k.upper()}": str(v) for k, v in overrides.items() if v is not None}
        self._conversation: dict[str, Any] | None = None
        self._handoff: dict[str, Any] | None = None
        self._ready_s: float | None = None

    @asynccontextmanager
    async def start(self, twilio: LocalTwilio) -> AsyncGenerator[ServerUnderCall]:
        """Starts the server with an empty data directory; looks at the call before ending it.

        Whoever it rings hears the briefing out, accepts, and talks for a moment.
        """
        self.forget()
        twilio.default_person = accepting(Talk(murmur(2500))).person
        environment = {
            **self._environment,
            "VOICEBOT_DEPLOYMENT": str(self._settings.deployment.absolute()),
            "VOICEBOT_ENV_FILE": os.devnull,  # not the one of the real server beside us
            "VOICEBOT_FALLBACK_NUMBER": PERSON,
            "VOICEBOT_TWILIO_API": twilio.api_url,
            "TWILIO_ACCOUNT_SID": twilio.account_sid,
            "TWILIO_AUTH_TOKEN": twilio.auth_token,
        }
        log = self._data_dir / "server.log"
        async with own_server(environment, data_dir=self._data_dir, log=log) as server:
            await self._see()
            yield ServerUnderCall(server.url, server.api_token)
            self._ready_s = server.ready_s
            await self._see()
            self._conversation, self._handoff = await _look(server.url, server.api_token, None)

    async def _see(self) -> None:
        if self._look is not None:
            self._seen.append(await self._look(self.settings))

    def forget(self) -> None:
        """Deletes its data directory with all that is in it."""
        erase(self._data_dir)
        shutil.rmtree(self._data_dir, ignore_errors=True)

    def report(self, result: CallResult) -> PhoneReport:
        """The result with what the server said of it."""
        return PhoneReport(result, self._conversation, self._handoff, self._ready_s, seen=self._seen)


def show_report(report: PhoneReport, out: Console, *, brief: bool = False) -> None:
    """What came of the call, for people: steps, latencies as heard, what broke a rule.

    ``brief``: of the waterfalls only that of the turn waited for longest; the copies are not listed.
    """
    facts = report.result.as_dict()
    out.print()
    for step in report.result.steps:
        mark = "[green]done[/green]  " if step.done else "[red]failed[/red]"
        tries = f", {step.tries} tries" if step.tries > 1 else ""
        keys = ", with the keypad's help" if step.keypad else ""
        out.print(f"  {mark} {step.step}{tries}{keys}")
    for agent in report.result.agents:
        mark = "[green]ok[/green]    " if agent.ok else "[red]failed[/red]"
        undone = ", ".join([s.step for s in agent.steps if not s.done] + ["was told"] * (not agent.told))
        out.print(f"  {mark} {agent.name}: {agent.status}{', not done: ' if undone else ''}{undone}")
        for violation in agent.violations:
            out.print(f"  [red]broke a rule of Twilio's on that leg: {violation}[/red]")
    for silence in report.result.dead_air:
        out.print(f"  {_silence(silence, report.result.analysis)}")
    latency = facts["turn_latency_ms"]
    if latency["p50"] is not None:
        out.print(f"  turn latency as heard: p50 {latency['p50']} ms, p95 {latency['p95']} ms")
    timed = report.timings
    if brief:
        timed = sorted(timed, key=lambda one: waited_ms(one[1]) or 0)[-1:]
    for turn, timings in timed:
        if lines := draw(timings, width=min(out.width, 100)):
            title = ", ".join(filter(None, (f"turn {turn}", headline(timings))))
            out.print(f"\n  {title}", markup=False, highlight=False)
            for line in lines:
                out.print(line, markup=False, highlight=False, style="dim" if "░" in line else "")
    for barge_in in report.result.analysis.barge_ins:
        took = "it went on" if barge_in.took_ms is None else f"it fell silent after {barge_in.took_ms:.0f} ms"
        out.print(f"  spoken over the bot: {took}")
    for violation in report.result.violations:
        out.print(f"  [red]broke a rule of Twilio's: {violation}[/red]", markup=True)
    for path in () if brief else report.copies:
        out.print(f"  {path}", markup=False)


def _silence(silence: Span, analysis: Analysis) -> str:
    """A silence in words, with who ended it: whoever ought to have spoken before."""
    near = 100.0  # ms: the same edge, found twice
    callers = any(abs(span.start_ms - silence.end_ms) < near for span in analysis.caller)
    others = any(abs(span.start_ms - silence.end_ms) < near for span in analysis.bot)
    then = ", then the caller spoke" if callers else ", then the caller was spoken to" if others else ""
    return f"nobody spoke for {silence.length_ms / 1000:.1f} s from {silence.start_ms / 1000:.1f} s on{then}"
