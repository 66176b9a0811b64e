"""``voicebot doctor --policy``: the policy as a matrix, its proof, and its tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voicebot.dialogue.actions.registry import ToolRegistry
from voicebot.dialogue.intents import IntentCatalog
from voicebot.safety.policy import (
    Beside,
    Failure,
    Override,
    Policy,
    PolicyCases,
    Problem,
    Proof,
    examine,
    read_cases,
    read_policy,
    run_cases,
    untested,
)
from voicebot.safety.policy.matrix import COLUMNS, MatrixRow, matrix
from voicebot.safety.policy.reading import read_model

WIDTH = 100
"""Columns of a terminal that the tables fit into."""

_LEGEND = (
    "sure, gnd, ans: how certain the intent, the article and the answer must be at least. then: what\n"
    "happens; behind it, what happens instead when one falls short or identity is missing. Below\n"
    "`unsure` nobody knows what is wanted, and it is asked again. Distress always ends with a person."
)

_COLOURS = {
    "answer": "green", "propose": "green", "act": "bold green", "draft": "yellow", "route": "yellow",
    "follow_up": "yellow", "escalate": "magenta", "end": "cyan",
}  # fmt: skip


@dataclass(frozen=True)
class PolicyReport:
    """What was looked at, and whether a server would start with it."""

    file: Path
    policy: Policy
    proof: Proof
    problems: tuple[Problem, ...]
    cases: PolicyCases
    failures: tuple[Failure, ...]
    untested: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """The table is proved, every policy test holds, and none is missing."""
        return not (self.problems or self.failures or self.untested)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        table = self.policy.table
        return {
            "ok": self.ok,
            "file": str(self.file),
            "version": self.policy.version,
            "proof": {"rows": self.proof.rows, "cases": self.proof.cases, "ms": round(self.proof.ms, 1)},
            "problems": [str(problem) for problem in self.problems],
            "tests": {
                "cases": len(self.cases.cases),
                "failures": [f"{one.ruling.row}: {one}" for one in self.failures],
                "untested": list(self.untested),
            },
            "thresholds": table.thresholds.model_dump(mode="json"),
            "tiers": {str(tier): row.model_dump(mode="json") for tier, row in sorted(table.tiers.items())},
            "intents": [row.model_dump(mode="json") for row in matrix(self.policy)],
            "overrides": {name: one.model_dump(mode="json") for name, one in table.overrides.items()},
            "grants": {name: one.model_dump(mode="json") for name, one in table.grants.items()},
        }

    def show(self, out: Console) -> None:
        """For people, in `WIDTH` columns."""
        rows = matrix(self.policy)
        out.print(f"[bold]{self.file}[/bold]  version {self.policy.version}\n")
        out.print(_actions(rows))
        out.print(_LEGEND)
        out.print()
        out.print(_reasons(rows))
        out.print()
        out.print(_overrides(self.policy))
        out.print()
        for line, style in self._verdict():
            out.print(Text(line, style))

    def _verdict(self) -> Iterator[tuple[str, str]]:
        for problem in self.problems:
            yield f"refused  {problem}", "red"
        if self.proof.rows and not self.problems:
            yield (
                f"proved   {self.proof.rows} intents, {self.proof.cases} cases in {self.proof.ms:.0f} ms: "
                "each has one outcome; less confidence, more risk or less verification never gives freedom",
                "green",
            )
        for one in self.failures:
            yield f"{'refused' if one.freer else 'differs'}  {one.ruling.row}: {one}", "red"
        for row in self.untested:
            yield f"untested {row}: no policy test names it", "yellow"
        if not self.failures:
            yield f"tested   {len(self.cases.cases)} policy tests hold", "green"


def examine_policy(deployment: Path) -> PolicyReport:
    """Reads, proves and tests the policy of a deployment, and gathers what is wrong instead of stopping.

    Raises:
        PolicyError: policy, intents or policy tests cannot even be read.
        ToolError: a tool cannot be loaded.
    """
    business = deployment / "business"
    policy = Policy(read_policy(business / "policy.yaml"))
    cases = read_cases(business / "policy_tests.yaml")
    catalog = read_model(business / "intents.yaml", IntentCatalog)
    tools = ToolRegistry.load(deployment / "tools")
    proof, problems = examine(
        policy.table,
        Beside(
            intents=catalog.names,
            tools=tools.names,
            writes=tools.writes,
            limits=tools.limits,
            amounts=tools.amounts,
            categories=catalog.members(),
        ),
    )
    return PolicyReport(
        file=business / "policy.yaml",
        policy=policy,
        proof=proof,
        problems=problems,
        cases=cases,
        failures=run_cases(policy, cases),
        untested=untested(policy, cases),
    )


def _actions(rows: tuple[MatrixRow, ...]) -> Table:
    table = _table("What happens")
    table.add_column("intent", no_wrap=True)
    table.add_column("tier")
    for column in ("sure", "gnd", "ans"):
        table.add_column(column, justify="right")
    for column in ("then", "doubtful", "no article", "unverified", "unsure", "writes"):
        table.add_column(column, no_wrap=True)
    for category, group in groupby(rows, key=lambda row: row.category):
        table.add_row(Text(category, "bold"))
        for row in group:
            marks = "*" if row.overrides else " "
            actions = [_action(row.actions[band.value]) for band in COLUMNS]
            limits = [_limit(row.sure), _limit(row.grounding), _limit(row.answer)]
            table.add_row(f" {row.intent}{marks}", str(row.tier), *limits, *actions, row.route)
    return table


def _reasons(rows: tuple[MatrixRow, ...]) -> Table:
    table = _table("Why, and whose")
    table.add_column("intent", no_wrap=True)
    table.add_column("tier")
    for column in ("because", "reads", "urgency", "record", "owner"):
        table.add_column(column, overflow="fold")
    for row in rows:
        if row.category != "general":
            why = ", ".join(row.because)
            table.add_row(row.intent, str(row.tier), why, row.reads, row.urgency, row.standing, row.owner)
    return table


def _overrides(policy: Policy) -> Table:
    table = _table("* Stricter or more urgent at times; freer only by a grant")
    for column in ("name", "when", "what", "why"):
        table.add_column(column, overflow="fold")
    for name, one in policy.table.overrides.items():
        table.add_row(name, _when(one), _what(one), one.why)
    for name, grant in policy.table.grants.items():
        what = f"grant to {', '.join(grant.intents)} until {grant.until}"
        table.add_row(
            name, ", ".join(grant.segments) or "always", what, f"{grant.why} ({', '.join(grant.reviewed_by)})"
        )
    return table


def _when(override: Override) -> str:
    when = override.when
    parts = (
        ", ".join((*when.segments, *when.regions)),
        "-".join(when.hours or ()),
        ", ".join(when.days),
        when.health.value if when.health else "",
    )
    return "; ".join(part for part in parts if part)


def _what(override: Override) -> str:
    parts = (
        *(
            f"{name} {value:g}"
            for name in ("sure", "grounding", "answer")
            if (value := getattr(override, name))
        ),
        f"at most {override.at_most.value}" if override.at_most else "",
        f"{override.person.value} instead of a person" if override.person else "",
        f"urgency {override.urgency.value}" if override.urgency else "",
        override.owner or "",
    )
    return ", ".join(part for part in parts if part)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))


def _action(action: str | None) -> Text:
    return Text("-", "dim") if action is None else Text(action, _COLOURS.get(action, ""))


def _limit(limit: float | None) -> str:
    return "-" if limit is None else f"{limit:.2f}"
