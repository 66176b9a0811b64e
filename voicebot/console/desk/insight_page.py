"""``/insight``: how well it goes, held against the targets, and the conversations behind each figure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from nicegui import ui
from nicegui.events import EChartPointClickEventArguments

from voicebot.console.desk import insight_chart, insight_words, parts
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.insight_asked import PAGE, SPANS, Asked
from voicebot.console.desk.insight_words import COLUMNS, GROUPS, TOLD, Told
from voicebot.console.desk.trouble import draw_trouble
from voicebot.console.desk.visit import Visit
from voicebot.console.figures import MADE, Name

STYLE = (Path(__file__).parent / "insight.css").read_text(encoding="utf-8")
_BY = {
    "intent": "Intents",
    "category": "Categories",
    "channel": "Channels",
    "segment": "Segments",
    "day": "Days",
}


class InsightPage:
    """The figures of some days. Agents see those of their teams' hand-overs, and no lists."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._asked = Asked.of(ui.context.client.request.query_params)

    async def show(self) -> None:
        """Draws the page."""
        ui.add_css(STYLE)
        asked = self._asked
        with parts.box("main", "desk insight", id="main"):
            try:
                days, rows, topics = await self._get()
            except ApiError as error:
                draw_trouble(self._visit, error, "/api/kpis")
                return
            with parts.box("div", "headline"):
                parts.text("h1", "Insight" if days["teams"] is None else "Your teams")
                _draw_spans(asked, days)
            if days["teams"] is not None:
                parts.text("p", f"What was handed to {', '.join(days['teams'])}.", "soft")
            whole = days["overall"]
            if whole is None:
                parts.text("p", "No conversation that is over began in these days.", "card")
                return
            figures: dict[Name, Any] = whole["figures"]
            if asked.figure not in figures:
                asked = self._asked = Asked(asked.days, asked.first, asked.last, figure="resolution")
            _draw_alarms(asked, figures, days["least"])
            for title, names in GROUPS:
                here: list[Name] = [name for name in names if name in figures]
                if here:
                    _draw_group(title, here, asked, figures, days["least"])
            self._draw_chosen(days, figures[asked.figure])
            if rows is not None:
                _draw_table(asked, rows)
                _draw_topics(topics)

    async def _get(self) -> tuple[dict[str, Any], dict[str, Any] | None, list[dict[str, Any]]]:
        who, span = self._visit.agent.id, self._asked.span()
        get = self._visit.api.get
        if not self._visit.supervisor:
            return await get(who, "/api/kpis", **span), None, []
        days, rows, topics = await asyncio.gather(
            get(who, "/api/kpis", **span),
            get(who, "/api/kpis", by=self._asked.by, **span),
            get(who, "/api/kpis/gaps", **span),
        )
        return days, rows, topics

    def _draw_chosen(self, days: dict[str, Any], figure: dict[str, Any]) -> None:
        asked, name = self._asked, self._asked.figure
        told = TOLD[name]
        with parts.card(told.name, "chosen", name=f"{told.name} by day").props('id="chosen"'):
            with parts.box("p", "sentence"):
                parts.text("strong", insight_words.number(name, figure["value"]))
                meant = insight_words.target(name, figure)
                parts.text(
                    "span",
                    f" of {insight_words.cases(name, figure['of'])}{f', meant is {meant}' if meant else ''}. "
                    f"{told.means}",
                )
            if self._visit.supervisor and figure["of"]:
                _draw_lists(asked, told)
            chart = ui.echart(
                insight_chart.options(name, days["rows"], days["least"]),
                on_point_click=self._to_day if self._visit.supervisor else None,
                renderer="svg",
            ).classes("chart")
            chart.props(f'role="img" aria-label="{insight_chart.label(name, days["rows"])}"')
            few = f"A hollow point: fewer than {days['least']} cases. Bars: how many."
            parts.text("p", f"{few} Days in {days['zone']}.", "soft small")
            with parts.box("details"):
                parts.text("summary", "Every day as a table")
                with parts.box("div", "scrolls", tabindex="0", role="region", aria_label="every day"):
                    _table(
                        ("Day", told.name, "Cases", ""),
                        [
                            (
                                row["key"],
                                insight_words.number(name, row["figures"][name]["value"]),
                                f"{row['figures'][name]['of']:,}",
                                insight_words.mark(row["figures"][name], days["least"]),
                            )
                            for row in days["rows"]
                        ],
                    )

    def _to_day(self, event: EChartPointClickEventArguments) -> None:
        side = "counted" if MADE[self._asked.figure].part else "all"
        ui.navigate.to(self._asked.at("/insight/conversations", by="day", key=str(event.name), side=side))


class CasesPage:
    """``/insight/conversations``: those behind a figure."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._asked = Asked.of(ui.context.client.request.query_params)

    async def show(self) -> None:
        """Draws the page."""
        ui.add_css(STYLE)
        asked, name = self._asked, self._asked.figure
        told = TOLD[name]
        with parts.box("main", "desk insight", id="main"):
            try:
                found = await self._visit.api.get(
                    self._visit.agent.id, "/api/kpis/conversations", **asked.cases()
                )
            except ApiError as error:
                draw_trouble(self._visit, error, "/api/kpis")
                return
            side = {"counted": told.counted, "rest": told.rest, "all": "All"}[asked.side] or "All"
            parts.text("h1", f"{told.name}: {side.lower()}")
            where = "" if asked.key is None else f", {asked.by} {insight_words.key(asked.by, asked.key)}"
            parts.text(
                "p",
                f"{found['total']:,} from {found['first']} to {found['last']}{where}. {told.means}",
                "soft",
            )
            with parts.box("p", "lists"):
                parts.link("Back to the figures", asked.at(), "act")
                if MADE[name].part is not None:
                    _list_links(asked, told, here=asked.side)
            with parts.box("section", "card", aria_label="conversations"):
                if not found["cases"]:
                    parts.text("p", "None.", "soft empty")
                with parts.box("ul", "rows tight"):
                    for one in found["cases"]:
                        _draw_case(name, one, found["zone"])
            self._draw_more(found)

    def _draw_more(self, found: dict[str, Any]) -> None:
        asked, shown = self._asked, len(found["cases"])
        with parts.box("p", "lists"):
            if asked.skip:
                before = asked.at("/insight/conversations", skip=max(0, asked.skip - PAGE))
                parts.link("Those before", before, "act")
            if asked.skip + shown < found["total"]:
                parts.link("More", asked.at("/insight/conversations", skip=asked.skip + shown), "act")


def _draw_spans(asked: Asked, days: dict[str, Any]) -> None:
    with parts.box("div", "spans"):
        with parts.box("nav", "chips", aria_label="span"):
            for n in SPANS:
                one = parts.link(f"{n} days", asked.at(days=n, first=None, last=None), "chip")
                if asked.first is None and asked.days == n:
                    one.props["aria-current"] = "true"
        with parts.box("form", "dates", method="get", action="/insight"):
            for name, label, value in (("from", "From", days["first"]), ("to", "to", days["last"])):
                with parts.box("label"):
                    parts.text("span", label)
                    parts.box("input", type="date", name=name, value=value, required="required")
            parts.box("input", type="hidden", name="figure", value=asked.figure)
            parts.box("input", type="hidden", name="by", value=asked.by)
            parts.submit("Show", first=False)
        if days["teams"] is None:
            export = parts.link("CSV", asked.at("/insight.csv"), "act")
            export.props["download"] = f"insight-{days['first']}-{days['last']}.csv"


def _draw_alarms(asked: Asked, figures: dict[Name, Any], least: int) -> None:
    alarms = [(name, insight_words.alarm(name, figure, least)) for name, figure in figures.items()]
    told = [(name, sentence) for name, sentence in alarms if sentence is not None]
    few = insight_words.unsure(figures, least)
    with parts.card("Alarms", "alarms lead" if told else "alarms"):
        if not told:
            parts.text("p", "Every figure that has a target and enough cases is within it.", "good")
        with parts.box("ul", "plain"):
            for name, sentence in told:
                with parts.box("li"):
                    parts.link(sentence, asked.at(figure=name) + "#chosen", "alarm")
        if few is not None:
            parts.text("p", few, "soft small")


def _draw_group(
    title: str, names: Sequence[Name], asked: Asked, figures: dict[Name, Any], least: int
) -> None:
    with parts.box("section", "group", aria_label=title.lower()):
        parts.text("h2", title)
        with parts.box("ul", "tiles"):
            for name in names:
                with parts.box("li"):
                    _draw_tile(name, figures[name], asked, least)


def _draw_tile(name: Name, figure: dict[str, Any], asked: Asked, least: int) -> None:
    mark = insight_words.mark(figure, least)
    tile = parts.box("a", "tile", href=asked.at(figure=name) + "#chosen")
    if name == asked.figure:
        tile.props["aria-current"] = "true"
    with tile:
        parts.text("span", TOLD[name].name, "name")
        with parts.box("span", "value"):
            parts.text("strong", insight_words.number(name, figure["value"]))
            if mark:
                parts.text("span", mark, "tag alarm" if mark.startswith("too") else "tag off")
        of = insight_words.cases(name, figure["of"])
        meant = insight_words.target(name, figure)
        parts.text("span", of, "of")
        if meant:
            parts.text("span", f"meant: {meant}", "of")
        _draw_meter(name, figure)


def _draw_meter(name: Name, figure: dict[str, Any]) -> None:
    """The value on its scale with the target as a band: for the eye, the words say the same."""
    low, high, value = figure["low"], figure["high"], figure["value"]
    if (low is None and high is None) or value is None:
        return
    least, most = {"rate": (0.0, 1.0), "score": (1.0, 5.0), "s": (0.0, 2 * (high or 1.0))}[MADE[name].unit]
    begin, end = least if low is None else low, most if high is None else high

    def at(point: float) -> float:
        return round(100 * (min(max(point, least), most) - least) / (most - least), 1)

    with parts.box("span", "meter", aria_hidden="true"):
        parts.box("span", "band").style(f"left: {at(begin)}%; width: {at(end) - at(begin)}%")
        parts.box("span", "point").style(f"left: {at(value)}%")


def _draw_lists(asked: Asked, told: Told) -> None:
    with parts.box("p", "lists"):
        parts.text("span", "Conversations:", "soft")
        _list_links(asked, told)


def _list_links(asked: Asked, told: Told, *, here: str = "") -> None:
    path = "/insight/conversations"
    key = {"key": asked.key}
    if MADE[asked.figure].part is None:
        order = "least satisfied" if asked.figure == "csat" else "slowest"
        parts.link(f"All, {order} first", asked.at(path, side="all", skip=0, **key), "act")
        return
    for side, words in (("counted", told.counted), ("rest", told.rest)):
        if side != here:
            parts.link(words, asked.at(path, side=side, skip=0, **key), "act")


def _draw_table(asked: Asked, rows: dict[str, Any]) -> None:
    names: list[Name] = [asked.figure, *(name for name in COLUMNS if name != asked.figure)]
    least = rows["least"]
    with parts.card("By", "by", name="figures compared"):
        with parts.box("nav", "chips", aria_label="what rows are by"):
            for by, title in _BY.items():
                one = parts.link(title, asked.at(by=by) + "#by", "chip")
                if by == asked.by:
                    one.props["aria-current"] = "true"
        unit = "things that were wanted" if asked.by in ("intent", "category") else "conversations"
        parts.text(
            "p",
            f"Counted are {unit}. A name leads to the conversations behind {TOLD[asked.figure].name}.",
            "soft small",
        )
        ordered = (
            rows["rows"]
            if asked.by == "day"
            else sorted(rows["rows"], key=lambda row: (-row["counts"]["wanted"], row["key"]))
        )
        side = "counted" if MADE[asked.figure].part else "all"
        region = parts.box(
            "div", "scrolls", tabindex="0", role="region", aria_label=f"by {asked.by}", id="by"
        )
        with region, parts.box("table"):
            with parts.box("thead"), parts.box("tr"):
                for head in (_BY[asked.by], "Wanted", *(TOLD[name].name for name in names)):
                    parts.text("th", head, scope="col")
            with parts.box("tbody"):
                for row in ordered:
                    with parts.box("tr"):
                        with parts.box("th", scope="row"):
                            to = asked.at("/insight/conversations", key=row["key"], side=side)
                            parts.link(insight_words.key(asked.by, row["key"]), to)
                        parts.text("td", f"{row['counts']['wanted']:,}")
                        for name in names:
                            _cell(name, row["figures"][name], least)


def _cell(name: Name, figure: dict[str, Any], least: int) -> None:
    mark = insight_words.mark(figure, least)
    with parts.box("td", "few" if mark == "few cases" else "off-target" if mark else ""):
        parts.text("span", insight_words.number(name, figure["value"]))
        if mark:
            parts.text("span", f", {mark}", "unseen" if mark == "few cases" else "side")


def _draw_topics(topics: list[dict[str, Any]]) -> None:
    with parts.card("Asked without an answer", name="asked without an answer"):
        parts.text("p", "Words that are nobody's name or number; what to write next.", "soft small")
        if not topics:
            parts.text("p", "Nothing in these days.", "soft empty")
        with parts.box("ul", "rows tight"):
            for one in topics:
                with parts.box("li", "row"):
                    with parts.box("div", "about"):
                        words = ", ".join(one["keywords"]) or "words that may be names"
                        parts.text("h3", words)
                        reasons: list[str] = one["reasons"]
                        why = ", ".join(insight_words.REASONS.get(name, name) for name in reasons)
                        about = one["intent"].replace("_", " ") or "nothing known"
                        parts.text("p", f"about {about}: {why}", "soft small")
                    parts.text("span", f"{one['count']:,} times", "tag strong")


def _draw_case(name: Name, one: dict[str, Any], zone: str) -> None:
    what = one["intent"].replace("_", " ") or "nothing known"
    began = datetime.fromisoformat(one["began_at"]).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
    with parts.box("li", "row", data_row="1"):
        with parts.box("div", "about"):
            parts.text("h3", what)
            with parts.box("p", "tags"):
                if one["value"] is not None:
                    parts.text("span", insight_words.number(name, one["value"]), "tag strong")
                parts.text("span", one["resolution"].replace("_", " "), "tag")
                parts.text("span", insight_words.how(one["disposition"]), "tag")
                parts.text("span", one["channel"], "tag")
                if one["segment"]:
                    parts.text("span", one["segment"], "tag")
                parts.text("span", began, "soft")
        made = parts.link("Open", f"/desk/conversations/{one['conversation_id']}", "act")
        made.props["aria-label"] = f"Open {what}, {began}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with parts.box("table"):
        with parts.box("thead"), parts.box("tr"):
            for one in head:
                parts.text("th", one, scope="col")
        with parts.box("tbody"):
            for row in rows:
                with parts.box("tr"):
                    parts.text("th", row[0], scope="row")
                    for cell in row[1:]:
                        parts.text("td", cell)
