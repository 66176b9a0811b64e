"""A run of ``turns`` as figures and as a table. Pure: lines of the run's file in, a document out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scripts.bench import report
from scripts.bench.turn_figures import (
    NOT_SPEECH,
    Ratio,
    Scored,
    by_arm,
    content_ms,
    interruption_figures,
    keyed,
    noise_figures,
    rate_interval,
    ratio_of_quantiles,
    turn_figures,
)
from scripts.bench.turn_score import Event

DONE = 0.5
"""Smart-turn's own threshold."""
LATE_MS = 250
"""The machine, not the bot, is heard in a call whose clock was later than this for a moment."""
HEAD = ["as the caller heard it, ms", "voicebot", "without speculation", "stock", "voicebot / stock [95 %]"]
COLUMNS = ("voicebot", "no-speculation", "stock")
GROUPS = {
    "done": "smart-turn says: finished",
    "waits": "smart-turn waits",
    "all": "all lines",
    "paused": "a pause of 600 ms inside",
    "digits": "real digits",
}


def scored_events(
    lines: Sequence[Mapping[str, Any]], sounds_done: Callable[[str, str, str], float]
) -> list[Scored]:
    """Every event of a run's calls, with its place."""
    found: list[Scored] = []
    for line in lines:
        for place, event in enumerate(line.get("events", ())):
            key = (line["part"], line["voice"], line["round"], place)
            one = Event(**event)
            voice = line["voice"].partition("/")[0]
            done = sounds_done(voice, one.line, line["part"])
            found.append(Scored(line["arm"], key, voice, one, done))
    return found


def compare(
    lines: Sequence[Mapping[str, Any]], sounds_done: Callable[[str, str, str], float]
) -> dict[str, Any]:
    """All figures of a run. Calls in which the caller's own clock stood still for long are left out."""
    made = [line for line in lines if "events" in line]
    calls = [call for call in made if call["late_ms"] <= LATE_MS]
    scored = scored_events(calls, sounds_done)
    head = next((line for line in lines if "run" in line), {})
    groups: dict[str, Callable[[Scored], bool]] = {
        "done": lambda s: s.event.role == "turn" and s.sounds_done >= DONE,
        "waits": lambda s: s.event.role == "turn" and s.sounds_done < DONE,
        "all": lambda s: s.event.role == "turn",
        "paused": lambda s: s.event.role == "paused",
        "digits": lambda s: s.event.role == "digits",
    }
    return {
        "bench": "turns",
        "machine": head.get("machine", report.machine()),
        "date": head.get("date", report.today()),
        "run": head.get("run", {}),
        "voices": voices(scored),
        "groups": {name: _group(scored, wanted, name) for name, wanted in groups.items()},
        "interruptions": _interruptions(scored),
        "noises": {
            arm: noise_figures([s.event for s in some])
            for arm, some in by_arm(scored, lambda s: s.event.role in NOT_SPEECH).items()
        },
        "greeting": {
            arm: _greeting([c["greeting_ms"] for c in calls if c["arm"] == arm])
            for arm in sorted({c["arm"] for c in calls})
        },
        "discarded": discarded(lines),
        "calls": {arm: sum(c["arm"] == arm for c in calls) for arm in sorted({c["arm"] for c in calls})},
        "failed_calls": sum("failed" in line for line in lines),
        "violations": sum(len(c["violations"]) for c in calls),
        "unsaid_lines": sum(c["unsaid"] for c in calls),
        "left_out": len(made) - len(calls),
        "clock_late_ms": max((c["late_ms"] for c in calls), default=0.0),
    }


def voices(scored: Sequence[Scored]) -> dict[str, float]:
    """Voice -> share of its turns' lines that smart-turn calls finished at their end."""
    shares: dict[str, dict[str, bool]] = {}
    for one in scored:
        if one.event.role == "turn":
            shares.setdefault(one.voice, {})[one.event.line] = one.sounds_done >= DONE
    return {voice: sum(lines.values()) / len(lines) for voice, lines in sorted(shares.items())}


def discarded(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """What was made early, kept and thrown away: each voicebot's counters, summed over the run's sessions."""
    last: dict[tuple[str, str], Mapping[str, float]] = {}
    for line in lines:
        if "counters" in line:
            last[line["of"], line["since"]] = line["counters"]
    found: dict[str, dict[str, float]] = {}
    for (arm, _), counted in last.items():
        total = found.setdefault(arm, {})
        for name, value in counted.items():
            total[name] = total.get(name, 0.0) + value
    return found


def _group(scored: Sequence[Scored], wanted: Callable[[Scored], bool], name: str) -> dict[str, Any]:
    arms = by_arm(scored, wanted)
    figures: dict[str, Any] = {arm: turn_figures([s.event for s in some]) for arm, some in arms.items()}
    # Real digits are answered with a question: there, any sound counts.
    value = _sound if name == "digits" else content_ms
    figures["ratio"] = _ratios(arms, value)
    figures["voices"] = sorted({one.voice for some in arms.values() for one in some})
    return figures


def _sound(event: Event) -> float | None:
    return event.sound_ms


def _silence(event: Event) -> float | None:
    return event.silence_ms


def _ratios(
    arms: Mapping[str, Sequence[Scored]], value: Callable[[Event], float | None]
) -> dict[str, dict[str, float | None]]:
    """p50 and p95 of ours / stock."""
    ours, theirs = keyed(arms.get("voicebot", ()), value), keyed(arms.get("stock", ()), value)
    return {
        name: ratio_of_quantiles(ours, theirs, share).__dict__
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }


def _interruptions(scored: Sequence[Scored]) -> dict[str, Any]:
    arms = by_arm(scored, lambda s: s.event.role == "interruption")
    figures: dict[str, Any] = {
        arm: interruption_figures([s.event for s in some]) for arm, some in arms.items()
    }
    figures["ratio"] = _ratios(arms, _silence)
    return figures


def _greeting(greetings: Sequence[float | None]) -> dict[str, float | int | None]:
    heard = [ms for ms in greetings if ms is not None]
    return {
        "p50": report.quantile(heard, 0.5),
        "p95": report.quantile(heard, 0.95),
        "slowest": max(heard, default=None),
        "within_1_s": sum(ms <= 1000 for ms in heard),
        "calls": len(greetings),
    }


def rows(result: Mapping[str, Any]) -> list[list[str]]:
    """The table: no latency without its cut-offs, no onset without its false pauses."""
    table: list[list[str]] = []
    for name, title in GROUPS.items():
        table += _turn_rows(result["groups"][name], title, real=name == "digits")
    table += _overlap_rows(result["interruptions"], result["noises"])
    greetings = result["greeting"]
    table.append(_row("stream start to the greeting, p50", greetings, lambda f: report.show(f["p50"])))
    table.append(_row("the same, slowest call", greetings, lambda f: report.show(f["slowest"])))
    return table


def caption(result: Mapping[str, Any]) -> str:
    """Who called, on what, and what was thrown away: a paragraph for below the table."""
    run = result["run"]
    shares = ", ".join(f"{voice} {share:.0%}" for voice, share in result["voices"].items())
    parts = [
        f"Share of each voice's lines that smart-turn calls finished at the end: {shares or '–'}.",
        f"Weights {run.get('model')}" + (f", timed as {run['size']}" if run.get("size") else "") + ",",
        f"{run.get('calls_at_once')} call(s) at once to the bot whose turn it is;",
        "calls: " + ", ".join(f"{arm} {count}" for arm, count in result["calls"].items()) + ";",
        f"failed {result['failed_calls']}, rules broken {result['violations']},",
        f"lines unsaid {result['unsaid_lines']};",
        f"left out because the caller's own clock stood still for over {LATE_MS} ms: {result['left_out']}",
        f"(otherwise it was at most {result['clock_late_ms']:.0f} ms late).",
    ]
    if thrown := thrown_away(result):
        parts.append(thrown)
    return " ".join(parts)


def thrown_away(result: Mapping[str, Any]) -> str:
    """What voicebot planned and made early, and how much of it was for nothing."""
    counted = result["discarded"].get("voicebot", {})

    def fates(name: str) -> dict[str, int]:
        found = re.compile(rf'{name}_total{{fate="(\w+)"}}')
        return {m.group(1): round(v) for key, v in counted.items() if (m := found.fullmatch(key))}

    plans, clauses = fates("voicebot_eager_plans"), fates("voicebot_held_clauses")
    if not plans:
        return ""
    kept = plans.get("kept", 0)
    held = clauses.get("kept", 0)
    return (
        f"Planned before a turn ended: {sum(plans.values())}, of them kept {kept}, for nothing "
        f"{counted.get('voicebot_eager_wasted_seconds_total', 0.0):.1f} s of planning and "
        f"{counted.get('voicebot_eager_wasted_tokens_total', 0.0):.0f} tokens. Clauses made early: "
        f"{sum(clauses.values())}, kept {held}, for nothing "
        f"{counted.get('voicebot_held_wasted_seconds_total', 0.0):.1f} s of sound."
    )


def _turn_rows(group: Mapping[str, Any], title: str, *, real: bool) -> list[list[str]]:
    arms = {arm: figures for arm, figures in group.items() if arm in COLUMNS}
    if not arms:
        return []
    title = f"{title} ({', '.join(group['voices'])})"
    what = "first_sound_" if real else ""
    table = [
        _row(f"{title}: end of words to {'any' if real else 'content'} audio, p50", arms,
             lambda f: report.show(f[f"{what}p50"]), group["ratio"]["p50"]),
        _row("the same, p95", arms, lambda f: report.show(f[f"{what}p95"]), group["ratio"]["p95"]),
        _row("false cut-offs / turns", arms, lambda f: f"{f['cut_offs']} / {f['turns']}"),
    ]  # fmt: skip
    if not real:
        table.append(
            _row("answered otherwise / not at all", arms,
                 lambda f: f"{f['answered_otherwise']} / {f['unanswered']}")
        )  # fmt: skip
    return table


def _overlap_rows(
    interruptions: Mapping[str, Any], noises: Mapping[str, Mapping[str, Any]]
) -> list[list[str]]:
    arms = {arm: figures for arm, figures in interruptions.items() if arm in COLUMNS}
    if not arms:
        return []
    ratio = interruptions["ratio"]

    def yielded(f: Mapping[str, Any]) -> str:
        return f"{f['yielded']} / {f['interruptions']}"

    def kept(f: Mapping[str, Any]) -> str:
        return f"{100 * (f['ignored'] + f['resumed']) / max(1, f['noises']):.0f} %"

    def false_pauses(f: Mapping[str, Any]) -> str:
        return f"{f['false_pauses']} / {f['noises']}"

    def killed(f: Mapping[str, Any]) -> str:
        return f"{f['killed']} / {f['noises']}"

    return [
        _row("interruption: to silence, p50", arms, lambda f: report.show(f["silence_p50"]), ratio["p50"]),
        _row("the same, p95", arms, lambda f: report.show(f["silence_p95"]), ratio["p95"]),
        _row("silenced and answered / interruptions", arms, yielded),
        _row("backchannels and noises: false pauses / all", noises, false_pauses),
        _row("of them ignored / resumed", noises, lambda f: f"{f['ignored']} / {f['resumed']}"),
        _row("of them ignored or resumed", noises, kept),
        _row("answers killed by them", noises, killed, _killed_ratio(noises)),
    ]


def _killed_ratio(noises: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    ours, theirs = noises.get("voicebot"), noises.get("stock")
    if not ours or not theirs or not theirs["killed"] or not ours["noises"]:
        return Ratio(None).__dict__
    low = rate_interval(ours["killed"], ours["noises"])
    high = rate_interval(theirs["killed"], theirs["noises"])
    value = (ours["killed"] / ours["noises"]) / (theirs["killed"] / theirs["noises"])
    return Ratio(value, low[0] / high[1], low[1] / high[0]).__dict__


def _row(
    title: str,
    arms: Mapping[str, Mapping[str, Any]],
    cell: Callable[[Mapping[str, Any]], str],
    ratio: Mapping[str, Any] | None = None,
) -> list[str]:
    cells = [cell(arms[arm]) if arm in arms else "–" for arm in COLUMNS]
    return [title, *cells, str(Ratio(**ratio)) if ratio is not None else ""]
