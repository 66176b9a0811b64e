"""Writing into the customer's chat: a field below the transcript, for who has the hand-over."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from voicebot.console.desk import parts
from voicebot.console.desk.client import ApiError, DeskApi
from voicebot.console.desk.panels import Seat

_LOOK_S = 2.0
_LONGEST = 2000
_HERE = "The customer has it."
_AWAY = "The customer's page is closed: they get it when they come back."
_OVER = frozenset({"ended", "settled", "not_current", "no_chat"})


class ChatPanel:
    """The field, what became of what was sent, and the way back to the bot. Only for chats."""

    def __init__(self, api: DeskApi, agent: str, seat: Seat) -> None:
        self._api = api
        self._agent = agent
        self._seat = seat
        self._sent: int | None = None

    async def show(self) -> None:
        """Draws a place, which fills while the agent has the chat."""
        if self._seat.handoff is None or self._seat.channel != "chat":
            return
        self._path = f"/api/handoffs/{self._seat.handoff['id']}"
        self._place = parts.box("section", "card write", aria_label="write to the customer")
        with self._place:
            self._draw()
        self._seat.on_change(self._again)
        await self._again()
        ui.timer(_LOOK_S, self._look)

    def _draw(self) -> None:
        self._form = parts.box("form", "stack", autocomplete="off", id="write")
        with self._form:
            field = parts.area("text", "Message to the customer", most=_LONGEST)
            field.props["aria-describedby"] = "write-keys"
            field.props["rows"] = "2"
            parts.shortcut(field, "w")
            field.on("keydown", js_handler="(e) => voicebotChat.key(e)")
            field.on("input", self._types, throttle=3.0, trailing_events=False, js_handler="() => emit(true)")
            self._wrong = parts.alert()
            with parts.box("div", "actions"):
                parts.submit("Send")
                parts.button("Hand back to the bot", self._hand_back, key="b")
                hint = parts.text("span", "Enter sends, Shift+Enter begins a line", "soft small")
                hint.props["id"] = "write-keys"
        self._form.on("submit", self._write, js_handler="(e) => voicebotChat.send(e, emit)")
        self._said = parts.text("p", "", "soft small", role="status")

    async def _again(self) -> None:
        self._place.set_visibility(self._seat.held_by(self._agent))

    async def _write(self, event: GenericEventArguments) -> None:
        given: dict[str, Any] = event.args or {}
        text, key = str(given.get("text", "")), str(given.get("key", ""))
        if not text.strip():
            self._done(key)
            return
        try:
            row = await self._api.post(self._agent, f"{self._path}/lines", {"text": text, "key": key})
        except ApiError as error:
            self._said.text = ""
            self._wrong.text = f"Not sent: {error}"
            self._client(f"voicebotChat.refused({_js(key)})")
            return
        self._wrong.text = ""
        self._sent = row["line"]
        self._said.text = "Sent." if row["told_at"] is None else _HERE
        self._done(key)

    def _done(self, key: str) -> None:
        self._client(f"voicebotChat.sent({_js(key)})")

    def _client(self, script: str) -> None:
        self._place.client.run_javascript(script)

    async def _types(self, _: GenericEventArguments) -> None:
        try:
            await self._api.post(self._agent, f"{self._path}/typing")
        except ApiError:
            return  # the customer only does not see it

    async def _hand_back(self) -> None:
        try:
            await self._api.post(self._agent, f"{self._path}/hand-back")
            one = await self._api.get(self._agent, self._path)
        except ApiError as error:
            self._wrong.text = f"Not done: {error}"
            return
        await self._seat.took_a_step(one)

    async def _look(self) -> None:
        """Whether what was sent has reached the customer."""
        if self._sent is None or not self._seat.held_by(self._agent):
            return
        try:
            rows = await self._api.get(self._agent, f"{self._path}/lines")
        except ApiError:
            return  # the line at the bottom says it
        mine = next((row for row in rows if row["line"] == self._sent), None)
        if mine is None:
            return
        here = mine["told_at"] is not None
        self._said.text = _HERE if here else _AWAY
        if here:
            self._sent = None


def _js(text: str) -> str:
    """A text as a literal of JavaScript: keys are letters and digits only."""
    return f'"{"".join(c for c in text if c.isalnum() or c in "-_")}"'
