"""The last word before a policy is used: its names, its laws, its proof. What fails here does not boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from voicebot.safety.policy.cases import PolicyCases, run_cases
from voicebot.safety.policy.laws import check_laws
from voicebot.safety.policy.policy import Policy
from voicebot.safety.policy.problems import Problem, Problems, meant, refuse
from voicebot.safety.policy.proof import Proof, prove
from voicebot.safety.policy.table import PolicyTable

FILE = "policy.yaml"


@dataclass(frozen=True, slots=True)
class Beside:
    """What a deployment has besides its policy. None: not known, so not compared.

    ``writes``: tools that change something. ``categories``: intents by category. ``cases``: policy tests.
    """

    intents: frozenset[str] | None = None
    tools: frozenset[str] | None = None
    writes: frozenset[str] | None = None
    categories: Mapping[str, Iterable[str]] | None = None
    cases: PolicyCases | None = None


def check_policy(
    table: PolicyTable,
    *,
    intents: Iterable[str],
    tools: Iterable[str],
    writes: Iterable[str] | None = None,
    categories: Mapping[str, Iterable[str]] | None = None,
    cases: PolicyCases | None = None,
) -> Proof:
    """Proves the table and compares it with what the deployment has.

    Args:
        table: what is going to be used.
        intents: all intents of the deployment.
        tools: all its tools.
        writes: those of them that change something; None when that is not known.
        categories: the intents of each category; None when there are none.
        cases: the policy tests; no ruling may be freer than they say.

    Returns:
        What was gone through.

    Raises:
        PolicyError: an intent without a row, a row without an intent, an unknown tool, category,
            segment or region, a hole, an inversion, a policy test that fails; each with its row.
    """
    proof, problems = examine(
        table,
        Beside(
            frozenset(intents),
            frozenset(tools),
            None if writes is None else frozenset(writes),
            categories,
            cases,
        ),
    )
    refuse(FILE, problems)
    return proof


def examine(table: PolicyTable, beside: Beside) -> tuple[Proof, tuple[Problem, ...]]:
    """The same without raising: names and laws first, then the proof, then the policy tests.

    Returns what was gone through (nothing, when names or laws fail) and what is wrong.
    """
    problems = Problems()
    _names(table, beside, problems)
    check_laws(table, problems)
    if problems.found:
        return Proof(0, 0, 0.0), problems.found
    policy = Policy(table)
    proof, found = prove(policy)
    if beside.cases is not None and not found:
        found = tuple(
            Problem(one.ruling.row, str(one)) for one in run_cases(policy, beside.cases) if one.freer
        )
    return proof, found


def _names(table: PolicyTable, beside: Beside, problems: Problems) -> None:
    if beside.intents is not None:
        for name in sorted(beside.intents - set(table.intents)):
            problems.add(f"intents.{name}", "has no row; add one under `intents`")
        for name in sorted(set(table.intents) - beside.intents):
            problems.add(f"intents.{name}", f"names no intent of intents.yaml; {meant(name, beside.intents)}")
    for name, rule in table.intents.items():
        row = f"intents.{name}"
        for tool in (*rule.reading_tools, *((rule.act,) if rule.act else ())):
            if beside.tools is not None and tool not in beside.tools:
                problems.add(row, f"tool `{tool}` is not in tools/; {meant(tool, beside.tools)}")
        if beside.writes is not None:
            for tool in rule.reading_tools:
                if tool in beside.writes:
                    problems.add(row, f"tool `{tool}` changes something: name it as `act`, with a grant")
            if rule.act is not None and rule.act not in beside.writes:
                problems.add(row, f"`act: {rule.act}` changes nothing: name it as `tool`")
    _categories(table, beside, problems)
    for kind, rows in (("overrides", table.overrides), ("grants", table.grants)):
        for name, one in rows.items():
            row = f"{kind}.{name}"
            for intent in one.intents:
                if intent not in table.intents:
                    problems.add(row, f"intent `{intent}` has no row; {meant(intent, table.intents)}")
    for name, override in table.overrides.items():
        row = f"overrides.{name}"
        known = {rule.category for rule in table.intents.values()}
        _known(row, "category", override.categories, known, problems)
        _known(row, "segment", override.when.segments, table.segments, problems)
        _known(row, "region", override.when.regions, table.regions, problems)
    for name, grant in table.grants.items():
        _known(f"grants.{name}", "segment", grant.segments, table.segments, problems)


def _categories(table: PolicyTable, beside: Beside, problems: Problems) -> None:
    if beside.categories is None:
        return
    category_of = {intent: name for name, intents in beside.categories.items() for intent in intents}
    for name, rule in table.intents.items():
        right = category_of.get(name)
        if right is not None and right != rule.category:
            problems.add(
                f"intents.{name}", f"`category: {rule.category}`, but intents.yaml has it in `{right}`"
            )
        if right is None and rule.category not in beside.categories:
            problems.add(
                f"intents.{name}",
                f"unknown category `{rule.category}`; {meant(rule.category, beside.categories)}",
            )


def _known(row: str, kind: str, names: Iterable[str], known: Iterable[str], problems: Problems) -> None:
    everything = tuple(known)
    for name in names:
        if name not in everything:
            problems.add(row, f"unknown {kind} `{name}`; {meant(name, everything)}")
