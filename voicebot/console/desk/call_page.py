"""One conversation at the desk: what is being said, word by word, and beside it what the agent needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import background_tasks, ui

from voicebot.console.desk import parts, words
from voicebot.console.desk.client import ApiError, DeskApi
from voicebot.console.desk.panels import MakePanel, Seat

PANELS: tuple[MakePanel, ...] = ()
"""What stands beside the transcript, above the payload, in this order. A panel more is a name more."""

_AGAIN_S = 1.0
_GONE = frozenset({403, 404, 410, 422})


class Transcript:
    """The lines of a conversation as they come. Draws into the element that is open when it is made."""

    def __init__(self, api: DeskApi, agent: str, conversation_id: str) -> None:
        self._api = api
        self._agent = agent
        self._conversation = conversation_id
        self._last = 0
        self._going: dict[str, ui.element] = {}
        with parts.box("section", "card", aria_label="transcript"):
            parts.text("h2", "Transcript")
            self._state = parts.text("p", "connecting", "soft")
            self._state.props["role"] = "status"
            self._log = parts.box("div", "log", role="log", aria_live="polite", tabindex="0")

    async def run(self) -> None:
        """Follows the conversation until it has ended or the page is gone."""
        while True:
            try:
                async for entry in self._api.follow(self._agent, self._conversation, self._last):
                    self._state.text = "live"
                    self._add(entry)
                self._state.text = "ended"
                self._settle_all()
                return
            except ApiError as error:
                self._state.text = str(error)
                if error.status in _GONE:
                    return
                await asyncio.sleep(_AGAIN_S)

    def _add(self, entry: dict[str, Any]) -> None:
        if entry["id"] is not None:
            self._last = entry["id"]
        who = str(entry.get("who"))
        if entry["type"] == "partial":
            self._draw(who, entry, going=True)
            return
        if entry["type"] == "line":
            self._draw(who, entry, going=False)
            return
        if entry.get("what") == "overlap":
            return
        with self._log:
            parts.text("p", words.happened(entry), "event")
        self._down()

    def _draw(self, who: str, entry: dict[str, Any], *, going: bool) -> None:
        before = self._going.pop(who, None)
        if before is not None:
            before.delete()
        with self._log:
            said = parts.box("div", f"said {who}{' going' if going else ''}")
            with said:
                parts.text("span", words.said_by(entry), "by")
                parts.text("span", entry["text"])
        if going:
            said.props["aria-hidden"] = "true"  # words that still change are not read out
            self._going[who] = said
        self._down()

    def _settle_all(self) -> None:
        for said in self._going.values():
            said.delete()
        self._going.clear()

    def _down(self) -> None:
        self._log.client.run_javascript(
            f"const log = getHtmlElement({self._log.id});"
            " if (log && log.scrollHeight - log.scrollTop - log.clientHeight < 240)"
            " log.scrollTop = log.scrollHeight"
        )


def follow(transcript: Transcript) -> None:
    """Runs a transcript for as long as its page lives."""
    task = background_tasks.create(transcript.run(), name="desk transcript")

    def end() -> None:
        task.cancel()

    ui.context.client.on_delete(end)


class HandoffPage:
    """One hand-over: transcript, payload, and what can be done with it."""

    def __init__(self, api: DeskApi, agent: str, handoff_id: str, *, supervisor: bool) -> None:
        self._api = api
        self._agent = agent
        self._supervisor = supervisor
        self._path = f"/api/handoffs/{handoff_id}"

    async def show(self) -> None:
        """Draws the page."""
        with parts.box("main", "desk", id="main"):
            try:
                one = await self._api.get(self._agent, self._path)
            except ApiError as error:
                parts.text("h1", "Not to be had")
                parts.text("p", str(error))
                return
            parts.text("h1", one["reason"])
            self._notice = parts.text("p", "", "notice alarm")
            self._notice.props["role"] = "status"
            self._actions = parts.box("div", "actions card")
            self._seat = Seat(one["conversation_id"], supervisor=self._supervisor, handoff=one)
            with parts.box("div", "call"):
                with parts.box("div"):
                    follow(Transcript(self._api, self._agent, one["conversation_id"]))
                with parts.box("div"):
                    for make in PANELS:
                        await make(self._api, self._agent, self._seat).show()
                    self._side = parts.box("div")
        self._draw(one)

    def _draw(self, one: dict[str, Any]) -> None:
        self._actions.clear()
        self._side.clear()
        with self._actions:
            self._draw_actions(one)
        with self._side:
            payload = one.get("payload")
            if payload is None:
                parts.text("p", one.get("problem") or "There is no payload.", "alarm")
                return
            _draw_payload(one, payload)

    def _draw_actions(self, one: dict[str, Any]) -> None:
        mine = one["claimed_by"] == self._agent
        if one["status"] in ("waiting", "offered"):
            parts.button("Accept", self._step("accept"), first=True)
            if self._agent not in one["declined_by"]:
                parts.button("Decline", self._step("decline"))
        elif mine and one["status"] in ("accepted", "bridged"):
            parts.button("Done", self._step("done"), first=True)
            parts.button("Give back", self._step("decline"))
        state = one["status"] if one["claimed_by"] is None else f"{one['status']} by {one['claimed_by']}"
        parts.text("span", state, "tag")
        parts.link("Back to the queue", "/desk")

    def _step(self, step: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            try:
                one = await self._api.post(self._agent, f"{self._path}/{step}")
                self._notice.text = ""
            except ApiError as error:
                self._notice.text = f"Not done: {error}"
                try:
                    one = await self._api.get(self._agent, self._path)
                except ApiError:
                    return
            self._draw(one)
            await self._seat.took_a_step(one)

        return act


class LivePage:
    """A conversation that nobody has been asked for: a supervisor listens in."""

    def __init__(self, api: DeskApi, agent: str, conversation_id: str) -> None:
        self._api = api
        self._agent = agent
        self._conversation = conversation_id

    async def show(self) -> None:
        """Draws the page."""
        with parts.box("main", "desk", id="main"):
            parts.text("h1", "Live conversation")
            parts.link("Back to the queue", "/desk")
            with parts.box("div", "call"):
                with parts.box("div"):
                    follow(Transcript(self._api, self._agent, self._conversation))
                with parts.box("div"):
                    seat = Seat(self._conversation, supervisor=True)
                    for make in PANELS:
                        await make(self._api, self._agent, seat).show()


def _draw_payload(one: dict[str, Any], payload: dict[str, Any]) -> None:
    with parts.box("section", "card", aria_label="next"):
        parts.text("h2", "Next")
        parts.text("p", payload["next_action"])
        parts.text("p", f"Because {words.why_next(payload)}", "soft")
    with parts.box("section", "card", aria_label="summary"):
        parts.text("h2", "Summary")
        parts.facts(words.summary(payload))
        parts.text("p", f"Written by {payload['summary']['written_by']}", "soft")
    with parts.box("section", "card", aria_label="caller"):
        parts.text("h2", "Caller")
        known = payload["identity"]
        pairs = [("Identity", words.identity(payload))]
        pairs += [(name.capitalize(), str(known[name])) for name in ("customer", "reference") if known[name]]
        pairs += [
            (name.replace("_", " ").capitalize(), str(value)) for name, value in payload["form"].items()
        ]
        parts.facts(pairs)
    with parts.box("section", "card", aria_label="why a person"):
        parts.text("h2", "Why a person")
        parts.facts([("Trigger", payload["reason"]), ("Urgency", one["urgency"]), *words.evidence(payload)])
        parts.facts(words.scores(payload))
    if payload["tried"]:
        with parts.box("section", "card", aria_label="tried"):
            parts.text("h2", "Tried")
            with parts.box("ul"):
                for line in payload["tried"]:
                    parts.text("li", line)
    if payload["citations"]:
        with parts.box("section", "card", aria_label="articles"):
            parts.text("h2", "Articles")
            with parts.box("ul"):
                for source in payload["citations"]:
                    parts.text("li", source["title"])
    for promise in one.get("follow_ups") or ():
        with parts.box("section", "card", aria_label="promised"):
            parts.text("h2", "Promised")
            parts.facts([(str(name), str(value)) for name, value in promise.items() if value is not None])
