"""Plots as inline SVG, drawn by hand: no script, nothing loaded, colours from the page's style. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 14, 34

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Series:
    """One line or cloud. ``style``: ``a`` to ``d``, colours of the page."""

    name: str
    points: Points
    style: str
    dots: bool = False


def chart(
    title: str, x_name: str, y_name: str, series: Sequence[Series], *,
    mark: tuple[float, str] | None = None, void: Sequence[float] = (), ticks: Sequence[float] = (),
) -> str:  # fmt: skip
    """A figure with its caption; points without a value are left out.

    ``mark``: a place on the x axis, and what is there. ``void``: places on it whose values are not to be
    believed; drawn pale. ``ticks``: places on it that are named; none: six, evenly.
    """
    found = [(x, y) for one in series for x, y in one.points if y is not None]
    if not found:
        return ""
    xs = [*(x for x, _ in found), *ticks, *([mark[0]] if mark is not None else [])]
    frame = _Frame.around(min(xs), max(xs), max(y for _, y in found))
    parts = [_grid(frame, ticks), *(_drawn(one, frame, frozenset(void)) for one in series)]
    if mark is not None:
        x = frame.x(mark[0])
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        parts.append(_text(x + 4, _TOP + 10, mark[1], "start"))
    parts.append(_text((WIDTH + _LEFT) / 2, HEIGHT - 4, x_name, "middle"))
    key = "".join(f'<span class="key {one.style}">{escape(one.name)}</span>' for one in series)
    return (
        f"<figure><figcaption>{escape(title)} <small>{escape(y_name)}</small> {key}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}</svg></figure>"
    )


@dataclass(frozen=True)
class _Frame:
    first: float
    last: float
    top: float
    step: float

    @classmethod
    def around(cls, first: float, last: float, highest: float) -> _Frame:
        step = nice(highest / 4) if highest > 0 else 0.25
        top = step * math.ceil(max(highest, step) / step)
        return cls(first, last if last > first else first + 1, top, step)

    def x(self, value: float) -> float:
        return _LEFT + (value - self.first) / (self.last - self.first) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - value / self.top * (HEIGHT - _TOP - _BOTTOM)


def nice(raw: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * times for times in (1, 2, 5, 10) if raw <= power * times * (1 + 1e-9))


def _grid(frame: _Frame, ticks: Sequence[float]) -> str:
    parts: list[str] = []
    for n in range(round(frame.top / frame.step) + 1):
        value = n * frame.step
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:g}", "end"))
    few = ticks[:: -(-len(ticks) // 12)] if ticks else ()
    for value in few or [frame.first + (frame.last - frame.first) * n / 5 for n in range(6)]:
        label = f"{value:.0f}" if frame.last - frame.first >= 10 else f"{value:.3g}"
        parts.append(_text(frame.x(value), HEIGHT - _BOTTOM + 15, label, "middle"))
    return "".join(parts)


def _drawn(series: Series, frame: _Frame, void: frozenset[float]) -> str:
    here = [(x, y) for x, y in series.points if y is not None]
    radius = 2 if series.dots else 3
    dots = "".join(
        f'<circle class="{series.style}{" void" if x in void else ""}" cx="{frame.x(x):.1f}" '
        f'cy="{frame.y(y):.1f}" r="{radius}"><title>{escape(series.name)}: {y:g} at {x:g}</title></circle>'
        for x, y in here
    )
    if series.dots or len(here) < 2:
        return dots
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in here)
    return f'<polyline class="{series.style}" points="{path}"/>{dots}'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
