"""What is suggested while a person speaks with the caller: read, copied or set aside; nothing sends it."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import background_tasks, ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

from voicebot.console.desk import parts
from voicebot.console.desk.client import ApiError, DeskApi
from voicebot.console.desk.panels import Seat

_AGAIN_S = 2.0
_GONE = frozenset({401, 403, 404, 410})
_KINDS = {"warning": "Careful", "action": "Next", "reply": "You could say", "article": "Article"}
_COPY = (
    "(e) => { const text = e.currentTarget.dataset.text;"
    " (navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject())"
    ".then(() => emit(true), () => emit(false)) }"
)
"""In the browser, which copies only while something is being pressed."""


class AssistPanel:
    """Suggestions for who has the hand-over, and for supervisors. One per open page."""

    def __init__(self, api: DeskApi, agent: str, seat: Seat) -> None:
        self._api = api
        self._agent = agent
        self._seat = seat
        self._path = f"/api/conversations/{seat.conversation_id}/assist"
        self._shown: dict[str, _Item] = {}
        self._following: asyncio.Task[None] | None = None

    async def show(self) -> None:
        """Draws a place, which fills when there is something to suggest."""
        if self._seat.handoff is None:
            return
        self._card = parts.card("Suggestions", "assist")
        with self._card:
            self._topic = parts.text("p", "", "soft small")
            self._news = parts.text("p", "", "unseen", role="status", aria_live="polite")
            self._list = parts.box("ul", "rows tight")
            self._empty = parts.text("p", "Nothing yet: they come while you speak.", "soft empty")
            self._wrong = parts.alert()
        self._card.set_visibility(False)
        self._seat.on_change(self._again)
        ui.context.client.on_delete(self._end)
        await self._again()

    async def _again(self) -> None:
        """The hand-over took a step. Who may see suggestions the API says: also who answers its phone."""
        one = self._seat.handoff
        self._end()
        if one is not None and one["status"] in ("accepted", "bridged"):
            self._following = background_tasks.create(self._run(), name="desk suggestions")
        else:
            self._hide()

    def _hide(self) -> None:
        self._card.set_visibility(False)
        self._draw({"topic": None, "suggestions": []})

    def _end(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._following = None

    async def _run(self) -> None:
        while True:
            try:
                async for board in self._api.events(self._agent, f"{self._path}/stream"):
                    self._wrong.text = ""
                    self._card.set_visibility(True)
                    self._draw(board)
                return
            except ApiError as error:
                if error.status in _GONE:
                    self._hide()
                    return
                self._wrong.text = str(error)
                await asyncio.sleep(_AGAIN_S)

    def _draw(self, board: dict[str, Any]) -> None:
        """Only what changed: who is in the middle of the list keeps their place."""
        given = {one["id"]: one for one in board["suggestions"]}
        for gone in [one for one in self._shown if one not in given]:
            self._shown.pop(gone).row.delete()
        fresh: list[dict[str, Any]] = []
        first_reply = next((one["id"] for one in given.values() if one["kind"] == "reply"), None)
        for at, one in enumerate(given.values()):
            item = self._shown.get(one["id"])
            if item is None:
                with self._list:
                    item = self._shown[one["id"]] = _Item(self, one, first=one["id"] == first_reply)
                fresh.append(one)
            else:
                item.update(one)
            if self._list.default_slot.children.index(item.row) != at:
                item.row.move(self._list, target_index=at)
        self._topic.text = f"About {board['topic']}" if board["topic"] else ""
        self._empty.set_visibility(not given)
        if fresh:
            self._news.text = announced(fresh)

    async def mark(self, suggestion: str, mark: str, should_say: str = "") -> bool:
        """Says what it was worth; whether that was taken."""
        body = {"mark": mark} | ({"should_say": should_say} if should_say else {})
        try:
            board = await self._api.post(self._agent, f"{self._path}/{suggestion}", body)
        except ApiError as error:
            self._wrong.text = f"Not saved: {error}"
            return False
        self._wrong.text = ""
        self._draw(board)
        return True

    async def book(self, suggestion: str) -> str | None:
        """Puts a promise down; by when it is due, None if it was not taken."""
        try:
            booked = await self._api.post(self._agent, f"{self._path}/{suggestion}/book")
        except ApiError as error:
            self._wrong.text = f"Not put down: {error}"
            return None
        self._wrong.text = ""
        return str(booked["due_at"])[:16].replace("T", " ")

    def tell(self, words: str) -> None:
        """For a screen reader, and for who looks."""
        self._news.text = words


class _Item:
    """One suggestion in the list. Draws into the element that is open when it is made."""

    def __init__(self, panel: AssistPanel, one: dict[str, Any], *, first: bool) -> None:
        self._panel = panel
        self._id = str(one["id"])
        self._copy: TextElement | None = None
        kind = one["kind"]
        self.row = parts.box("li", f"row suggested {kind}")
        with self.row:
            with parts.box("div", "about"):
                with parts.box("p", "tags"):
                    parts.text("span", _KINDS[kind], "tag alarm" if kind == "warning" else "tag")
                    if one["stale"]:
                        parts.text("span", "review overdue", "tag off")
                    self._state = parts.text("span", "", "tag good")
                self._words(one)
                parts.text("p", one["why"], "soft small")
            with parts.box("div", "actions"):
                self._buttons(one, first=first)
        self.update(one)

    def _words(self, one: dict[str, Any]) -> None:
        if one["kind"] != "article":
            self._text = parts.text("p", one["text"], "big" if one["kind"] == "reply" else "")
            return
        with parts.box("details"):
            parts.text("summary", one["title"])
            self._text = parts.text("p", one["text"])

    def _buttons(self, one: dict[str, Any], *, first: bool) -> None:
        kind, about = one["kind"], one["title"] or one["text"][:60]
        if kind == "reply":
            self._copy = parts.text("button", "Copy", "act", type="button", aria_label="Copy the reply")
            self._copy.props["data-text"] = one["text"]
            if first:
                parts.shortcut(self._copy, "c")
            self._copy.on("click", self._copied, js_handler=_COPY)
        elif one["books"]:
            parts.button("Put it down", self._book, about=about)
        elif kind != "warning":
            parts.button("Done" if kind == "action" else "It helps", self._used, about=about)
        if kind in ("warning", "action"):
            parts.button("Not useful", self._not_useful, about=about)
            return
        with parts.box("details", "wrong"):
            parts.text("summary", "Not useful")
            with parts.form(self._rejected, "stack"):
                parts.area("should_say", "What would be right? It goes to review. May stay empty.")
                parts.submit("Take it away", first=False)

    def update(self, one: dict[str, Any]) -> None:
        """What may change of a suggestion that stays: its words, once a model wrote them, and its mark."""
        if self._text.text != one["text"]:
            self._text.text = one["text"]
            if self._copy is not None:
                self._copy.props["data-text"] = one["text"]
                self._copy.update()
        if one["mark"] == "used" and not self._state.text:
            self._state.text = "used"
        self._state.set_visibility(bool(self._state.text))

    async def _copied(self, event: GenericEventArguments) -> None:
        if event.args is not True:
            self._panel.tell("The browser does not let this page copy: copy the words by hand.")
            return
        self._panel.tell("Copied.")
        await self._used()

    async def _used(self) -> None:
        await self._panel.mark(self._id, "used")

    async def _not_useful(self) -> None:
        await self._panel.mark(self._id, "not_useful")

    async def _rejected(self, given: parts.Filled) -> None:
        await self._panel.mark(self._id, "not_useful", given.get("should_say", ""))

    async def _book(self) -> None:
        due = await self._panel.book(self._id)
        if due is not None:
            self._state.text = f"yours, due {due} UTC"
            self._state.set_visibility(True)
            self._panel.tell(f"Put down, due {due} UTC.")


def announced(fresh: list[dict[str, Any]]) -> str:
    """What a screen reader is told of new suggestions: warnings and replies in full, of the rest how many."""
    said = [f"{_KINDS[one['kind']]}: {one['text']}" for one in fresh if one["kind"] in ("warning", "reply")]
    others = len(fresh) - len(said)
    if others:
        said.append("One more suggestion." if others == 1 else f"{others} more suggestions.")
    return " ".join(said)
