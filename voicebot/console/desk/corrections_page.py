"""``/desk/corrections``: what agents' verdicts, notes and edits propose, reviewed by somebody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from voicebot.console.desk import changes, parts, words
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.trouble import draw_trouble
from voicebot.console.desk.visit import Visit

KINDS: dict[str, str] = {
    "golden_case": "Golden conversation",
    "article_change": "Change of an article",
    "training_row": "Training row",
}
_PLACES = {
    "golden_case": "business/golden/",
    "article_change": "business/knowledge/",
    "training_row": "business/intents.yaml",
}
_STATUSES = (("proposed", "To be reviewed"), ("accepted", "Accepted"), ("rejected", "Rejected"))


class CorrectionsPage:
    """The list, by what became of them."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    async def show(self) -> None:
        """Draws the page."""
        with parts.box("main", "desk", id="main"):
            with parts.box("div", "headline"):
                parts.text("h1", "Corrections")
            soft = "Nothing here is put to use by itself: an accepted one is put in its place by a person."
            parts.text("p", soft, "soft")
            for status, title in _STATUSES:
                try:
                    rows = await self._visit.api.get(
                        self._visit.agent.id, "/api/corrections", status=status, limit=200
                    )
                except ApiError as error:
                    draw_trouble(self._visit, error, "/api/corrections")
                    return
                self._draw(title, rows)

    def _draw(self, title: str, rows: list[dict[str, Any]]) -> None:
        with parts.card(f"{title} ({len(rows)})", name=title.lower()):
            if not rows:
                parts.text("p", "None.", "soft empty")
            with parts.box("ul", "rows tight"):
                for one in rows:
                    self._row(one)

    def _row(self, one: dict[str, Any]) -> None:
        kind = KINDS.get(one["kind"], "Correction")
        with parts.box("li", "row", data_row="1"):
            with parts.box("p", "tags"):
                parts.text("span", kind, "tag strong")
                parts.text("span", f"proposed by {one['proposed_by']}", "tag")
                if one["decided_by"]:
                    parts.text("span", f"{one['status']} by {one['decided_by']}", "tag")
                parts.text("span", words.ago(one["created_at"], self._visit.desk.now()), "soft")
            made = parts.link("Review" if one["status"] == "proposed" else "Open", _path(one), "act")
            made.props["aria-label"] = f"Review {kind} proposed by {one['proposed_by']}"


class CorrectionPage:
    """One with its document, what it changes, and the decision."""

    def __init__(self, visit: Visit, correction_id: str) -> None:
        self._visit = visit
        self._path = f"/api/corrections/{correction_id}"

    async def show(self) -> None:
        """Draws the page."""
        with parts.box("main", "desk", id="main"):
            try:
                one = await self._visit.api.get(self._visit.agent.id, self._path)
            except ApiError as error:
                draw_trouble(self._visit, error, self._path)
                return
            with parts.box("div", "headline"):
                with parts.box("div"):
                    parts.text("h1", KINDS.get(one["kind"], "Correction"))
                    self._tags = parts.box("p", "tags")
                self._actions = parts.box("div", "actions")
            self._notice = parts.text("p", "", "notice", role="status")
            self._draw_content(one)
        self._draw(one)

    def _draw(self, one: dict[str, Any]) -> None:
        self._tags.clear()
        self._actions.clear()
        with self._tags:
            parts.text("span", one["status"], "tag strong")
            parts.text("span", f"proposed by {one['proposed_by']}", "tag")
            if one["decided_by"]:
                parts.text("span", f"decided by {one['decided_by']}", "tag")
        with self._actions:
            if one["status"] == "proposed" and one["proposed_by"] != self._visit.agent.id:
                parts.button("Accept", self._decide("accept"), first=True, key="a")
                parts.button("Reject", self._decide("reject"), key="x")
            elif one["status"] == "proposed":
                parts.text("span", "You proposed this: somebody else reviews it.", "soft")
            parts.link("Conversation", f"/desk/conversations/{one['conversation_id']}", "act")

    def _draw_content(self, one: dict[str, Any]) -> None:
        stands = {after for _, _, after in changes.proposed(one["kind"], one["document"])}
        if one["why"] and one["why"] not in stands:
            with parts.card("Why"):
                parts.text("p", one["why"], "big")
        for name, before, after in changes.proposed(one["kind"], one["document"]):
            with parts.card(name, name="change"):
                if said := changes.asked(one["document"]):
                    parts.text("p", f"The caller: {said}", "soft")
                with parts.box("p", "diff"):
                    for piece in changes.difference(before, after):
                        tag = {"gone": "del", "new": "ins"}.get(piece.kind, "span")
                        parts.text(tag, f"{piece.text} ")
        place = _PLACES.get(one["kind"], "")
        with parts.card("Document"):
            parts.text("p", f"What would be added in {place}", "soft")
            parts.text("pre", one["document"], "document", tabindex="0")

    def _decide(self, step: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            try:
                one = await self._visit.api.post(self._visit.agent.id, f"{self._path}/{step}")
            except ApiError as error:
                self._notice.text = f"Not done: {error}"
                return
            said = "Accepted: put the document in its place." if step == "accept" else "Rejected."
            self._notice.text = said
            self._draw(one)
            ui.run_javascript("document.querySelector('#main .headline a')?.focus()")

        return act


def _path(one: dict[str, Any]) -> str:
    return f"/desk/corrections/{one['id']}"
