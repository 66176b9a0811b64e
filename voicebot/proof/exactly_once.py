"""Conversations in which everything goes wrong around a change, and a ledger of what was really written.

The shop's cancellation is replaced by one that never says no and writes a line into a ledger each time, so
that only the server itself stands between a caller and a second write. Callers agree, hesitate, change their
minds and speak over the read-back; nodes plan the same input twice, lose the answers to their commits, die
before they could commit, and disagree about the time; reports of what was heard come late, twice, or never.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from voicebot.core.conversation import CallStarted, Channel, Heard, Keys, Silence, TurnTimings, Utterance
from voicebot.core.store.conversations import ConversationEnded, Conversations
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.connectors.queries import read_query
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.dialogue.plan import Plan, StalePlan

LEDGER = (
    "CREATE TABLE IF NOT EXISTS shop.ledger (number text NOT NULL, at timestamptz DEFAULT clock_timestamp())"
)
_TERMS = """-- scope: orders:read
SELECT 'cancelled' AS outcome, 12900 AS amount_cents, 'credit card' AS method
FROM shop.orders WHERE number = %(order_number)s AND customer_id = %(customer_id)s;"""
_WRITE = """-- scope: orders:write
-- changes: ledger
INSERT INTO shop.ledger (number) SELECT number FROM shop.orders
WHERE number = %(order_number)s AND customer_id = %(customer_id)s
RETURNING 'cancelled' AS outcome, 12900 AS amount_cents, 'credit card' AS method;"""
WISH = "i want to cancel my order"
_SAID = (
    *("yes", "yes please", "go ahead", "yes", "okay"),
    *("no", "i guess so", "mm-hm", "yes but wait", "what was that"),
    *("when are you open on sunday", WISH, WISH),
)
STEPS = 7
"""Inputs of a caller once the change was read back for the first time."""


class _Died(Exception):
    """The node is gone before its transaction ended."""


class Unreliable:
    """A database whose commits may be lost: all of one, or only the answer to it."""

    def __init__(self, real: Database, dice: random.Random, *, dies: float, deaf: float) -> None:
        self._real, self._dice, self._dies, self._deaf = real, dice, dies, deaf
        self.calm = True
        self.name, self.timeout_s, self.url = real.name, real.timeout_s, real.url

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Any]:
        """As `Database.transaction`, sometimes with a death in it."""
        dies = not self.calm and self._dice.random() < self._dies
        deaf = not self.calm and self._dice.random() < self._deaf
        try:
            async with self._real.transaction() as tx:
                yield tx
                if dies:
                    raise _Died
        except _Died:
            raise DatabaseDown("the node died before it committed") from None
        if deaf:
            raise DatabaseDown("the answer to the commit was lost")

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Any]:
        """As `Database.reading`, sometimes without an answer."""
        async with self._real.reading() as tx:
            if not self.calm and self._dice.random() < self._dies:
                raise DatabaseDown("the node died before it had read")
            yield tx


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run came to. ``duplicates``: writes beyond one for each yes that counted."""

    conversations: int
    inputs: int
    writes: int
    consents: int
    duplicates: int
    unheard: int
    """Writes whose read-back had not been heard."""
    deaths: int
    stale: int


def unguarded(deployment: Deployment) -> Deployment:
    """The deployment with a cancellation that the records never refuse."""
    queries = {
        **deployment.queries,
        "cancellation": read_query("cancellation", _TERMS),
        "cancel_order": read_query("cancel_order", _WRITE),
    }
    table = deployment.policy.table
    limits = {
        name: limit.model_copy(update={"most": dict.fromkeys(limit.most, 10_000_000)})
        for name, limit in table.limits.items()
    }
    policy = type(deployment.policy)(table.model_copy(update={"limits": limits}))
    return replace(deployment, queries=queries, policy=policy)


class Fuzz:
    """Runs conversations, one after another, each from dice of its own.

    Args:
        database: with the shop in it.
        keys: seals.
        node: makes an orchestrator on a database with a clock.
        order: number and post code of an order.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        node: Callable[[Any, Callable[[], datetime]], Orchestrator],
        order: tuple[str, str],
    ) -> None:
        self._real = database
        self._keys = keys
        self._dice = random.Random(0)
        self._shaky = Unreliable(database, self._dice, dies=0.03, deaf=0.03)
        self._ahead = [timedelta(0), timedelta(minutes=7), timedelta(minutes=-11)]
        self._nodes = [node(self._shaky, self._clock(nth)) for nth in range(3)]
        self._order = order
        self._inputs = self._deaths = self._stale = 0

    async def run(self, conversations: int, *, seed: int = 0) -> Tally:
        """So many conversations, and what they came to."""
        async with self._real.transaction() as tx:
            await tx.execute(LEDGER)
        for nth in range(conversations):
            self._dice.seed(f"{seed}:{nth}")
            await self._conversation()
        for node in self._nodes:
            await node.close()
        return await self._tally(conversations)

    async def _conversation(self) -> None:
        self._shaky.calm = True
        async with self._real.transaction() as tx:
            talk = await Conversations(self._keys).create(
                tx,
                channel=Channel.PHONE,
                call_sid=None,
                caller="+12025550100",
                called=None,
                state=states.new_state(),
            )
        for given in (CallStarted(), Utterance(text=WISH), *(Keys(digits=one) for one in self._order)):
            await self._turn(talk, given)
        self._shaky.calm = False
        for _ in range(STEPS):
            dice = self._dice
            self._ahead[dice.randrange(3)] = timedelta(minutes=dice.choice([-1500, -3, 0, 0, 2, 4000]))
            roll = dice.random()
            given: Any = Utterance(text=dice.choice(_SAID))
            if roll < 0.1:
                given = Keys(digits=dice.choice("12"))
            elif roll < 0.15:
                given = Silence(nth=1)
            elif roll < 0.2:
                given = CallStarted(resumed=True)
            await self._turn(talk, given)

    async def _turn(self, talk: str, given: Any) -> None:
        """One input: planned by one or two nodes, committed in any order, some of it again and again."""
        self._inputs += 1
        dice, calm = self._dice, self._shaky.calm
        nodes = [dice.choice(self._nodes)]
        if not calm and dice.random() < 0.3:
            nodes.append(dice.choice(self._nodes))
        plans: list[tuple[Orchestrator, Plan]] = []
        for node in nodes:
            plan = await self._try(node.plan(talk, given))
            if plan is not None:
                plans.append((node, plan))
        dice.shuffle(plans)
        if not calm and plans and dice.random() < 0.3:
            plans.append(plans[0])  # the same plan again
            plans.append((dice.choice(self._nodes), plans[0][1]))  # and by another node
        for node, plan in plans:
            committed = await self._try(node.commit(plan))
            if committed is None:
                continue
            words = [clause.text async for clause in node.words(committed)]
            text = " ".join(words).split()
            cut = None if calm or dice.random() < 0.6 else dice.randrange(len(text) + 1)
            heard = Heard(text=" ".join(text[:cut]), complete=cut is None)
            for _ in range(1 if calm else dice.choice([0, 1, 1, 1, 2])):
                await self._try(node.heard(talk, committed.turn, heard, TurnTimings()))
                heard = Heard(text=" ".join(text), complete=True)  # a second report changes nothing

    async def _try(self, work: Any) -> Any:
        try:
            return await work
        except StalePlan:
            self._stale += 1
        except DatabaseDown:
            self._deaths += 1
        except ConversationEnded:
            pass
        return None

    def _clock(self, nth: int) -> Callable[[], datetime]:
        return lambda: datetime.now(UTC) + self._ahead[nth]

    async def _tally(self, conversations: int) -> Tally:
        async with self._real.transaction() as tx:

            async def count(query: str) -> int:
                row = await (await tx.execute(query.encode())).fetchone()
                return 0 if row is None else int(row["n"])

            writes = await count("SELECT count(*) AS n FROM shop.ledger")
            consents = await count("SELECT count(*) AS n FROM proposals WHERE status = 'done'")
            unheard = await count(
                "SELECT count(*) AS n FROM acts a JOIN proposals p ON p.id = a.proposal"
                " WHERE a.status = 'done' AND (p.heard_at IS NULL OR p.heard_at > p.consented_at)"
            )
        return Tally(
            conversations=conversations,
            inputs=self._inputs,
            writes=writes,
            consents=consents,
            duplicates=abs(writes - consents),
            unheard=unheard,
            deaths=self._deaths,
            stale=self._stale,
        )
