"""``/desk``: who waits, since when, for whom, why; who is being helped, who is at the desk, what goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from voicebot.console.desk import parts, words
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.panels.drafts import DraftsPanel
from voicebot.console.desk.visit import Visit

EVERY_S = 2.0
"""A caller who waits is seen this soon."""

_URGENT = frozenset({"high", "critical"})


class QueuePage:
    """One agent's view of the queue; a supervisor's has the live conversations too."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._api = visit.api
        self._agent = visit.agent.id
        self._seen: set[str] | None = None
        self._news = False
        self._rows: dict[str, _Row] = {}
        self._live_rows: dict[str, _LiveRow] = {}
        self._people_drawn: object = None

    async def show(self) -> None:
        """Draws the page and keeps it as it is."""
        with parts.box("main", "desk", id="main"):
            with parts.box("div", "headline"):
                parts.text("h1", "Queue")
                self._people = parts.box("p", "tags", aria_label="at the desk")
            self._notice = parts.box("p", "notice", role="status", aria_live="polite")
            await DraftsPanel(self._api, self._agent, None, opens=self._visit.supervisor).show()
            self._yours = parts.card("Yours")
            with self._yours:
                self._mine = parts.box("ul", "rows")
            with parts.box("section", "card", aria_label="waiting"):
                self._waiting_title = parts.text("h2", "Waiting")
                self._nobody = parts.text("p", "Nobody waits.", "soft empty")
                self._waiting = parts.box("ol", "rows")
            self._live = parts.box("section", "card", aria_label="live calls")
            with self._live:
                self._live_title = parts.text("h2", "Live")
                self._quiet = parts.text("p", "Nothing goes on.", "soft empty")
                self._live_list = parts.box("ul", "rows tight")
        self._yours.set_visibility(False)
        self._live.set_visibility(self._visit.supervisor)
        await self._look()
        ui.timer(EVERY_S, self._look)

    async def _look(self) -> None:
        self._draw_people()
        try:
            brief: dict[str, Any] = {"limit": 100, "brief": True}
            waiting = await self._api.get(self._agent, "/api/handoffs", status="waiting", **brief)
            waiting += await self._api.get(self._agent, "/api/handoffs", status="offered", **brief)
            held = await self._api.get(self._agent, "/api/handoffs", status="accepted", **brief)
            held += await self._api.get(self._agent, "/api/handoffs", status="bridged", **brief)
            live = await self._going_on() if self._visit.supervisor else []
        except ApiError:
            return  # the line at the bottom says it
        waiting.sort(key=_standing)
        mine = [one for one in held if one["claimed_by"] == self._agent]
        self._announce(waiting)
        self._keep(self._waiting, waiting, self._waiting_actions)
        self._keep(self._mine, mine, self._open)
        for gone in {*self._rows} - {one["id"] for one in (*waiting, *mine)}:
            self._rows.pop(gone).delete()
        self._yours.set_visibility(bool(mine))
        self._nobody.set_visibility(not waiting)
        self._waiting_title.text = f"Waiting ({len(waiting)})"
        if self._visit.supervisor:
            self._draw_live(live)

    def _announce(self, waiting: list[dict[str, Any]]) -> None:
        new = [one for one in waiting if self._seen is not None and one["id"] not in self._seen]
        if new:
            more = f", and {len(new) - 1} more" if len(new) > 1 else ""
            self._tell(f"New: {new[0]['reason']}{more}", news=True)
        elif not waiting and self._news:
            self._tell("")
        if self._seen is None or {one["id"] for one in waiting} != self._seen:
            ui.page_title(f"({len(waiting)}) Queue - voicebot desk" if waiting else "Queue - voicebot desk")
        self._seen = {one["id"] for one in waiting}

    def _keep(
        self, place: ui.element, rows: list[dict[str, Any]], actions: Callable[[dict[str, Any]], None]
    ) -> None:
        """Rows that are there already stay, so that focus and a screen reader keep their place."""
        for index, one in enumerate(rows):
            row = self._rows.get(one["id"])
            if row is not None and row.place is not place:
                row.delete()
                row = None
            if row is None:
                with place:
                    row = self._rows[one["id"]] = _Row(place, one, actions)
            row.update(one, index)

    async def _going_on(self) -> list[dict[str, Any]]:
        return await self._api.get(self._agent, "/api/conversations", limit=200, going_on=True)

    def _draw_live(self, live: list[dict[str, Any]]) -> None:
        now = self._visit.desk.now()
        self._live_title.text = f"Live ({len(live)})"
        self._quiet.set_visibility(not live)
        for gone in {*self._live_rows} - {one["id"] for one in live}:
            self._live_rows.pop(gone).delete()
        for index, one in enumerate(live):
            row = self._live_rows.get(one["id"])
            if row is None:
                with self._live_list:
                    row = self._live_rows[one["id"]] = _LiveRow(one)
            row.update(one, index, words.ago(one["created_at"], now))

    def _draw_people(self) -> None:
        there = [(one["agent"], one["takes_callers"]) for one in self._visit.desk.present]
        if there == self._people_drawn:
            return
        self._people_drawn = there
        self._people.clear()
        with self._people:
            if there:
                parts.text("span", "At the desk", "soft")
            for agent, takes in there:
                parts.text("span", agent if takes else f"{agent} pauses", "tag" if takes else "tag off")

    def _waiting_actions(self, one: dict[str, Any]) -> None:
        about = f"{one['reason']}, {one['urgency']}"
        parts.button("Accept", self._step(one, "accept"), first=True, about=about, key="a")
        if self._agent not in one["declined_by"]:
            parts.button("Decline", self._step(one, "decline"), about=about)
        made = parts.link("Open", f"/desk/handoffs/{one['id']}", "act")
        made.props["aria-label"] = f"Open {about}"

    def _open(self, one: dict[str, Any]) -> None:
        parts.link("Open", f"/desk/handoffs/{one['id']}", "act first")

    def _step(self, one: dict[str, Any], step: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            try:
                await self._api.post(self._agent, f"/api/handoffs/{one['id']}/{step}")
            except ApiError as error:
                await self._look()
                self._tell(f"Not done: {error}")
                return
            if step == "accept":
                ui.navigate.to(f"/desk/handoffs/{one['id']}")
            else:
                await self._look()

        return act

    def _tell(self, what: str, *, news: bool = False) -> None:
        """``news``: of who waits, gone when nobody does. What went wrong stays until there is news."""
        self._news = news
        self._notice.clear()
        if what:
            with self._notice:
                parts.text("span", what)


class _Row:
    """One hand-over in a list; only what has changed is sent to the browser."""

    def __init__(
        self, place: ui.element, one: dict[str, Any], actions: Callable[[dict[str, Any]], None]
    ) -> None:
        self.place = place
        self._actions = actions
        self._drawn: object = None
        self._item = parts.box("li", "row", data_row="1")
        with self._item:
            with parts.box("div", "about"):
                parts.text("h3", one["reason"])
                self._tags = parts.box("p", "tags")
                summary = (one.get("payload") or {}).get("summary")
                self._about = parts.text("p", summary["issue"] if summary else one.get("problem") or "")
            self._buttons = parts.box("div", "actions")
        with self._tags:
            self._urgency = parts.text("span", "", "tag")
            self._team = parts.text("span", "", "tag")
            self._position = parts.text("span", "", "tag")
            self._waits = parts.text("span", "", "soft")

    def update(self, one: dict[str, Any], index: int) -> None:
        """As it stands now; ``index``: its place in the list."""
        urgent = one["urgency"] in _URGENT
        self._urgency.text = one["urgency"]
        self._urgency.classes(replace="tag alarm" if urgent else "tag")
        self._item.classes(replace=f"row {one['urgency']}")
        self._team.text = one["team"] or one["skill"]
        self._position.text = f"place {one['position']}" if one["position"] is not None else ""
        self._position.set_visibility(one["position"] is not None)
        self._waits.text = _waits(one)
        summary = (one.get("payload") or {}).get("summary")
        if summary:
            self._about.text = summary["issue"]
        may = one["status"], one["claimed_by"], one["declined_by"]
        if may != self._drawn:
            self._drawn = may
            self._buttons.clear()
            with self._buttons:
                self._actions(one)
        parts.put_at(self._item, index)

    def delete(self) -> None:
        """It is in this list no more."""
        self._item.delete()


class _LiveRow:
    """One conversation that goes on."""

    def __init__(self, one: dict[str, Any]) -> None:
        self._item = parts.box("li", "row", data_row="1")
        with self._item:
            with parts.box("p", "tags"):
                parts.text("span", one["channel"], "tag strong")
                self._turn = parts.text("span", "", "tag")
                self._person = parts.text("span", "with a person, or on the way", "tag")
                self._since = parts.text("span", "", "soft")
            made = parts.link("Listen in", f"/desk/conversations/{one['id']}", "act")
            made.props["aria-label"] = f"Listen in, {one['channel']}"

    def update(self, one: dict[str, Any], index: int, since: str) -> None:
        """As it stands now."""
        self._turn.text = f"turn {one['turn']}"
        self._person.set_visibility(one["status"] == "handoff")
        self._since.text = f"began {since}"
        parts.put_at(self._item, index)

    def delete(self) -> None:
        """It has ended."""
        self._item.delete()


def _standing(one: dict[str, Any]) -> tuple[str, int]:
    """By team, then by place."""
    return one["team"] or one["skill"], one["position"] or 0


def _waits(one: dict[str, Any]) -> str:
    if one["status"] in ("accepted", "bridged"):
        return words.state(one)
    so_far = f"waits {words.waited(one['waited_s'])}"
    if one["status"] == "offered":
        return f"{so_far}, {words.STATES['offered']}"
    if one["estimate_s"] is not None:
        if one["estimate_s"] < 1:
            return f"{so_far}, somebody could take it now"
        return f"{so_far}, about {words.waited(one['estimate_s'])} to go"
    if one["opens_at"] is not None:
        return f"{so_far}; the team answers again from {one['opens_at'][:16].replace('T', ' ')}"
    return so_far
