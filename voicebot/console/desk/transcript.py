"""The lines of a conversation as they come, and notes on them."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import background_tasks, ui

from voicebot.console.desk import parts, words
from voicebot.console.desk.client import ApiError, DeskApi
from voicebot.console.desk.notes import Notes

_AGAIN_S = 1.0
_GONE = frozenset({403, 404, 410, 422})
MOST_LINES = 500
"""Lines a page holds; earlier ones are on the conversation's own page."""


class Transcript:
    """The lines of a conversation. Draws into the element that is open when it is made."""

    def __init__(self, api: DeskApi, agent: str, conversation_id: str) -> None:
        self._api = api
        self._agent = agent
        self._conversation = conversation_id
        self._last = 0
        self._going: dict[str, tuple[ui.element, ui.element]] = {}
        self._lines: list[ui.element] = []
        self._notes = Notes(api, agent, conversation_id)
        with parts.box("section", "card transcript", aria_label="transcript"):
            with parts.box("div", "head"):
                parts.text("h2", "Transcript")
                self._state = parts.text("p", "connecting", "state", role="status")
            self._log = parts.box("div", "log", role="log", aria_live="polite", tabindex="0", id="log")
            parts.shortcut(self._log, "t")
        self._notes.heed(self._log)

    async def run(self) -> None:
        """Follows the conversation until it has ended or the page is gone."""
        await self._notes.read()
        while True:
            try:
                async for entry in self._api.follow(self._agent, self._conversation, self._last):
                    self._say("live")
                    self._add(entry)
                self._say("ended")
                self._settle_all()
                return
            except ApiError as error:
                self._say(str(error))
                if error.status in _GONE:
                    return
                await asyncio.sleep(_AGAIN_S)

    def _say(self, state: str) -> None:
        if self._state.text != state:
            self._state.text = state
            self._state.classes(replace=f"state {state if state in ('live', 'ended') else 'lost'}")

    def _add(self, entry: dict[str, Any]) -> None:
        if entry.get("id") is not None:
            self._last = entry["id"]
        who = str(entry.get("who"))
        if entry["type"] == "partial":
            self._partial(who, entry)
        elif entry["type"] == "line":
            self._settle(who)
            self._line(entry)
        elif entry["type"] != "quiet" and entry.get("what") != "overlap":
            with self._log:
                self._lines.append(parts.text("p", words.happened(entry), "event"))
        else:
            return
        while len(self._lines) > MOST_LINES:
            line = self._lines.pop(0)
            self._notes.forget(line)
            line.delete()
        self._down()

    def _partial(self, who: str, entry: dict[str, Any]) -> None:
        if who in self._going:
            self._going[who][1].text = entry["text"]  # pyright: ignore[reportAttributeAccessIssue]
            return
        with self._log:
            said = parts.box("div", f"said {who} going", aria_hidden="true")  # changes: not read out
            with said:
                parts.text("span", words.said_by(entry), "by")
                self._going[who] = said, parts.text("span", entry["text"], "words")

    def _line(self, entry: dict[str, Any]) -> None:
        turn, text = entry.get("turn"), entry["text"]
        pieces: list[parts.Piece] = [("span", words.said_by(entry), "by", {}), ("span", text, "words", {})]
        if turn is not None:
            pieces.append(Notes.button(turn, text))
        with self._log, parts.box("div", f"said {entry.get('who')}") as said:
            parts.spans(*pieces)
        if turn is not None:
            self._notes.stands(said, turn)
        self._lines.append(said)

    def _settle(self, who: str) -> None:
        if who in self._going:
            self._going.pop(who)[0].delete()

    def _settle_all(self) -> None:
        for who in [*self._going]:
            self._settle(who)

    def _down(self) -> None:
        self._log.client.run_javascript("voicebotDesk.down(document.getElementById('log'))")


def follow(transcript: Transcript) -> None:
    """Runs a transcript for as long as its page lives."""
    task = background_tasks.create(transcript.run(), name="desk transcript")

    def end() -> None:
        task.cancel()

    ui.context.client.on_delete(end)
