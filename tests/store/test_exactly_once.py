"""In conversations with barge-ins, retries, doubled inputs, deaths and jumping clocks a yes writes once."""

from __future__ import annotations

from changes_kit import PACKED
from dialogue_kit import DEPLOYMENT, node

from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.proof.exactly_once import Fuzz, unguarded


async def test_sixty_conversations_write_once_for_each_yes(shop_database: Database, keys: KeyRing) -> None:
    """The records would take a second write; and the run is no empty one."""
    deployment = unguarded(DEPLOYMENT)
    fuzz = Fuzz(
        shop_database,
        keys,
        lambda database, now: node(database, keys, deployment=deployment, now=now),
        PACKED,
    )
    tally = await fuzz.run(60)
    assert (tally.duplicates, tally.unheard) == (0, 0), tally
    assert tally.writes > 15, tally
    assert min(tally.deaths, tally.stale) > 15, tally
