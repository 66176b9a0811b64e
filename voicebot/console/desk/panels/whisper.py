"""Telling the bot something in mid-conversation: what to say, to know, to offer, to leave alone."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from voicebot.console.desk import parts
from voicebot.console.desk.client import ApiError, DeskApi
from voicebot.console.desk.panels import Seat

_EVERY_S = 2.0
_KINDS = (
    ("say", "Say this next"),
    ("fact", "Add a fact"),
    ("steer", "Offer a topic"),
    ("avoid", "Leave a topic"),
    ("hand_over", "Get me the caller"),
)
_HELP = {
    "say": "The caller hears exactly these words, at the next fitting moment, as a colleague's.",
    "fact": "Goes with the next answer about the topic; without a topic, with the next of all.",
    "steer": "The bot offers the topic; the caller decides.",
    "avoid": "Whoever asks for it from now on goes to a person.",
    "hand_over": "The caller goes to a person now.",
}
_STATUS = {"waiting": "on its way", "taken": "the bot has it", "dropped": "came too late"}


class WhisperPanel:
    """A form and what became of earlier whispers; only while the bot has the conversation."""

    def __init__(self, api: DeskApi, agent: str, seat: Seat) -> None:
        self._api = api
        self._agent = agent
        self._seat = seat
        self._path = f"/api/conversations/{seat.conversation_id}"
        self._drawn: object = None

    async def show(self) -> None:
        """Draws the panel for who may whisper, or a place for it until the bot has the caller (again)."""
        self._place = parts.box("div")
        self._seat.on_change(self._again)
        await self._again()

    async def _again(self) -> None:
        leads = self._seat.handoff is None or self._seat.handoff["status"] == "done"
        self._place.set_visibility(leads)
        if not leads or self._drawn is not None:
            return
        try:
            if (await self._api.get(self._agent, self._path))["status"] != "live":
                return  # it is over, or a person has it
            given = await self._api.get(self._agent, f"{self._path}/whispers")
            topics = await self._api.get(self._agent, "/api/whisper-topics")
        except ApiError:
            return  # not theirs to whisper into
        with self._place:
            self._draw_form(topics)
            self._draw(given)
            ui.timer(_EVERY_S, self._look)

    def _draw_form(self, topics: list[dict[str, Any]]) -> None:
        with parts.card("Tell the bot", name="tell the bot"):
            with parts.form(self._whisper, "stack"):
                parts.choice("what", "What?", _KINDS, "say")
                for kind, words in _HELP.items():
                    parts.text("p", words, f"soft small when-{kind}")
                with parts.box("div", "for-words"):
                    parts.area("text", "Words", most=600)
                with parts.box("div", "for-topic"), parts.box("label", "field"):
                    parts.text("span", "Topic")
                    with parts.box("select", "", name="intent"):
                        parts.text("option", "no topic", "", value="")
                        for one in topics:
                            parts.text("option", one["means"], "", value=one["intent"])
                self._wrong = parts.alert()
                parts.submit("Tell the bot")
            self._said = parts.text("p", "", "well", role="status")
            self._given = parts.box("ul", "rows tight")

    async def _look(self) -> None:
        try:
            self._draw(await self._api.get(self._agent, f"{self._path}/whispers"))
        except ApiError:
            return  # the line at the bottom says it

    async def _whisper(self, filled: parts.Filled) -> None:
        what = filled.get("what", "say")
        body: dict[str, Any] = {"what": what}
        if what in ("say", "fact") and filled.get("text"):
            body["text"] = filled["text"]
        if what in ("fact", "steer", "avoid") and filled.get("intent"):
            body["intent"] = filled["intent"]
        try:
            given = await self._api.post(self._agent, f"{self._path}/whisper", body)
        except ApiError as error:
            self._said.text = ""
            self._wrong.text = f"Not told: {error}"
            return
        self._wrong.text = ""
        self._said.text = f"Told: {dict(_KINDS)[what].lower()}."
        self._draw(given)

    def _draw(self, given: list[dict[str, Any]]) -> None:
        drawn = [(one["id"], one["status"]) for one in given]
        if drawn == self._drawn:
            return  # a screen reader is not to lose its place
        self._drawn = drawn
        self._given.clear()
        with self._given:
            for one in given:
                with parts.box("li", "row"):
                    with parts.box("div", "about"):
                        with parts.box("p", "tags"):
                            parts.text("span", dict(_KINDS)[one["kind"]], "tag")
                            if one["intent"]:
                                parts.text("span", one["intent"].replace("_", " "), "tag")
                            parts.text("span", one["who"], "soft small")
                        if one["text"]:
                            parts.text("p", one["text"])
                    parts.text("span", _STATUS[one["status"]], "tag")
