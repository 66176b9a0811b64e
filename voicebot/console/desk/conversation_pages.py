"""Conversations that are over, and one of them whole: turns with what decided them, and what agents noted."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from voicebot.console.desk import parts, past, words
from voicebot.console.desk.call_page import draw_live
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.follow_up_card import FollowUpCard
from voicebot.console.desk.notes import Notes
from voicebot.console.desk.trouble import draw_trouble
from voicebot.console.desk.visit import Visit

_PAGE = 50


class ConversationsPage:
    """``/desk/conversations``: the latest ones, and back from there."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._before: str | None = None

    async def show(self) -> None:
        """Draws the page."""
        with parts.box("main", "desk", id="main"):
            with parts.box("div", "headline"):
                parts.text("h1", "Conversations")
            with parts.box("section", "card", aria_label="conversations"):
                self._rows = parts.box("ul", "rows tight")
                self._more = parts.button("Earlier ones", self._go_on)
            self._notice = parts.text("p", "", "notice", role="status")
        await self._go_on()

    async def _go_on(self) -> None:
        query: dict[str, Any] = {"limit": _PAGE} | ({"before": self._before} if self._before else {})
        try:
            rows = await self._visit.api.get(self._visit.agent.id, "/api/conversations", **query)
        except ApiError as error:
            self._notice.text = str(error)
            return
        self._notice.text = "" if rows or self._before else "There has been none yet."
        self._more.set_visibility(len(rows) == _PAGE)
        if rows:
            self._before = rows[-1]["created_at"]
        with self._rows:
            for one in rows:
                self._draw(one)

    def _draw(self, one: dict[str, Any]) -> None:
        now = self._visit.desk.now()
        with parts.box("li", "row", data_row="1"):
            with parts.box("p", "tags"):
                parts.text("span", one["channel"], "tag strong")
                parts.text("span", f"{one['turn']} turns", "tag")
                over = one["ended_at"] is not None
                state = words.ended(one["end_reason"]) if over else "goes on"
                parts.text("span", state, "tag" if over else "tag good")
                parts.text("span", words.ago(one["created_at"], now), "soft")
            made = parts.link("Open", f"/desk/conversations/{one['id']}", "act")
            made.props["aria-label"] = f"Open {one['channel']}, {state}, {words.ago(one['created_at'], now)}"


class ConversationPage:
    """``/desk/conversations/{id}``: live for who may listen in; once it is over, whole."""

    def __init__(self, visit: Visit, conversation_id: str) -> None:
        self._visit = visit
        self._agent = visit.agent.id
        self._id = conversation_id
        self._path = f"/api/conversations/{conversation_id}"

    async def show(self) -> None:
        """Draws the page."""
        with parts.box("main", "desk", id="main"):
            try:
                detail = await self._visit.api.get(self._agent, self._path)
            except ApiError as error:
                draw_trouble(self._visit, error, self._path)
                return
            if detail["ended_at"] is None:
                await draw_live(self._visit, self._id, detail["channel"])
                return
            outcome = await self._get("/outcome")
            parts.text("h1", f"Conversation by {detail['channel']}")
            with parts.box("div", "call"):
                with parts.box("div"):
                    notes = Notes(self._visit.api, self._agent, self._id)
                    self._draw_story(past.story(detail), notes)
                    await notes.read()
                with parts.box("div"):
                    with parts.card("In short"):
                        parts.facts(past.facts(detail, outcome))
                    await self._draw_handoffs()
                    self._draw_promises(detail["follow_ups"])

    async def _get(self, rest: str) -> Any:
        try:
            return await self._visit.api.get(self._agent, f"{self._path}{rest}")
        except ApiError:
            return None  # of a conversation that has just ended there is no outcome yet

    def _draw_story(self, steps: tuple[past.Step, ...], notes: Notes) -> None:
        with parts.card("Turns", "transcript"), parts.box("div", "story") as log:
            for step in steps:
                if step.happened:
                    parts.text("p", step.happened, "event")
                    continue
                with parts.box("div", "turn"):
                    for line in step.lines:
                        with parts.box("div", f"said {line.who}") as said:
                            by = words.said_by({"who": line.who})
                            parts.text("span", f"{by} ({line.how})" if line.how else by, "by")
                            parts.text("span", line.text, "words")
                        if step.turn is not None:
                            notes.offer(said, step.turn, line.text)
                    if step.turn is not None:
                        _draw_why(step)
        notes.heed(log)

    async def _draw_handoffs(self) -> None:
        try:
            rows = await self._visit.api.get(self._agent, "/api/handoffs", conversation=self._id, brief=True)
        except ApiError:
            return
        for one in rows:
            with parts.card("Hand-over"):
                parts.facts([("Why", one["reason"]), ("State", words.state(one)), ("Team", one["skill"])])
                parts.link("Open", f"/desk/handoffs/{one['id']}", "act")

    def _draw_promises(self, promises: list[dict[str, Any]]) -> None:
        if not promises:
            return

        async def changed(_: str) -> None:
            ui.navigate.reload()

        with parts.card("Promised"), parts.box("ul", "rows"):
            for one in promises:
                FollowUpCard(self._visit, one, changed, link=False).draw()


def _draw_why(step: past.Step) -> None:
    tools = ", ".join(name for name, _ in step.tools)
    about = dict(step.why)
    short = " · ".join(filter(None, (about.get("Intent"), about.get("Action"), tools)))
    with parts.box("details", "why"):
        parts.text("summary", f"Turn {step.turn}: {short}" if short else f"Turn {step.turn}")
        more = (("Reasons", "; ".join(step.reasons)), ("Sources", "; ".join(step.sources)))
        used = tuple((f"Tool {name}", told) for name, told in step.tools)
        parts.facts([*step.why, *used, *(pair for pair in more if pair[1])])
