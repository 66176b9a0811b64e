"""One promise to a caller: what was promised, by when, whose it is, and what an agent can do with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from voicebot.console.desk import parts, words
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.visit import Visit

_HEAD = frozenset({"kind", "intent", "owner", "urgency", "due_at"})

Changed = Callable[[str], Awaitable[None]]
"""Awaited after every step, with what went wrong, or an empty text."""


class FollowUpCard:
    """Draws one. ``link``: whether it leads to its conversation."""

    def __init__(self, visit: Visit, one: dict[str, Any], changed: Changed, *, link: bool = True) -> None:
        self._visit = visit
        self._one = one
        self._changed = changed
        self._link = link

    def draw(self) -> None:
        """Into the open element, a list."""
        one, me = self._one, self._visit.agent.id
        mine = one.get("claimed_by") == me
        with parts.box("li", "row", data_row="1"):
            with parts.box("div", "about"):
                parts.text(
                    "h3", f"{words.PROMISES.get(one['kind'], one['kind'])}: {words.plain(one['intent'])}"
                )
                with parts.box("p", "tags"):
                    self._due = parts.text("span", "", "tag")
                    self.tick()
                    parts.text("span", one["owner"], "tag")
                    if one["urgency"] in ("high", "critical"):
                        parts.text("span", one["urgency"], "tag alarm")
                    if one.get("claimed_by"):
                        parts.text("span", "yours" if mine else one["claimed_by"], "tag")
                if one.get("details"):
                    parts.facts(words.pairs({k: v for k, v in one["details"].items() if k not in _HEAD}))
                if one.get("problem"):
                    parts.text("p", one["problem"], "soft")
            with parts.box("div", "actions"):
                self._steps(mine)

    def tick(self) -> None:
        """Time has passed: only what says so changes."""
        one, now = self._one, self._visit.desk.now()
        open_ = one["status"] == "open"
        self._due.text = words.due(one["due_at"], now) if open_ else one["status"]
        late = open_ and words.moment(one["due_at"]) < now
        self._due.classes(replace="tag alarm" if late else "tag")

    def _steps(self, mine: bool) -> None:
        one = self._one
        about = f"{words.PROMISES.get(one['kind'], one['kind'])}, {words.plain(one['intent'])}"
        if one["status"] == "open" and not one.get("claimed_by"):
            parts.button("Take it", self._step("accept"), first=True, about=about)
        if one["status"] == "open" and mine:
            parts.button("Kept", self._step("done"), first=True, about=about)
            parts.button("Give back", self._step("decline"), about=about)
        if self._link:
            made = parts.link("Conversation", f"/desk/conversations/{one['conversation_id']}", "act")
            made.props["aria-label"] = f"Conversation of {about}"

    def _step(self, step: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            path = f"/api/follow-ups/{self._one['id']}/{step}"
            try:
                await self._visit.api.post(self._visit.agent.id, path)
            except ApiError as error:
                await self._changed(f"Not done: {error}")
                return
            await self._changed("")

        return act
