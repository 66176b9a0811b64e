"""The last word before a policy is used: its names, its laws, its proof. What fails here does not boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from voicebot.safety.policy.cases import PolicyCases, run_cases
from voicebot.safety.policy.laws import check_laws
from voicebot.safety.policy.limits import OTHERS
from voicebot.safety.policy.policy import Policy
from voicebot.safety.policy.problems import Problem, Problems, meant, refuse
from voicebot.safety.policy.proof import Proof, prove
from voicebot.safety.policy.table import PolicyTable

FILE = "policy.yaml"


@dataclass(frozen=True, slots=True)
class Beside:
    """What a deployment has besides its policy. None: not known, so not compared.

    ``writes``: tools that change something. ``categories``: intents by category. ``cases``: policy tests.
    ``limits``: by tool that changes something, the limits that it counts against. ``amounts``: the tools that
    say how much money a change is about.
    """

    intents: frozenset[str] | None = None
    tools: frozenset[str] | None = None
    writes: frozenset[str] | None = None
    categories: Mapping[str, Iterable[str]] | None = None
    cases: PolicyCases | None = None
    limits: Mapping[str, tuple[str, ...]] | None = None
    amounts: frozenset[str] = frozenset()


def check_policy(
    table: PolicyTable,
    *,
    intents: Iterable[str],
    tools: Iterable[str],
    writes: Iterable[str] | None = None,
    categories: Mapping[str, Iterable[str]] | None = None,
    cases: PolicyCases | None = None,
    limits: Mapping[str, tuple[str, ...]] | None = None,
    amounts: Iterable[str] = (),
) -> Proof:
    """Proves the table and compares it with what the deployment has.

    Args:
        table: what is going to be used.
        intents: all intents of the deployment.
        tools: all its tools.
        writes: those of them that change something; None when that is not known.
        categories: the intents of each category; None when there are none.
        cases: the policy tests; no ruling may be freer than they say.
        limits: by tool that changes something, the limits that it counts against; None: not known.
        amounts: the tools that say how much money a change is about.

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
            limits,
            frozenset(amounts),
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
    if beside.limits is not None:
        _limits(table, beside.limits, beside.amounts, problems)
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
    segments = table.triggers.customer_tier.segments
    _known("triggers.customer_tier", "segment", segments, table.segments, problems)
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


def _limits(
    table: PolicyTable, limits: Mapping[str, tuple[str, ...]], amounts: frozenset[str], problems: Problems
) -> None:
    """Every limit that a tool names is there and can be counted, and nothing is granted without one."""
    for tool, names in limits.items():
        for name in names:
            limit = table.limits.get(name)
            if limit is None:
                problems.add(
                    f"limits.{name}", f"tool `{tool}` counts against it; {meant(name, table.limits)}"
                )
            elif limit.measure == "amount" and tool not in amounts:
                problems.add(f"limits.{name}", f"tool `{tool}` does not say an `amount` to count")
    used = {name for names in limits.values() for name in names}
    for name, limit in table.limits.items():
        _known(f"limits.{name}", "segment", set(limit.most) - {OTHERS}, table.segments, problems)
        if name not in used:
            problems.add(f"limits.{name}", "no tool counts against it")
    for name, grant in table.grants.items():
        for intent in grant.intents if grant.may is not None else ():
            rule = table.intents.get(intent)
            if rule is not None and rule.act is not None and not limits.get(rule.act):
                problems.add(
                    f"grants.{name}",
                    f"`{rule.act}` counts against no limit: nothing unlimited is granted",
                )


def _known(row: str, kind: str, names: Iterable[str], known: Iterable[str], problems: Problems) -> None:
    everything = tuple(known)
    for name in names:
        if name not in everything:
            problems.add(row, f"unknown {kind} `{name}`; {meant(name, everything)}")
