"""Expected against got, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from voicebot.core.conversation import Strict
from voicebot.proof.evals.conversation import (
    Expect,
    Handoff,
    HandoffExpected,
    Sources,
    SourcesExpected,
    ToolExpected,
    Tools,
)
from voicebot.proof.evals.got import Got, GotTool
from voicebot.proof.evals.words import occurs

MOOD = 0.2
"""A sentiment below minus this is negative, above it positive."""


class Difference(Strict):
    """One thing that is not as expected."""

    field: str
    expected: str
    got: str


def differences(expect: Expect, got: Got, before: str | None = None) -> tuple[Difference, ...]:
    """What is not as expected; empty when all is well.

    Args:
        expect: what must be shown. Fields it leaves out are not compared.
        got: what was shown.
        before: the words of the turn before, for ``says_again``.
    """
    return tuple(_all(expect, got, before))


def matches(globs: tuple[str, ...], value: str | None) -> bool:
    """Whether a value is one of these. ``*`` does not stand for nothing at all.

    >>> matches(("order_*", "refund_status"), "order_status"), matches(("*",), "")
    (True, False)
    """
    return bool(value) and any(fnmatchcase(str(value), glob) for glob in globs)


def _all(expect: Expect, got: Got, before: str | None) -> Iterator[Difference]:
    for field in ("intent", "category", "action", "route", "row", "trigger", "urgency", "after"):
        globs: tuple[str, ...] | None = getattr(expect, field)
        value: str | None = getattr(got, field)
        if globs is not None and not matches(globs, value):
            yield Difference(field=field, expected=_any(globs), got=value or "nothing")
    if expect.tier is not None and got.tier not in expect.tier:
        yield Difference(field="tier", expected=_any(map(str, expect.tier)), got=str(got.tier))
    if expect.expects is not None and not any(_awaited(kind, got.expects) for kind in expect.expects):
        yield Difference(field="expects", expected=_any(expect.expects), got=got.expects)
    if expect.verified is not None and expect.verified is not got.verified:
        yield Difference(field="verified", expected=_yes(expect.verified), got=_yes(got.verified))
    if expect.sentiment is not None and expect.sentiment not in _moods(got.sentiment):
        shown = "not measured" if got.sentiment is None else f"{got.sentiment:+.2f}"
        yield Difference(field="sentiment", expected=expect.sentiment, got=shown)
    yield from _sources(expect.sources, got)
    yield from _tools(expect.tools, got)
    yield from _handoff(expect.handoff, got)
    yield from _words(expect, got, before)


def _words(expect: Expect, got: Got, before: str | None) -> Iterator[Difference]:
    for choice in expect.says:
        if not any(occurs(pattern, got.said) for pattern in choice):
            yield Difference(field="says", expected=_any(choice), got=got.said or "nothing")
    for pattern in expect.never_says:
        if occurs(pattern, got.said):
            yield Difference(field="never_says", expected=f"not: {pattern}", got=got.said)
    if expect.says_again is not None and expect.says_again is not (got.said == before):
        wanted = "the same words again" if expect.says_again else "other words than before"
        yield Difference(field="says_again", expected=wanted, got=got.said)


def _sources(expected: Sources | None, got: Got) -> Iterator[Difference]:
    shown = ", ".join(got.sources) or "none"
    match expected:
        case None:
            pass
        case "none":
            if got.sources:
                yield Difference(field="sources", expected="none", got=shown)
        case SourcesExpected(any_of=any_of, only=only):
            if any_of is not None and not any(matches(any_of, source) for source in got.sources):
                yield Difference(field="sources", expected=_any(any_of), got=shown)
            strangers = [source for source in got.sources if only is not None and not matches(only, source)]
            if only is not None and (strangers or not got.sources):
                yield Difference(field="sources", expected=f"only {_any(only)}", got=shown)


def _tools(expected: Tools | None, got: Got) -> Iterator[Difference]:
    if expected is None:
        return
    wanted: tuple[ToolExpected, ...] = () if expected == "none" else expected
    names = ", ".join(read.tool for read in got.tools) or "none"
    if len(wanted) != len(got.tools):
        listed = ", ".join(_any(tool.tool) for tool in wanted) or "none"
        yield Difference(field="tools", expected=listed, got=names)
        return
    for nth, (tool, read) in enumerate(zip(wanted, got.tools, strict=True)):
        for field, want, have in _of_tool(tool, read):
            yield Difference(field=f"tools[{nth}].{field}", expected=want, got=have)


def _of_tool(wanted: ToolExpected, read: GotTool) -> Iterator[tuple[str, str, str]]:
    if not matches(wanted.tool, read.tool):
        yield "tool", _any(wanted.tool), read.tool
    for name, globs in wanted.arguments.items():
        value = read.arguments.get(name)
        if not matches(globs, None if value is None else str(value)):
            yield f"arguments.{name}", _any(globs), "missing" if value is None else str(value)
    if wanted.failed is not (read.result is None):
        yield "failed", _yes(wanted.failed), read.error or _yes(read.result is None)
    outcome = None if read.result is None else str(read.result.get("outcome"))
    if wanted.outcome is not None and not matches(wanted.outcome, outcome):
        yield "outcome", _any(wanted.outcome), outcome or read.error or "none"


def _handoff(expected: Handoff | None, got: Got) -> Iterator[Difference]:
    given = got.handoff
    shown = "none" if given is None else f"{given.trigger}, {given.urgency}"
    if expected is None:
        return
    if expected == "none" or given is None:
        if (expected == "none") is not (given is None):
            wanted = "none" if expected == "none" else "a person takes over"
            yield Difference(field="handoff", expected=wanted, got=shown)
        return
    wanted_handoff: HandoffExpected = expected
    for field in ("trigger", "urgency"):
        globs: tuple[str, ...] | None = getattr(wanted_handoff, field)
        value: str = getattr(given, field)
        if globs is not None and not matches(globs, value):
            yield Difference(field=f"handoff.{field}", expected=_any(globs), got=value)
    for choice in wanted_handoff.tells:
        if not any(occurs(pattern, given.tells) for pattern in choice):
            yield Difference(field="handoff.tells", expected=_any(choice), got=given.tells)


def _awaited(kind: str, got: str) -> bool:
    """``digits`` takes any number of them, ``*`` anything."""
    return kind in {"*", got} or (kind == "digits" and got.startswith("digits("))


def _moods(sentiment: float | None) -> frozenset[str]:
    if sentiment is None:
        return frozenset()
    if sentiment < -MOOD:
        return frozenset({"negative", "not_positive"})
    return frozenset({"positive", "not_negative"} if sentiment > MOOD else
                     {"neutral", "not_negative", "not_positive"})  # fmt: skip


def _any(values: Iterable[str]) -> str:
    return " or ".join(values)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
