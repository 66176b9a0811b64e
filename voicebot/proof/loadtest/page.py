"""A run's report as one HTML page that loads nothing: plots, the steps in a table, whether to believe it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from . import knee
from .figures import Spread, StepFigures
from .plots import Series, chart
from .report import LoadReport

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2227; --soft: #5c6670; --paper: #fdfdfc; --line: #d8dce0;
  --a: #1f6feb; --b: #b35900; --c: #b3261e; --d: #2e7d32; --warn: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --soft: #9aa4ae; --paper: #15181b;
  --line: #343a40; --a: #6ea8fe; --b: #f0a35e; --c: #ff8a80; --d: #81c784; --warn: #3a2f14; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
small, .soft { color: var(--soft); } .warn { background: var(--warn); padding: .75rem 1rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { font-weight: 600; } figcaption small { font-weight: 400; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--line); } .mark { stroke: var(--soft); stroke-dasharray: 4 3; }
polyline { fill: none; stroke-width: 1.8; } polyline.a { stroke: var(--a); } polyline.b { stroke: var(--b); }
polyline.c { stroke: var(--c); } polyline.d { stroke: var(--d); }
circle.a { fill: var(--a); } circle.b { fill: var(--b); } circle.c { fill: var(--c); }
circle.d { fill: var(--d); }
circle.void { opacity: .35; }
.key { font-weight: 400; margin-left: .6rem; } .key::before { content: "\\25CF "; }
.key.a::before { color: var(--a); } .key.b::before { color: var(--b); }
.key.c::before { color: var(--c); } .key.d::before { color: var(--d); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .7rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
tr.void td { color: var(--soft); }
"""


def page(report: LoadReport) -> str:
    """The whole page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Load test</title><style>{_STYLE}</style></head><body>"
        f"{_head(report)}{_verdict(report)}"
        f"{_section('By calls at once', _by_calls(report) if len(report.steps) > 1 else '')}"
        f"{_section('Over time', _over_time(report.steps))}"
        f'<h2>Steps</h2><div class="scroll">{_table(_ROWS, report.steps)}</div>'
        f'<h2>Turn latency by caller, ms</h2><div class="scroll">{_callers(report.steps)}</div>'
        f'<p class="soft">{_MEANING}</p></body></html>\n'
    )


def _section(title: str, plots: str) -> str:
    return f'<h2>{title}</h2><div class="plots">{plots}</div>' if plots else ""


def _head(report: LoadReport) -> str:
    note = f"<p>{escape(report.note)}</p>" if report.note else ""
    return (
        f"<h1>Load test of {escape(report.url)}</h1>"
        f'<p class="soft">{escape(report.made_at)} · callers on {escape(report.machine)}</p>{note}'
    )


def _verdict(report: LoadReport) -> str:
    found = report.knee
    if found.broke_at is not None:
        good = "Not even the lightest step holds" if found.calls is None else f"Knee: {found.calls} calls"
        said = f"<p><strong>{good}.</strong> At {found.broke_at}: {escape('; '.join(found.because))}.</p>"
    elif found.calls is not None:
        said = f"<p><strong>No knee up to {found.calls} calls.</strong></p>"
    else:
        said = "<p><strong>No step could be judged.</strong></p>"
    said += f'<p class="soft">The knee is {escape(knee.CRITERION)}.</p>'
    if report.valid:
        return said
    why = "".join(
        f"<li>{step.calls} calls: {escape(reason)}</li>"
        for step in report.steps
        for reason in step.why_invalid
    )
    return (
        '<div class="warn"><strong>Not valid.</strong> In these steps the callers\' own clocks were late; '
        f"they are no figures of the server, are drawn pale, and the knee leaves them out."
        f"<ul>{why}</ul></div>{said}"
    )


def _by_calls(report: LoadReport) -> str:
    steps = report.steps
    void = [float(step.calls) for step in steps if not step.valid]
    ticks = [float(step.calls) for step in steps]
    good = report.knee.calls
    mark = (float(good), f"knee: {good}") if good is not None and report.knee.broke_at is not None else None

    def drawn(title: str, unit: str, *series: Series) -> str:
        return chart(title, "calls at once", unit, series, mark=mark, void=void, ticks=ticks)

    def line(name: str, style: str, values: Sequence[float | None]) -> Series:
        return Series(name, [(float(s.calls), v) for s, v in zip(steps, values, strict=True)], style)

    def share(count: int, step: StepFigures) -> float:
        return round(100 * count / max(1, step.turns), 2)

    servers = [step.server for step in steps]
    memory = [server.pss_mb if server else None for server in servers]
    return "".join(
        (
            drawn(
                "Turn latency as heard", "ms",
                line("p50", "a", [s.latency.p50 for s in steps]),
                line("p95", "b", [s.latency.p95 for s in steps]),
                line("p99", "c", [s.latency.p99 for s in steps]),
            ),
            drawn(
                "Turns that went wrong", "% of turns",
                line("unanswered", "c", [share(s.unanswered, s) for s in steps]),
                line("cut off", "b", [share(s.cut_offs, s) for s in steps]),
            ),
            drawn(
                "Holes in the bot's speech", "a minute of it",
                line("all", "b", [s.gaps_a_minute for s in steps]),
                line("over 60 ms", "c", [round(0.6 * s.long_gaps_a_100_s, 3) for s in steps]),
            ),
            drawn(
                "Interruption to silence", "ms",
                line("p50", "a", [s.barge_in.p50 for s in steps]),
                line("p95", "b", [s.barge_in.p95 for s in steps]),
            ),
            drawn("CPU of the server", "cores", line("all", "a", [v.cores if v else None for v in servers])),
            drawn("Memory of the server", "PSS, MB", line("all", "d", memory)),
            drawn(
                "Lateness", "ms",
                line("the server's loop, worst", "b", [v.loop_lag_ms if v else None for v in servers]),
                line("the callers' own frames, p99", "a", [s.generator["late_p99_ms"] for s in steps]),
            ),
            drawn("Calls refused", "calls", line("refused", "c", [float(s.refused) for s in steps])),
        )
    )  # fmt: skip


def _over_time(steps: Sequence[StepFigures]) -> str:
    turns: list[tuple[float, float | None]] = []
    cores: list[tuple[float, float | None]] = []
    lags: list[tuple[float, float | None]] = []
    at = 0.0
    for step in steps:
        turns += [(round(at + when, 1), ms) for when, ms in step.turns_seen]
        for when, used, lag in step.server.over_time if step.server is not None else ():
            cores.append((round(at + when, 1), used))
            lags.append((round(at + when, 1), lag))
        at += step.hold_s
    x = "seconds, settling left out"
    return "".join(
        (
            chart("Turns", x, "latency, ms", [Series("each turn", turns, "a", dots=True)]),
            chart("CPU of the server", x, "cores", [Series("all", cores, "a")]),
            chart("Lateness of the server's loop", x, "worst in 5 s, ms", [Series("worst", lags, "b")]),
        )
    )


_ROWS = (
    "calls", "begun", "turns", "p50", "p95", "p99", "cut off", "unanswered", "barge-in p50", "p95",
    "talked on", "murmurs ended", "first sound p95", "holes", "longest", "ahead p50", "p1", "refused",
    "in p95", "on hold", "WER", "cores", "MB", "loop late", "callers late p99", "core a call",
)  # fmt: skip


def _table(head: Sequence[str], steps: Sequence[StepFigures]) -> str:
    rows = "".join(_row(_cells(step), void=not step.valid) for step in steps)
    return f"<table><thead>{_row(head, tag='th')}</thead><tbody>{rows}</tbody></table>"


def _cells(step: StepFigures) -> list[str]:
    server = step.server
    return [
        str(step.calls),
        str(step.begun),
        str(step.turns),
        *_three(step.latency),
        str(step.cut_offs),
        str(step.unanswered),
        _n(step.barge_in.p50),
        _n(step.barge_in.p95),
        str(step.talked_on),
        f"{step.murmurs_ended} of {step.murmurs}",
        _n(step.first_sound.p95),
        str(step.gaps.count),
        _n(step.gaps.worst),
        _n(step.lead_p50_ms),
        _n(step.lead_p1_ms),
        str(step.refused),
        _n(step.refused_in.p95),
        str(step.waited.count),
        "–" if step.wer is None else f"{step.wer:.1%}",
        "–" if server is None or server.cores is None else f"{server.cores:.2f}",
        _n(server.pss_mb if server else None),
        _n(server.loop_lag_ms if server else None),
        f"{step.generator['late_p99_ms']:.1f}",
        f"{step.generator['core_per_call']:.2%}",
    ]


def _callers(steps: Sequence[StepFigures]) -> str:
    names = sorted({name for step in steps for name in step.by_caller})
    head = ["caller", *(f"{step.calls}: turns, p50, p95" for step in steps)]
    rows = "".join(
        _row([name, *(_spread(step.by_caller.get(name, Spread(0))) for step in steps)]) for name in names
    )
    return f"<table><thead>{_row(head, tag='th')}</thead><tbody>{rows}</tbody></table>"


def _row(cells: Sequence[str], *, tag: str = "td", void: bool = False) -> str:
    inside = "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)
    return f"<tr{' class=void' if void else ''}>{inside}</tr>"


def _spread(spread: Spread) -> str:
    return f"{spread.count}, {_n(spread.p50)}, {_n(spread.p95)}" if spread.count else "–"


def _three(spread: Spread) -> tuple[str, str, str]:
    return _n(spread.p50), _n(spread.p95), _n(spread.p99)


def _n(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


_MEANING = """
Times in ms. <em>Turn latency</em>: the last sound of the caller's words to the first sound of the
answer, both at the caller's end. <em>Cut off</em>: the bot spoke into the caller's words.
<em>Unanswered</em>: nothing came before the caller spoke again. <em>Holes</em>: the bot's sound
came too late to be played without a break (of up to half a second). <em>Ahead</em>: how much was
waiting to be played when more came; negative: so late it was. <em>Murmurs ended</em>: murmurs that
ended an answer. <em>Refused</em>: calls that no bot took, and how soon they (and those who were
put on hold until there was room) were told.
<em>WER</em>: of the server's own transcripts. <em>Callers late</em>: how late the callers' own
frames left.
"""
