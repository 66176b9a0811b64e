"""What stands on the insight pages, from what the API says: numbers, targets and alarms in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voicebot.console.figures import MADE, Name


@dataclass(frozen=True, slots=True)
class Told:
    """A figure in words.

    ``means``: in one sentence. ``counted``, ``rest``: its lists. ``low``, ``high``: why it is worth a look on
    that side of its target.
    """

    name: str
    means: str
    counted: str = ""
    rest: str = ""
    low: str = ""
    high: str = ""


TOLD: dict[Name, Told] = {
    "containment": Told(
        "Containment",
        "Wanted something, and neither needed a person nor left with it open.",
        "Contained",
        "Not contained",
        "More go to people, or leave, than is meant.",
        "Too good is a sign too: callers may not get through to people.",
    ),
    "satisfied_deflection": Told(
        "Contained and satisfied",
        "Of those who were contained and rated it, who gave 4 or 5.",
        "Satisfied",
        "Not satisfied",
        "They stayed with the bot and were not glad of it.",
    ),
    "escalation": Told(
        "Escalation",
        "Went to a person, or were promised that somebody will see to it.",
        "Went to a person",
        "Did not",
        "Fewer get a person than is meant: look at missed escalations.",
        "More need a person than is meant.",
    ),
    "escalation_precision": Told(
        "Escalations that were right",
        "Agents' verdicts that a person was needed, of all their verdicts.",
        "Right",
        "Not needed",
        "People are called for what the bot could have done.",
    ),
    "missed_escalation": Told(
        "Missed escalations",
        "Trouble stood at the end and nobody was called, or an agent noted so.",
        "Missed",
        "Not missed",
        high="People were needed and not called.",
    ),
    "resolution": Told(
        "Resolution",
        "Settled by the bot, or by a person who says so, and not asked again within 7 days.",
        "Settled",
        "Not settled",
    ),
    "resolution_by_bot": Told(
        "Resolution by the bot",
        "Settled without a person, heard to the end, and not asked again within 7 days.",
        "Settled by the bot",
        "Not by the bot",
    ),
    "first_contact": Told(
        "First-contact resolution",
        "Of those who had not asked the same within 7 days before: settled at once, by bot or person.",
        "Settled at once",
        "Not settled at once",
    ),
    "first_contact_by_bot": Told(
        "First contact, bot alone",
        "Of those who had not asked the same within 7 days before: settled at once without a person.",
        "Settled by the bot",
        "Not by the bot",
    ),
    "repeat": Told(
        "Asked again within 7 days",
        "The same person came back with the same, where it is known who it was. The last 7 days may change.",
        "Asked again",
        "Did not",
    ),
    "abandonment": Told(
        "Abandonment",
        "Left with something open: at the start, in an answer, after a question, or in the queue.",
        "Left",
        "Did not leave",
    ),
    "first_useful_p50_s": Told(
        "First useful answer", "From the first question to the first sound of an answer or act; median."
    ),
    "first_useful_p95_s": Told(
        "First useful answer, 95 of 100",
        "From the first question to the first sound of an answer or act: 95 of 100 took no longer.",
    ),
    "resolution_simple_s": Told(
        "Simple, until settled",
        "From the question to the end of the answer, where a look was enough; median.",
    ),
    "resolution_complex_s": Told(
        "Complex, until settled",
        "From the question to the end of what settled it, where something was done or checked; median.",
    ),
    "safe_escalation_p50_s": Told(
        "Until a person came",
        "From the first sign of risk until somebody spoke with the caller; median.",
    ),
    "safe_escalation_p95_s": Told(
        "Until a person, 95 of 100",
        "From the first sign of risk until somebody spoke with the caller: 95 of 100 took no longer.",
    ),
    "turn_latency_p50_s": Told(
        "Silence before an answer",
        "From the caller's last sound to the bot's first, as heard; median of turns.",
    ),
    "turn_latency_p95_s": Told(
        "Silence, 95 of 100",
        "From the caller's last sound to the bot's first, as heard: of 95 of 100 turns no longer.",
    ),
    "kb_gap": Told(
        "Questions without an article",
        "Of what was asked of the articles, what none of them answers.",
        "With such a question",
        "Answered",
        high="Articles are missing: see what was asked below.",
    ),
    "csat": Told(
        "Satisfaction", "Mean of the ratings, 1 to 5.", low="Callers are less satisfied than is meant."
    ),
}
GROUPS: tuple[tuple[str, tuple[Name, ...]], ...] = (
    (
        "Settled",
        (
            "containment", "satisfied_deflection", "resolution", "resolution_by_bot", "first_contact",
            "first_contact_by_bot", "repeat", "abandonment",
        ),
    ),
    (
        "People",
        (
            "escalation", "escalation_precision", "missed_escalation", "safe_escalation_p50_s",
            "safe_escalation_p95_s",
        ),
    ),
    (
        "Time",
        (
            "first_useful_p50_s", "first_useful_p95_s", "resolution_simple_s", "resolution_complex_s",
            "turn_latency_p50_s", "turn_latency_p95_s",
        ),
    ),
    ("Satisfaction and knowledge", ("csat", "kb_gap")),
)  # fmt: skip
COLUMNS: tuple[Name, ...] = (
    "containment", "resolution", "escalation", "abandonment", "first_contact", "repeat", "first_useful_p50_s",
    "kb_gap", "csat",
)  # fmt: skip
"""Figures that a table has beside the chosen one."""
REASONS = {
    "no_grounding": "no article fits",
    "weak_grounding": "articles do not say it surely",
    "ambiguous": "several articles could be meant",
    "out_of_scope": "nothing we deal with",
}
_HOW = {
    "answered": "answered", "acted": "done", "promised": "promised", "handed_over": "with a person",
    "left_queue": "left the queue", "left": "left", "not_settled": "not settled",
    "nothing_wanted": "nothing wanted", "erased": "erased",
}  # fmt: skip


def how(disposition: str) -> str:
    """How a conversation ended, in words."""
    return _HOW.get(disposition, disposition)


def number(name: Name, value: float | None) -> str:
    """A figure's value as it is read: ``72.5 %``, ``0.84 s``, ``2 min 5 s``, ``4.31``."""
    if value is None:
        return "-"
    match MADE[name].unit:
        case "rate":
            return f"{value * 100:.1f} %"
        case "score":
            return f"{value:.2f}"
        case "s":
            return seconds(value)


def seconds(value: float) -> str:
    """Seconds as they are read.

    >>> seconds(0.84), seconds(42.24), seconds(125), seconds(7260)
    ('0.84 s', '42.2 s', '2 min 5 s', '2 h 1 min')
    >>> seconds(300)
    '5 min'
    """
    if value < 10:
        return f"{value:.2f} s"
    if value < 90:
        return f"{value:.1f} s"
    whole = round(value)
    big, small, names = (whole, 60, ("min", "s")) if whole < 3600 else (whole // 60, 60, ("h", "min"))
    left = f" {big % small} {names[1]}" if big % small else ""
    return f"{big // small} {names[0]}{left}"


def target(name: Name, figure: Mapping[str, Any]) -> str:
    """Where it should be: ``60 to 80 %``, ``at least 4.50``; empty: no target."""
    low, high = figure["low"], figure["high"]
    if low is not None and high is not None:
        short = number(name, low).removesuffix(" %") if MADE[name].unit == "rate" else number(name, low)
        return f"{_round(short)} to {_round(number(name, high))}"
    if low is not None:
        return f"at least {_round(number(name, low))}"
    return "" if high is None else f"at most {_round(number(name, high))}"


def cases(name: Name, of: int) -> str:
    """Of how many: ``1,203 conversations``, ``5 verdicts``."""
    one, many = {
        "escalation_precision": ("verdict", "verdicts"),
        "kb_gap": ("question", "questions"),
        "csat": ("rating", "ratings"),
        "turn_latency_p50_s": ("turn", "turns"),
        "turn_latency_p95_s": ("turn", "turns"),
    }.get(name, ("case", "cases"))
    return f"{of:,} {one if of == 1 else many}"


def mark(figure: Mapping[str, Any], least: int) -> str:
    """The word beside a figure: ``too low``, ``too high``, ``few cases``; empty: nothing to say."""
    match figure["alarm"]:
        case "low":
            return "too low"
        case "high":
            return "too high"
        case _:
            return "few cases" if 0 < figure["of"] < least else ""


def alarm(name: Name, figure: Mapping[str, Any], least: int) -> str | None:
    """An alarm in a sentence, with its cases; None: there is none, or too few cases to say."""
    if figure["alarm"] not in ("low", "high"):
        return None
    told, side = TOLD[name], figure["alarm"]
    why = told.low if side == "low" else told.high
    found = f"{number(name, figure['value'])} of {cases(name, figure['of'])}"
    return f"{told.name} is too {side}: {found}, meant is {target(name, figure)}. {why}".rstrip()


def unsure(figures: Mapping[Name, Mapping[str, Any]], least: int) -> str | None:
    """Which figures with a target have too few cases to say anything, in one sentence."""
    few = [
        f"{TOLD[name].name} ({figure['of']})" for name, figure in figures.items() if figure["alarm"] == "few"
    ]
    return f"Too few cases to say, fewer than {least}: {', '.join(few)}." if few else None


def key(by: str, value: str) -> str:
    """What a row is about, to be read."""
    if not value:
        return "not known"
    return value if by == "day" else value.replace("_", " ")


def _round(words: str) -> str:
    return words.replace(".0 ", " ").removesuffix(".0").replace(".00 s", " s")
