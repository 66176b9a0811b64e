"""What ``/insight`` shows as a file for a spreadsheet: all together, by day, by what rows are by."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from voicebot.console.desk.client import ApiError
from voicebot.console.desk.insight_asked import Asked

if TYPE_CHECKING:
    from voicebot.console.desk.site import Desk

_COUNTED_AS = ("=", "+", "-", "@", "\t", "\r")
"""With what a spreadsheet begins a formula."""


def add_export(site: FastAPI, desk: Desk) -> None:
    """``/insight.csv``, for supervisors: the view that its address asks for."""

    @site.get("/insight.csv")
    async def export(request: Request) -> Response:
        agent = desk.signed_in(request)
        if agent is None:
            return RedirectResponse("/desk/sign-in?to=/insight")
        asked = Asked.of(request.query_params)
        try:
            days = await desk.api.get(agent.id, "/api/kpis", **asked.span())
            rows = (
                days
                if asked.by == "day"
                else await desk.api.get(agent.id, "/api/kpis", by=asked.by, **asked.span())
            )
        except ApiError as error:
            return PlainTextResponse(f"{error}\n", status_code=error.status or 503)
        name = f"insight-{days['first']}-{days['last']}.csv"
        return Response(
            written(days, rows),
            media_type="text/csv",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )

    _ = export  # used by the site


def written(days: dict[str, Any], rows: dict[str, Any]) -> str:
    """The file. Rates are 0 to 1, times seconds; behind each figure stands of how many cases it is."""
    if days["overall"] is None:
        return "by,key\r\n"
    counts, figures = days["overall"]["counts"], days["overall"]["figures"]
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["by", "key", *counts, *(one for name in figures for one in (name, f"{name}_of"))])
    table.writerow(_row("all", days["overall"]))
    table.writerows(_row("day", row) for row in days["rows"])
    if rows["by"] != "day":
        table.writerows(_row(rows["by"], row) for row in rows["rows"])
    return out.getvalue()


def _row(by: str, row: dict[str, Any]) -> Iterable[Any]:
    key = str(row["key"])
    yield by
    yield f"'{key}" if key.startswith(_COUNTED_AS) else key
    yield from row["counts"].values()
    for figure in row["figures"].values():
        yield figure["value"]
        yield figure["of"]
