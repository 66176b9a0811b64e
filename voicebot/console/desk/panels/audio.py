"""The agent's voice: accept and talk in the browser, mute, hang up, hand back; take a live call over."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from nicegui import background_tasks, ui
from nicegui.events import GenericEventArguments

from voicebot.channels.browser.peer import OfferRefused
from voicebot.console.desk import parts
from voicebot.console.desk.client import ApiError, DeskApi
from voicebot.console.desk.panels import Seat
from voicebot.console.desk.talk_line import OVER, State, TalkLine, new_peer

SCRIPT = Path(__file__).with_name("audio.js").read_text(encoding="utf-8")

PROMPT_S = 120.0
"""So long somebody may take to answer the browser's question for the microphone."""

WRONG: dict[str, str] = {
    "insecure": "The browser gives a microphone only to pages reached over HTTPS, or on this machine itself."
    " Open the desk at its https:// address.",
    "NotAllowedError": "The browser was not allowed to use the microphone. Allow it at the lock beside the"
    " address, then try again. Nothing was accepted.",
    "NotFoundError": "No microphone was found. Plug one in, then try again. Nothing was accepted.",
    "NotReadableError": "The microphone is in use by another program, or switched off."
    " Free it, then try again. Nothing was accepted.",
    "no_answer": "The browser did not answer. Reload the page and try again. Nothing was accepted.",
    "connection": "No sound could be exchanged with this browser. A firewall may be in between:"
    " see the page on WebRTC for TURN servers.",
    "microphone_gone": "The microphone went away. Plug it in again and reload the page: the caller is held.",
    "muted_by_browser": "The browser plays no sound before you have clicked on the page: click anywhere.",
}

SAID: dict[State, str] = {
    "coming": "The caller is coming on the line.",
    "talking": "You are speaking with the caller.",
    "away": "The line to the caller was lost; they are being fetched again, and are told so. Stay on.",
    "taken_up": "You went on with this call in another window.",
    "caller_left": "The caller has hung up.",
    "goodbye": "Ended: the caller was told goodbye.",
    "bot": "Ended: the bot has the caller again.",
    "queue": "Ended: the caller is with the bot, and the hand-over waits for somebody.",
    "refused": "This call is not yours any more.",
}
MUTED = "You are muted: the caller does not hear you."

SPOKEN = frozenset({"phone", "browser"})
"""Channels by which one can be spoken with."""

_LIVE = frozenset({"waiting", "offered", "missed", "callback", "accepted", "bridged"})


def wrong_words(name: str) -> str:
    """What went wrong in the browser, for the agent: by the error's name."""
    return WRONG.get(name, f"The microphone cannot be used ({name}). Nothing was accepted.")


class AudioPanel:
    """Talks with the caller of one conversation, from this page."""

    def __init__(self, api: DeskApi, agent: str, seat: Seat) -> None:
        self._api = api
        self._agent = agent
        self._seat = seat
        self._line: TalkLine | None = None
        self._talk: dict[str, Any] | None = None
        self._muted = False
        self._busy = False
        self._drawn: object = None

    async def show(self) -> None:
        """Draws the panel; goes on with a talk that this agent has on the line."""
        one = self._seat.handoff
        if one is None and (not self._seat.supervisor or self._seat.channel == "chat"):
            return
        if one is not None and (one.get("payload") or {}).get("channel") not in SPOKEN:
            return
        ui.run_javascript(SCRIPT)  # also where the page was sent before it was drawn to its end
        ui.on("voicebot-talk", self._browser)
        self._card = parts.card("Speak with the caller", "talk", name="speak with the caller")
        with self._card:
            self._status = parts.text("p", "", "soft", role="status", aria_live="polite")
            self._trouble = parts.alert()
            self._meters = parts.box("div", "meters")
            with self._meters:
                _meter("talk-mic", "Your microphone")
                _meter("talk-caller", "The caller")
            self._buttons = parts.box("div", "actions")
        self._meters.visible = False
        self._seat.on_change(self._changed_handoff)
        client = ui.context.client
        client.on_delete(self._gone)
        await self._known()
        self._draw()
        if self._going_on():
            background_tasks.create(self._with_page(self._speak), name="desk talk again")

    # --- what can be done ------------------------------------------------------------------

    def _draw(self) -> None:
        state = self._line.state if self._line is not None else None
        speaking = state is not None and state not in OVER
        shown = (speaking, self._muted, self._may_take(), self._going_on(), self._busy)
        if shown == self._drawn:
            return
        self._drawn = shown
        self._meters.visible = speaking
        self._buttons.clear()
        with self._buttons:
            if self._busy and not speaking:
                return
            if speaking:
                mute = parts.button("Unmute" if self._muted else "Mute", self._mute, key="m")
                mute.props["aria-pressed"] = "true" if self._muted else "false"
                parts.button(
                    "Hang up", self._ending("goodbye"), key="h", about="after a goodbye to the caller"
                )
                parts.button("Hand back to the bot", self._ending("bot"), key="b")
            elif self._going_on():
                parts.button("Go on with the call", self._speak, first=True, key="v")
            elif self._may_take():
                words = "Accept and talk" if self._seat.handoff is not None else "Take the call over"
                parts.button(words, self._speak, first=True, key="v")

    def _may_take(self) -> bool:
        one = self._seat.handoff
        if one is None:
            return self._seat.supervisor
        mine = one["claimed_by"] == self._agent
        over = self._talk is not None and self._talk["ending"] in {"caller_left", "goodbye"}
        return one["status"] in _LIVE and (mine or one["claimed_by"] is None) and not over

    def _going_on(self) -> bool:
        """There is a talk of this agent's that has not ended, and this page does not carry it."""
        talk = self._talk
        carried = self._line is not None and self._line.state not in OVER
        return talk is not None and talk["state"] != "over" and talk["agent"] == self._agent and not carried

    async def _known(self) -> None:
        one = self._seat.handoff
        if one is None:
            return
        try:
            self._talk = await self._api.get(self._agent, f"/api/handoffs/{one['id']}/talk")
        except ApiError as error:
            self._trouble.text = str(error)

    async def _changed_handoff(self) -> None:
        await self._known()
        self._draw()

    # --- a talk ----------------------------------------------------------------------------

    async def _speak(self) -> None:
        """The microphone first: who cannot speak takes nobody's call."""
        if self._busy:
            return
        self._busy = True
        self._trouble.text = ""
        self._status.text = "Allow the microphone in the browser, if it asks."
        self._draw()
        try:
            await self._begin()
        finally:
            self._busy = False
            self._draw()

    async def _begin(self) -> None:
        servers = json.dumps([one.for_browser() for one in self._api.ice])
        offer = await _asked(f"voicebotTalk.start({servers})", PROMPT_S)
        if offer is None or "wrong" in offer:
            await self._stopped(wrong_words("no_answer" if offer is None else str(offer["wrong"])))
            return
        try:
            talk = self._talk = await self._api.post(self._agent, self._path())
        except ApiError as error:
            await self._stopped(f"Not taken: {error}")
            return
        peer = new_peer(self._api.ice)
        try:
            answer = await peer.answer(str(offer["sdp"]), str(offer["type"]))
        except OfferRefused:
            await self._stopped(WRONG["connection"])
            return
        ui.run_javascript(f"voicebotTalk.answer({json.dumps(answer)})")
        line = self._line = TalkLine(self._api, self._agent, talk["id"], peer, self._changed)
        self._muted = False
        self._say(line.state)
        background_tasks.create(self._with_page(lambda: self._carry(line)), name="desk talk")

    def _path(self) -> str:
        one = self._seat.handoff
        if one is not None:
            return f"/api/handoffs/{one['id']}/talk"
        return f"/api/conversations/{self._seat.conversation_id}/take-over"

    async def _carry(self, line: TalkLine) -> None:
        await line.run()
        if self._line is not line:
            return
        await self._stopped("")
        await self._known()
        if line.state not in OVER:
            self._trouble.text = WRONG["connection"] if line.peer_end == "never_connected" else ""
            self._status.text = "Your line is interrupted; the caller is told to hold."
        self._draw()

    async def _mute(self) -> None:
        self._muted = not self._muted
        ui.run_javascript(f"voicebotTalk.mute({json.dumps(self._muted)})")
        if self._line is not None:
            self._say(self._line.state)
        self._draw()

    def _ending(self, then: str) -> Callable[[], Awaitable[None]]:
        async def end() -> None:
            if self._talk is None or self._line is None:
                return
            try:
                self._talk = await self._api.post(
                    self._agent, f"/api/talks/{self._talk['id']}/end", {"then": then}
                )
            except ApiError as error:
                self._trouble.text = f"Not done: {error}"
                return
            await self._line.look()

        return end

    def _changed(self, state: State) -> None:
        with self._card:
            self._say(state)
            self._draw()

    def _say(self, state: State) -> None:
        self._status.text = MUTED if self._muted and state == "talking" else SAID[state]

    async def _stopped(self, wrong: str) -> None:
        ui.run_javascript("voicebotTalk.stop()")
        if wrong:
            self._trouble.text = wrong
            self._status.text = ""

    def _browser(self, event: GenericEventArguments) -> None:
        """What the page's script tells of the connection."""
        state = str(event.args)
        if state in {"microphone_gone", "muted_by_browser"}:
            self._trouble.text = WRONG[state]
        elif state == "connected":
            self._trouble.text = ""
        elif state == "failed":
            self._trouble.text = WRONG["connection"]

    async def _with_page(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs ``work`` with this page's elements open, for what it draws."""
        with self._card:
            await work()

    def _gone(self) -> None:
        """The page is gone for good: so is what it carried."""
        if self._line is not None:
            self._line.stop()


def _meter(name: str, label: str) -> None:
    with parts.box("label", "meter"):
        parts.text("span", label)
        parts.box("meter", "", id=name, min="0", max="1", value="0")


async def _asked(code: str, within_s: float) -> dict[str, Any] | None:
    """What the page's script answers; None: nothing in time."""
    try:
        answer: Any = await ui.run_javascript(code, timeout=within_s)
    except TimeoutError:
        return None
    return cast("dict[str, Any]", answer) if isinstance(answer, dict) else None
