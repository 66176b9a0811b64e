"""``/desk``: who waits, since when, for whom and why; who is being helped; calls that are going on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from voicebot.console.desk import parts, words
from voicebot.console.desk.client import ApiError, DeskApi

EVERY_S = 2.0
"""A caller who waits is seen this soon."""

_URGENT = frozenset({"high", "critical"})


class QueuePage:
    """One agent's view of the queue. ``supervisor``: whether they also see live calls."""

    def __init__(self, api: DeskApi, agent: str, *, supervisor: bool) -> None:
        self._api = api
        self._agent = agent
        self._supervisor = supervisor
        self._seen: set[str] | None = None
        self._drawn: object = None

    async def show(self) -> None:
        """Draws the page and keeps it as it is."""
        with parts.box("main", "desk", id="main"):
            parts.text("h1", "Queue")
            self._notice = parts.box("p", "notice alarm", role="status", aria_live="polite")
            self._body = parts.box("div")
        await self._look()
        ui.timer(EVERY_S, self._look)

    async def _look(self) -> None:
        try:
            brief: dict[str, Any] = {"limit": 100, "brief": True}
            waiting = await self._api.get(self._agent, "/api/handoffs", status="waiting", **brief)
            held = await self._api.get(self._agent, "/api/handoffs", status="accepted", **brief)
            live = await self._live() if self._supervisor else []
        except ApiError as error:
            self._tell(str(error))
            return
        ids = {one["id"] for one in waiting}
        if self._seen is not None and ids - self._seen:
            new = [one for one in waiting if one["id"] not in self._seen]
            self._tell(f"New: {new[0]['reason']}" + (f", and {len(new) - 1} more" if len(new) > 1 else ""))
        elif self._seen is None or not ids:
            self._tell("")
        self._seen = ids
        drawn = [_look_of(one) for one in (*waiting, *held)], [(one["id"], one["turn"]) for one in live]
        if drawn == self._drawn:
            return  # a screen reader is not to lose its place
        self._drawn = drawn
        self._body.clear()
        with self._body:
            self._draw(waiting, [one for one in held if one["claimed_by"] == self._agent], live)

    async def _live(self) -> list[dict[str, Any]]:
        rows = await self._api.get(self._agent, "/api/conversations", limit=200)
        return [row for row in rows if row["status"] in ("live", "handoff") and row["ended_at"] is None]

    def _draw(
        self, waiting: list[dict[str, Any]], mine: list[dict[str, Any]], live: list[dict[str, Any]]
    ) -> None:
        if mine:
            self._list("Yours", mine, self._open)
        with parts.box("section", "card", aria_label="waiting"):
            parts.text("h2", f"Waiting ({len(waiting)})")
            if not waiting:
                parts.text("p", "Nobody waits.", "soft")
            with parts.box("ol", "queue"):
                for one in waiting:
                    self._row(one, self._waiting_actions)
        if self._supervisor:
            with parts.box("section", "card", aria_label="live calls"):
                parts.text("h2", f"Live ({len(live)})")
                with parts.box("ul", "queue"):
                    for one in live:
                        with parts.box("li", "card"):
                            parts.text(
                                "span",
                                f"{one['channel']}, turn {one['turn']}, since {one['created_at'][11:19]}",
                            )
                            parts.link("Listen in", f"/desk/conversations/{one['id']}", "act")

    def _list(
        self, title: str, rows: list[dict[str, Any]], actions: Callable[[dict[str, Any]], None]
    ) -> None:
        with parts.box("section", "card", aria_label=title.lower()):
            parts.text("h2", f"{title} ({len(rows)})")
            with parts.box("ul", "queue"):
                for one in rows:
                    self._row(one, actions)

    def _row(self, one: dict[str, Any], actions: Callable[[dict[str, Any]], None]) -> None:
        with parts.box("li", "card"):
            with parts.box("div"):
                parts.text("h2", one["reason"])
                with parts.box("p"):
                    urgency = "alarm" if one["urgency"] in _URGENT else ""
                    parts.text("span", one["urgency"], f"tag {urgency}")
                    parts.text("span", one["team"] or one["skill"], "tag")
                    if one["position"] is not None:
                        parts.text("span", f"place {one['position']}", "tag")
                parts.text("p", _waits(one), "soft")
                summary = (one.get("payload") or {}).get("summary")
                if summary:
                    parts.text("p", summary["issue"])
                if one.get("problem"):
                    parts.text("p", one["problem"], "soft")
            with parts.box("div", "actions"):
                actions(one)

    def _waiting_actions(self, one: dict[str, Any]) -> None:
        about = f"{one['reason']}, {one['urgency']}"
        parts.button("Accept", self._step(one, "accept"), first=True, about=about)
        if self._agent not in one["declined_by"]:
            parts.button("Decline", self._step(one, "decline"), about=about)
        parts.link("Open", f"/desk/handoffs/{one['id']}", "act").props(f'aria-label="Open {about}"')

    def _open(self, one: dict[str, Any]) -> None:
        parts.link("Open", f"/desk/handoffs/{one['id']}", "act")

    def _step(self, one: dict[str, Any], step: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            try:
                await self._api.post(self._agent, f"/api/handoffs/{one['id']}/{step}")
            except ApiError as error:
                self._tell(f"Not done: {error}")
                await self._look()
                return
            if step == "accept":
                ui.navigate.to(f"/desk/handoffs/{one['id']}")
            else:
                await self._look()

        return act

    def _tell(self, what: str) -> None:
        self._notice.clear()
        if what:
            with self._notice:
                parts.text("span", what)


def _waits(one: dict[str, Any]) -> str:
    so_far = f"waits {words.waited(one['waited_s'])}"
    if one["estimate_s"] is not None:
        return f"{so_far}, about {words.waited(one['estimate_s'])} to go"
    if one["opens_at"] is not None:
        return f"{so_far}; the team answers again from {one['opens_at'][:16].replace('T', ' ')}"
    return so_far


def _look_of(one: dict[str, Any]) -> tuple[Any, ...]:
    """What of a row is drawn; seconds that only grow are drawn with the next change, or each half minute."""
    return (
        one["id"],
        one["status"],
        one["claimed_by"],
        one["position"],
        one["waited_s"] // 30,
        len(one["declined_by"]),
    )
