"""Notes on turns, taken from the line itself: a button at each line, one dialog for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from voicebot.console.desk import parts, words
from voicebot.console.desk.client import ApiError, DeskApi

_LONGEST_QUOTE = 160


class Notes:
    """The notes of one conversation on one page. ``told`` of all whenever they were read or changed."""

    def __init__(
        self,
        api: DeskApi,
        agent: str,
        conversation_id: str,
        told: Callable[[list[dict[str, Any]]], None] = lambda rows: None,
    ) -> None:
        self._told = told
        self._api = api
        self._agent = agent
        self._path = f"/api/conversations/{conversation_id}/notes"
        self._known: dict[int, list[dict[str, Any]]] = {}
        self._last_of: dict[int, ui.element] = {}
        self._turns: dict[int, int] = {}  # of each line that stands, by its element's number
        self._marks: dict[int, ui.element] = {}
        self._turn: int | None = None
        with parts.box("dialog", "ask", aria_label="note on a turn", id="note") as self._dialog:
            parts.text("h2", "Note on this turn")
            self._quote = parts.text("blockquote", "", "soft")
            with parts.form(self._send, "stack"):
                parts.choice("note", "What about it?", words.NOTES)
                parts.area("text", "In your words; of a wrong answer or intent: what would have been right")
                self._wrong = parts.alert()
                with parts.box("div", "actions"):
                    parts.submit("Save")
                    cancel = parts.text("button", "Cancel", "act", type="button")
                    cancel.on("click", js_handler="() => voicebotDesk.noNote()")

    def heed(self, log: ui.element) -> None:
        """Opens the dialog for the line whose button was pressed within ``log``."""
        log.on(
            "click",
            self._ask,
            js_handler="(e) => { const b = e.target.closest('[data-turn]');"
            " if (b) emit([Number(b.dataset.turn),"
            " b.closest('.said').querySelector('.words').textContent]) }",
        )

    async def read(self) -> None:
        """Reads what was noted before; where that cannot be read, nothing is shown."""
        try:
            rows = await self._api.get(self._agent, self._path)
        except ApiError:
            return
        self._learn(rows)

    def offer(self, line: ui.element, turn: int, text: str) -> None:
        """Draws the button of a line into it, and what is noted on its turn if it is the turn's last one."""
        with line:
            parts.spans(self.button(turn, text))
        self.stands(line, turn)

    @staticmethod
    def button(turn: int, text: str) -> parts.Piece:
        """The button of a line."""
        attributes = {"type": "button", "data-turn": str(turn), "aria-label": f"Note on: {text[:60]}"}
        return "button", "Note", "note", attributes | parts.pressed_by("n")

    def stands(self, line: ui.element, turn: int) -> None:
        """A line with its button is there: what is noted on its turn is drawn if it is the turn's last."""
        self._last_of[turn] = line
        self._turns[line.id] = turn
        self._mark(turn)

    def forget(self, line: ui.element) -> None:
        """A line leaves the page."""
        turn = self._turns.pop(line.id, None)
        if turn is not None and self._last_of.get(turn) is line:
            del self._last_of[turn]
            self._marks.pop(turn, None)

    def _ask(self, event: GenericEventArguments) -> None:
        turn, quote = event.args
        self._turn = int(turn)
        self._quote.text = str(quote)[:_LONGEST_QUOTE]
        self._wrong.text = ""
        self._dialog.client.run_javascript(f"voicebotDesk.note({self._turn})")

    async def _send(self, given: parts.Filled) -> None:
        if self._turn is None:
            return
        body: dict[str, Any] = {"turn": self._turn, "note": given.get("note", "")}
        if given.get("text"):
            body["text"] = given["text"]
        try:
            rows = await self._api.post(self._agent, self._path, body)
        except ApiError as error:
            self._wrong.text = f"Not saved: {error}"
            return
        self._learn(rows)
        self._dialog.client.run_javascript("voicebotDesk.noNote()")

    def _learn(self, rows: list[dict[str, Any]]) -> None:
        self._known = {}
        for row in rows:
            if row["kind"] == "note" and row["turn"] is not None:
                self._known.setdefault(row["turn"], []).append(row)
        for turn in self._last_of:
            self._mark(turn)
        self._told(rows)

    def _mark(self, turn: int) -> None:
        before = self._marks.pop(turn, None)
        if before is not None and not before.is_deleted:
            before.delete()
        if turn not in self._known or self._last_of[turn].is_deleted:
            return
        with self._last_of[turn], parts.box("div", "noted") as place:
            for row in self._known[turn]:
                said = f"{words.note(row['value'])} ({row['who']})"
                parts.text("span", f"{said}: {row['text']}" if row["text"] else said, "tag")
        self._marks[turn] = place
