"""Holds the golden conversations, one after another, and says what differs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal
from zoneinfo import ZoneInfo

from voicebot.core.settings import Settings
from voicebot.core.store import lockouts
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.handoff.desk import StoredHandoffs
from voicebot.handoff.outbound import Outbound
from voicebot.handoff.people import People
from voicebot.handoff.presence import Presence
from voicebot.proof.evals.clock import ConversationClock
from voicebot.proof.evals.compare import Difference, differences
from voicebot.proof.evals.conversation import Conversation, Expect, Turn
from voicebot.proof.evals.facts import Known
from voicebot.proof.evals.got import Got
from voicebot.proof.evals.reading import Golden, GoldenSet, held
from voicebot.proof.evals.records import Failed, RunRecord, new_id
from voicebot.proof.evals.said_back import said_back
from voicebot.proof.evals.slate import Slate
from voicebot.proof.evals.standing import NEVER_ACCEPTED, Standing
from voicebot.proof.evals.talk import Talk
from voicebot.proof.evals.versions import versions_of

STRANGER = "+13035550100"
"""A number that no customer of the reference shop has."""
_NOTHING = Expect()


@dataclass(frozen=True)
class HeldTurn:
    """A turn as it went. ``got`` is None when it failed; then the conversation ends there."""

    turn: Turn
    line: int
    got: Got | None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class HeldConversation:
    """A conversation as it went, once (for one of its ways)."""

    name: str
    golden: Golden
    turns: tuple[HeldTurn, ...]
    known: str | None = None
    """Why it is known to differ."""

    @property
    def verdict(self) -> Literal["passed", "known", "mended", "failed"]:
        """``known``: differs, and only as it may; ``mended``: goes as expected though it was known not to."""
        fields = {difference.field for turn in self.turns for difference in turn.differences}
        if not fields:
            return "passed" if self.known is None else "mended"
        return "known" if self.known is not None and not fields & NEVER_ACCEPTED else "failed"

    @property
    def ok(self) -> bool:
        """Nothing differs."""
        return self.verdict in {"passed", "mended"}


@dataclass(frozen=True)
class Run:
    """A run and its record."""

    held: tuple[HeldConversation, ...]
    record: RunRecord

    def by_tag(self) -> dict[str, tuple[int, int, int]]:
        """For each tag: conversations that passed, that differ as they are known to, all."""
        tags = sorted({tag for each in self.held for tag in each.golden.tags})
        return {
            tag: (
                sum(each.ok for each in self.held if tag in each.golden.tags),
                sum(each.verdict == "known" for each in self.held if tag in each.golden.tags),
                sum(tag in each.golden.tags for each in self.held),
            )
            for tag in tags
        }


class NothingChosen(Exception):
    """No conversation has such a name, file or tag; the message names what there is."""


@dataclass
class _Kit:
    """What the conversations of a run share."""

    database: Database
    keys: KeyRing
    orchestrator: Orchestrator
    clock: ConversationClock
    standing: Standing
    known: Known
    staff_calls: Callable[[datetime], bool]
    """Whether callers are called back at a moment."""
    zone: ZoneInfo


def chosen(golden: GoldenSet, only: str | None) -> tuple[tuple[str, Golden, Conversation], ...]:
    """The conversations to hold, one for each way, by a pattern of name, file or tag.

    Raises:
        NothingChosen: the pattern fits none.
    """
    every = [(name, g, made) for g in golden.conversations for name, made in held(g)]
    if only is None:
        return tuple(every)
    found = tuple(
        (name, g, made)
        for name, g, made in every
        if any(fnmatchcase(label, only) for label in (name, g.conversation.name, g.file, *g.tags))
    )
    if not found:
        files = sorted({g.file for g in golden.conversations})
        tags = sorted({tag for g in golden.conversations for tag in g.tags})
        raise NothingChosen(
            f"no golden conversation has the name, file or tag {only!r}; files: {', '.join(files)}; "
            f"tags: {', '.join(tags)}; names may hold * and ?"
        )
    return found


async def run_set(
    golden: GoldenSet,
    *,
    url: str,
    deployment: Deployment,
    settings: Settings,
    only: str | None = None,
    done: Callable[[HeldConversation], None] = lambda _: None,
) -> Run:
    """Holds them on a database that `scratch.prepare` made ready.

    Args:
        golden: what to hold.
        url: the database.
        deployment: the business under test.
        settings: who writes free answers.
        only: a pattern of name, file or tag.
        done: called as each conversation ends.

    Raises:
        NothingChosen: ``only`` fits none.
        DatabaseDown: Postgres does not answer.
        SettingsError: the language model cannot be used as configured.
    """
    conversations = chosen(golden, only)
    began = time.monotonic()
    every: list[HeldConversation] = []
    async with AsyncExitStack() as stack:
        database = await Database.open(url)
        stack.push_async_callback(database.close)
        kit = await _kit(database, golden, deployment, settings)
        stack.push_async_callback(kit.orchestrator.close)
        slate = await Slate.of(database)
        for name, g, made in conversations:
            held = await _hold(kit, name, g, made)
            await slate.wipe()
            every.append(held)
            done(held)
    record = RunRecord(
        id=new_id(),
        at=datetime.now(UTC),
        seconds=round(time.monotonic() - began, 2),
        versions=versions_of(deployment, writer=settings.llm, golden=golden.folder),
        whole=only is None,
        conversations=len(every),
        passed=sum(each.ok for each in every),
        known=sum(each.verdict == "known" for each in every),
        turns=sum(len(each.turns) for each in every),
        failed=_failed(every),
    )
    return Run(tuple(every), record)


async def _kit(database: Database, golden: GoldenSet, deployment: Deployment, settings: Settings) -> _Kit:
    """A real orchestrator on this database, with keys of its own and a clock that stands still."""
    keys = KeyRing(secrets.token_bytes(32))
    clock = ConversationClock(golden.rules.today, deployment.phrases.time_zone)
    people = People.read(deployment.folder)
    staff = Presence(people, Outbound.read(deployment.folder, people))
    orchestrator = await Orchestrator.create(
        database=database,
        keys=keys,
        deployment=deployment,
        settings=settings,
        handoffs=StoredHandoffs.of(keys, deployment.folder),
        now=clock.now,
        staff=staff,
    )
    return _Kit(
        database,
        keys,
        orchestrator,
        clock,
        _standing(golden, deployment),
        known_of(deployment),
        lambda at: staff.calls_at(at, None),
        ZoneInfo(deployment.phrases.time_zone),
    )


async def _hold(kit: _Kit, name: str, golden: Golden, conversation: Conversation) -> HeldConversation:
    """One conversation, turn by turn."""
    phone = conversation.phone or STRANGER
    talk = Talk(kit.database, kit.keys, kit.orchestrator, kit.clock, phone)
    turns = await _turns(kit, talk, golden, conversation)
    return HeldConversation(name, golden, turns, conversation.known)


async def _turns(kit: _Kit, talk: Talk, golden: Golden, conversation: Conversation) -> tuple[HeldTurn, ...]:
    """The turns as they went; the last one may have failed."""
    turns: list[HeldTurn] = []
    known, before, said_before = kit.known.copy(), None, ""
    try:
        async with kit.database.transaction() as tx:  # a world of its own: others' tries lock nobody out
            await lockouts.sweep(tx, timedelta())
        if conversation.turns[0].contact is None:
            before = (await talk.contact(conversation.channel, conversation.at)).said
        for turn, line in zip(conversation.turns, golden.lines, strict=True):
            given = turn.caller or turn.keys or ""
            for heard in (f"{said_before} {given}", *turn.alternatives):  # a number may come in two turns
                known.add(heard)
                for words in said_back(heard, kit.clock.now().astimezone(kit.zone), kit.staff_calls):
                    known.add(words)
            got = await talk.turn(turn)
            for read in got.tools:
                known.add_result(read.result or {})
            expect = turn.expect or _NOTHING
            found = (*differences(expect, got, before), *kit.standing.differences(expect, got, known))
            turns.append(HeldTurn(turn, line, got, found))
            before, said_before = got.said, turn.caller or ""
    except Exception as error:  # a caller would be left silent: that is the finding
        at = len(turns)
        what = Difference(field="error", expected="an answer", got=f"{type(error).__name__}: {error}")
        turns.append(HeldTurn(conversation.turns[at], golden.lines[at], None, (what,)))
    return tuple(turns)


def _standing(golden: GoldenSet, deployment: Deployment) -> Standing:
    tools = deployment.tools
    personal = frozenset(name for name in tools.names if tools.get(name).needs_identity)
    return Standing(rules=golden.rules, personal_tools=personal)


def known_of(deployment: Deployment) -> Known:
    """The facts that may be said to anybody: approved phrases and articles."""
    phrases = deployment.phrases.model_dump(exclude={"recognition"})
    known = Known(_texts(phrases))
    for path in sorted((deployment.folder / "business" / "knowledge").rglob("*.md")):
        known.add(path.read_text(encoding="utf-8"))
    return known


def _texts(value: object) -> Iterator[str]:
    """Every text in a nested value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _failed(every: Sequence[HeldConversation]) -> tuple[Failed, ...]:
    return tuple(
        Failed(
            conversation=each.name,
            file=each.golden.file,
            line=turn.line,
            turn=nth,
            differences=turn.differences,
            known=each.known if each.verdict == "known" else None,
        )
        for each in every
        for nth, turn in enumerate(each.turns, start=1)
        if turn.differences
    )
