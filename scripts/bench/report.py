"""Figures to tables: quantiles, a machine's description, Markdown and JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value below which ``share`` (0..1) of the values lie, interpolated; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def median(values: Sequence[float | None]) -> float | None:
    """The median of those values that exist."""
    there = [v for v in values if v is not None]
    return statistics.median(there) if there else None


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares: by how much y grows with each x."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return statistics.linear_regression(xs, ys).slope


def machine() -> str:
    """The machine without its name: cores, architecture, memory, Python."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    python = platform.python_version()
    return f"{cores} cores {platform.machine()}, {gib:.0f} GiB, Linux, Python {python}, no GPU used"


def today() -> str:
    """The date, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def show(value: float | None, digits: int = 0) -> str:
    """A number for a table, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for a person."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(head):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for docs/benchmarks.md."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def finish(result: dict[str, Any], *, as_json: bool, out: Path | None) -> None:
    """Prints and keeps a bench's result, with machine and date."""
    document = {"machine": machine(), "date": today(), **result}
    text = json.dumps(document, indent=2)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
    if as_json:
        print(text)
