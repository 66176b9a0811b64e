"""``/recordings``: calls that are over, and those that are worth listening to, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from nicegui import ui

from voicebot.console.desk import parts, words
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.look import PLAYER_STYLE
from voicebot.console.desk.recordings_asked import PAGE, Asked
from voicebot.console.desk.trouble import draw_trouble
from voicebot.console.desk.visit import Visit
from voicebot.console.player.worth import REASONS, WORDS

RESOLUTIONS = ("resolved", "unresolved", "abandoned", "handed_over", "unknown")
_KEPT = {"gone": "no recording on this machine", "erased": "erased"}


class RecordingsPage:
    """The list."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._agent = visit.agent.id
        self._asked = Asked.of(ui.context.client.request.query_params)

    async def show(self) -> None:
        """Draws the page."""
        ui.add_css(PLAYER_STYLE)
        asked = self._asked
        with parts.box("main", "desk recordings", id="main"):
            try:
                rows = await self._visit.api.get(self._agent, "/api/recordings", **asked.query())
                known = await self._visit.api.get(self._agent, "/api/recordings/choices")
                review = await self._review()
            except ApiError as error:
                draw_trouble(self._visit, error, "/api/recordings")
                return
            with parts.box("div", "headline"):
                parts.text("h1", "Recordings")
                if self._visit.supervisor:
                    _views(asked)
            if review is not None:
                _remind(review, asked, self._visit.desk.now())
            _filters(asked, known)
            name = "worth listening to" if asked.worth else "calls"
            with parts.box("section", "card", aria_label=name):
                if not rows:
                    parts.text("p", _nothing(asked), "soft empty")
                with parts.box("ul", "rows tight"):
                    for one in rows:
                        self._row(one)
            _further(asked, rows)

    async def _review(self) -> dict[str, Any] | None:
        if not self._visit.supervisor:
            return None
        return await self._visit.api.get(self._agent, "/api/recordings/review")

    def _row(self, one: dict[str, Any]) -> None:
        now = self._visit.desk.now()
        began = words.ago(one["created_at"], now)
        about = words.plain(one["intent"] or "").capitalize() or "Nothing in particular"
        with parts.box("li", "row", data_row="1"):
            with parts.box("div", "about"):
                with parts.box("p", "tags"):
                    parts.text("span", about, "tag strong")
                    for text, kind in _tags(one):
                        parts.text("span", text, f"tag {kind}".strip())
                    parts.text("span", f"{one['channel']}, {began}", "soft")
                for reason in _reasons(one):
                    parts.text("p", reason, "why-listen")
            if one["kept"] == "here":
                made = parts.link("Listen", f"/recordings/{one['id']}", "act")
                made.props["aria-label"] = f"Listen: {about}, {began}"
            else:
                parts.text("span", _KEPT[one["kept"]], "tag off")


def _views(asked: Asked) -> None:
    with parts.box("nav", "chips", aria_label="views"):
        for text, worth in (("All calls", False), ("Worth listening to", True)):
            one = parts.link(text, asked.to(worth=worth), "chip")
            if asked.worth == worth:
                one.props["aria-current"] = "true"


def _remind(review: dict[str, Any], asked: Asked, now: datetime) -> None:
    """What a week without anybody listening leaves, and articles that nobody has looked at again."""
    lines = words.reviews_due(review, now)
    if not lines:
        return
    with parts.box("section", "card remind", role="status", aria_label="reviews that are overdue"):
        for line in lines:
            parts.text("p", line)
        if review["overdue"] and not asked.worth:
            parts.link("Look through them", asked.to(worth=True), "act")


def _filters(asked: Asked, known: dict[str, list[str]]) -> None:
    with parts.box("form", "card filters", method="get", action="/recordings", aria_label="filters"):
        if asked.worth:
            parts.box("input", type="hidden", name="worth", value="1")
        _select("intent", "Intent", known["intents"], asked.intent)
        _select("trigger", "Trigger", known["triggers"], asked.trigger)
        _select("resolution", "Resolution", RESOLUTIONS, asked.resolution)
        _select("channel", "Channel", ("phone", "browser"), asked.channel)
        with parts.box("label", "field"):
            parts.text("span", "Waited over, s")
            value = "" if asked.over_s is None else f"{asked.over_s:g}"
            parts.box("input", type="number", name="over_s", min="0", max="600", step="0.1", value=value)
        with parts.box("label", "field"):
            parts.text("span", "Day")
            value = "" if asked.day is None else asked.day.isoformat()
            parts.box("input", type="date", name="day", value=value)
        with parts.box("label", "tick"):
            box = parts.box("input", type="checkbox", name="marked", value="1")
            if asked.marked:
                box.props["checked"] = True
            parts.text("span", "Marked")
        with parts.box("div", "actions"):
            parts.submit("Show")
            if asked.filtered:
                parts.link("All", Asked(worth=asked.worth).to(), "act")


def _select(name: str, label: str, values: Iterable[str], chosen: str) -> None:
    with parts.box("label", "field"):
        parts.text("span", label)
        with parts.box("select", name=name):
            parts.text("option", "any", value="")
            for value in dict.fromkeys((*values, *filter(None, [chosen]))):
                one = parts.text("option", words.plain(value), value=value)
                if value == chosen:
                    one.props["selected"] = True


def _tags(one: dict[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if one["resolution"]:
        found.append((words.plain(one["resolution"]), "good" if one["resolution"] == "resolved" else ""))
    if one["trigger"]:
        found.append((f"to a person: {words.plain(one['trigger'])}", ""))
    if one["longest_wait_ms"] is not None:
        found.append((f"waited {one['longest_wait_ms'] / 1000:.1f} s at most", ""))
    if one["csat"] is not None:
        found.append((f"rated {one['csat']} of 5", ""))
    if one["marks"]:
        found.append(("1 mark" if one["marks"] == 1 else f"{one['marks']} marks", "strong"))
    return found


def _reasons(one: dict[str, Any]) -> list[str]:
    return [WORDS[reason] for reason in REASONS if reason in one["reasons"]]


def _nothing(asked: Asked) -> str:
    if asked.filtered:
        return "No call that is over fits."
    return "Nothing stands out." if asked.worth else "No call is over yet."


def _further(asked: Asked, rows: list[dict[str, Any]]) -> None:
    if len(rows) < PAGE and not asked.skip and not asked.before:
        return
    with parts.box("p", "actions"):
        if asked.skip or asked.before:
            parts.link("From the first", asked.to(), "act")
        if len(rows) == PAGE:
            last = rows[-1]
            to = (
                asked.to(skip=asked.skip + PAGE)
                if asked.worth
                else asked.to(before=f"{last['created_at']},{last['id']}")
            )
            parts.link("Earlier ones" if not asked.worth else "Further ones", to, "act")
