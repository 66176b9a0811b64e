"""One conversation at the desk: what is being said, word by word, and beside it what the agent needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from voicebot.console.desk import parts, words
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.follow_up_card import FollowUpCard
from voicebot.console.desk.panels import MakePanel, Seat
from voicebot.console.desk.panels.assist import AssistPanel
from voicebot.console.desk.panels.audio import AudioPanel
from voicebot.console.desk.panels.chat import ChatPanel
from voicebot.console.desk.panels.drafts import DraftsPanel
from voicebot.console.desk.panels.whisper import WhisperPanel
from voicebot.console.desk.panels.words import WordsPanel
from voicebot.console.desk.payload_cards import draw_payload
from voicebot.console.desk.transcript import Transcript, follow
from voicebot.console.desk.trouble import draw_trouble
from voicebot.console.desk.visit import Visit

PANELS: tuple[MakePanel, ...] = (AudioPanel, DraftsPanel, AssistPanel, WhisperPanel)
"""What stands beside the transcript, above the payload, in this order. A panel more is a name more."""

AFTER: tuple[MakePanel, ...] = (WordsPanel,)
"""What stands below the payload."""

LOOK_S = 3.0
"""What others do with the hand-over is seen this soon."""

_FREE = frozenset({"waiting", "offered", "missed", "callback"})
_HELD = frozenset({"accepted", "bridged"})


class HandoffPage:
    """One hand-over: transcript, payload, and what can be done with it."""

    def __init__(self, visit: Visit, handoff_id: str) -> None:
        self._visit = visit
        self._api = visit.api
        self._agent = visit.agent.id
        self._id = handoff_id
        self._path = f"/api/handoffs/{handoff_id}"
        self._payload: object = None

    async def show(self) -> None:
        """Draws the page."""
        with parts.box("main", "desk", id="main"):
            try:
                one = await self._api.get(self._agent, self._path)
            except ApiError as error:
                draw_trouble(self._visit, error, self._path)
                return
            with parts.box("div", "headline"):
                with parts.box("div"):
                    parts.text("h1", one["reason"])
                    self._tags = parts.box("p", "tags")
                self._actions = parts.box("div", "actions")
            self._notice = parts.text("p", "", "notice", role="status")
            self._seat = seat = Seat(
                one["conversation_id"],
                supervisor=self._visit.supervisor,
                handoff=one,
                channel=(one.get("payload") or {}).get("channel", ""),
            )
            with parts.box("div", "call"):
                with parts.box("div", "said-side"):
                    follow(Transcript(self._api, self._agent, seat.conversation_id))
                    await ChatPanel(self._api, self._agent, seat).show()
                with parts.box("div"):
                    for make in PANELS:
                        await make(self._api, self._agent, seat).show()
                    self._side = parts.box("div")
                    for make in AFTER:
                        await make(self._api, self._agent, seat).show()
        self._draw(one)
        ui.timer(LOOK_S, self._look)

    def _draw(self, one: dict[str, Any]) -> None:
        self._standing = _standing(one)
        self._tags.clear()
        self._actions.clear()
        with self._tags:
            urgent = one["urgency"] in ("high", "critical")
            parts.text("span", words.state(one), "tag strong")
            parts.text("span", one["urgency"], "tag alarm" if urgent else "tag")
            parts.text("span", one["team"] or one["skill"], "tag")
            if one.get("payload"):
                parts.text("span", one["payload"]["channel"], "tag")
        with self._actions:
            self._draw_actions(one)
        shown = (one.get("payload"), one["follow_ups"])
        if shown == self._payload:
            return  # a screen reader is not to lose its place
        self._payload = shown
        self._side.clear()
        with self._side:
            draw_payload(one)
            self._draw_promises(one)

    def _draw_promises(self, one: dict[str, Any]) -> None:
        if not one["follow_ups"]:
            return

        async def changed(wrong: str) -> None:
            self._notice.text = wrong
            await self._read()

        with parts.card("Promised"), parts.box("ul", "rows"):
            for promise in one["follow_ups"]:
                FollowUpCard(self._visit, promise, changed, link=False).draw()

    def _draw_actions(self, one: dict[str, Any]) -> None:
        mine = one["claimed_by"] == self._agent
        if one["status"] in _FREE:
            parts.button("Accept", self._step("accept"), first=True, key="a")
            if self._agent not in one["declined_by"]:
                parts.button("Decline", self._step("decline"), key="x")
        elif mine and one["status"] in _HELD:
            parts.button("Done", self._step("done"), first=True, key="d")
            parts.button("Give back", self._step("decline"), key="x")
        elif self._visit.supervisor and one["status"] in _HELD:
            parts.button(f"Give back for {one['claimed_by']}", self._step("decline"), key="x")
        parts.link("Whole conversation", f"/desk/conversations/{one['conversation_id']}", "act")

    def _step(self, step: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            try:
                one = await self._api.post(self._agent, f"{self._path}/{step}")
                done = step == "done"
                self._notice.text = "Settled. How was it left? Say it under “After the call”." if done else ""
            except ApiError as error:
                self._notice.text = f"Not done: {error}"
                await self._read()
                return
            await self._stands(one)

        return act

    async def _look(self) -> None:
        query = {"conversation": self._seat.conversation_id, "brief": True}
        try:
            rows = await self._api.get(self._agent, "/api/handoffs", **query)
        except ApiError:
            return  # the line at the bottom says it
        if any(row["id"] == self._id and _standing(row) != self._standing for row in rows):
            await self._read()

    async def _read(self) -> None:
        try:
            one = await self._api.get(self._agent, self._path)
        except ApiError as error:
            self._notice.text = str(error)
            return
        await self._stands(one)

    async def _stands(self, one: dict[str, Any]) -> None:
        self._draw(one)
        await self._seat.took_a_step(one)


def _standing(one: dict[str, Any]) -> tuple[Any, ...]:
    """What of a hand-over others can change."""
    summary = (one.get("payload") or {}).get("summary")
    return one["status"], one["claimed_by"], one["declined_by"], summary


async def draw_live(visit: Visit, conversation_id: str, channel: str) -> None:
    """Into the open element: a conversation that nobody was asked for yet; a supervisor listens in."""
    parts.text("h1", "Live conversation")
    seat = Seat(conversation_id, supervisor=visit.supervisor, channel=channel)
    with parts.box("div", "call"):
        with parts.box("div", "said-side"):
            follow(Transcript(visit.api, visit.agent.id, conversation_id))
        with parts.box("div"):
            for make in (*PANELS, *AFTER):
                await make(visit.api, visit.agent.id, seat).show()
