"""``/desk/follow-ups``: callers nobody reached, calls back that are booked, what was promised to whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from voicebot.console.desk import parts, words
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.follow_up_card import FollowUpCard
from voicebot.console.desk.visit import Visit

EVERY_S = 5.0
_MOST = 200


class FollowUpsPage:
    """What is still owed to callers, what is due first on top."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._drawn: dict[str, object] = {}
        self._places: dict[str, ui.element] = {}
        self._ticks: dict[str, list[Callable[[], None]]] = {}

    async def show(self) -> None:
        """Draws the page and keeps it as it is."""
        with parts.box("main", "desk", id="main"):
            with parts.box("div", "headline"):
                parts.text("h1", "Follow-ups")
            self._notice = parts.text("p", "", "notice", role="status")
            for section in ("yours", "missed", "booked", "promised"):
                self._places[section] = parts.box("div")
        await self._look()
        ui.timer(EVERY_S, self._look)

    async def _look(self) -> None:
        try:
            brief: dict[str, Any] = {"limit": _MOST, "brief": True}
            missed = await self._get("/api/handoffs", status="missed", **brief)
            booked = await self._get("/api/handoffs", status="callback", **brief)
            open_ = await self._get("/api/follow-ups", status="open", limit=_MOST)
        except ApiError:
            return  # the line at the bottom says it
        me = self._visit.agent.id
        yours = [one for one in open_ if one["claimed_by"] == me]
        others = [one for one in open_ if one["claimed_by"] != me]
        if yours or "yours" in self._drawn:
            self._section("yours", yours, lambda: self._promises("Yours", yours))
        self._section("missed", missed, lambda: self._callers("Missed callers", missed, "Nobody was missed."))
        none = "No call back is booked."
        self._section("booked", booked, lambda: self._callers("Call back booked", booked, none))
        self._section("promised", others, lambda: self._promises("Promised", others))

    def _section(self, section: str, rows: list[dict[str, Any]], draw: Callable[[], None]) -> None:
        """Drawn anew only when something in it changed: a reader and what they type keep their place."""
        drawn = [(one["id"], one["status"], one["claimed_by"]) for one in rows]
        if drawn == self._drawn.get(section):
            for tick in self._ticks[section]:
                tick()
            return
        self._drawn[section], self._ticks[section], self._drawing = drawn, [], section
        self._places[section].clear()
        with self._places[section]:
            draw()

    async def _get(self, path: str, **query: Any) -> list[dict[str, Any]]:
        return await self._visit.api.get(self._visit.agent.id, path, **query)

    def _promises(self, title: str, rows: list[dict[str, Any]]) -> None:
        with parts.card(f"{title} ({len(rows)})", name=title.lower()):
            if not rows:
                parts.text("p", "Nothing is owed to anybody.", "soft empty")
            with parts.box("ul", "rows"):
                for one in rows:
                    card = FollowUpCard(self._visit, one, self._changed)
                    card.draw()
                    self._ticks[self._drawing].append(card.tick)

    def _callers(self, title: str, rows: list[dict[str, Any]], none: str) -> None:
        with parts.card(f"{title} ({len(rows)})", name=title.lower()):
            if not rows:
                parts.text("p", none, "soft empty")
            with parts.box("ul", "rows"):
                for one in rows:
                    self._caller(one)

    def _caller(self, one: dict[str, Any]) -> None:
        about = f"{one['reason']}, {one['urgency']}"
        with parts.box("li", f"row {one['urgency']}", data_row="1"):
            with parts.box("div", "about"):
                parts.text("h3", one["reason"])
                with parts.box("p", "tags"):
                    urgent = one["urgency"] in ("high", "critical")
                    parts.text("span", one["urgency"], "tag alarm" if urgent else "tag")
                    parts.text("span", one["skill"], "tag")
                    since = parts.text("span", "", "soft")

                    def tick() -> None:
                        since.text = words.ago(one["changed_at"], self._visit.desk.now())

                    tick()
                    self._ticks[self._drawing].append(tick)
                summary = (one.get("payload") or {}).get("summary")
                parts.text("p", summary["issue"] if summary else one.get("problem") or "")
            with parts.box("div", "actions"):
                parts.button("Take it", self._take(one), first=True, about=about)
                made = parts.link("Open", f"/desk/handoffs/{one['id']}", "act")
                made.props["aria-label"] = f"Open {about}"

    def _take(self, one: dict[str, Any]) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            try:
                await self._visit.api.post(self._visit.agent.id, f"/api/handoffs/{one['id']}/accept")
            except ApiError as error:
                await self._changed(f"Not done: {error}")
                return
            ui.navigate.to(f"/desk/handoffs/{one['id']}")

        return act

    async def _changed(self, wrong: str) -> None:
        self._notice.text = wrong
        await self._look()
