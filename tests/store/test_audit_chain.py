"""The chain holds under many writers, rollback and kill -9; it rotates, adopts, prunes and is anchored."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from audit_kit import CALL, Chain
from processes import eventually, python
from typer.testing import CliRunner

from tests.conftest import MASTER_KEY
from voicebot.cli import app
from voicebot.core.settings import Settings
from voicebot.core.store import audit
from voicebot.core.store.chain.adopting import adopt
from voicebot.core.store.chain.exporting import export
from voicebot.core.store.chain.form import content_of, link_of, old_shard, shard_of
from voicebot.core.store.chain.pruning import ChainBroken, prune
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing, WrongMasterKey
from voicebot.core.store.later import LaterRelay
from voicebot.runtime.audit_keeping import AuditKeeping

SHARD = shard_of(1, CALL)


@pytest.fixture
async def chain(database: Database, tmp_path: Path) -> Chain:
    return Chain(database, tmp_path)


async def read(database: Database, *, call: str = CALL, id: str | None = None) -> None:
    async with database.transaction() as tx:
        await audit.later(
            tx, entry="read", actor="api", resource="shop", purpose="console", conversation_id=call, id=id
        )


async def test_many_writers_in_one_shard_and_in_several_leave_no_gap(chain: Chain) -> None:
    """Every third transaction is rolled back, some write into two shards in either order."""

    async def write(n: int) -> None:
        calls = [f"cv_{n % 5}", f"cv_{n % 3}"]
        try:
            async with chain.database.transaction() as tx:
                for call in calls:
                    await audit.record(tx, action="a", actor="bot", facts={"n": n}, conversation_id=call)
                await asyncio.sleep(0)
                if n % 3 == 0:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    for start in range(0, 60, 20):
        await asyncio.gather(*(write(n) for n in range(start, start + 20)))
    verdict = chain.verdict()
    assert (verdict.bad, sum(verdict.links.values())) == ([], 80)


async def test_what_a_savepoint_took_back_is_not_in_the_chain(chain: Chain) -> None:
    async with chain.database.transaction() as tx:
        await audit.record(tx, action="kept", actor="bot", facts={}, conversation_id=CALL)
        with suppress(psycopg.errors.DivisionByZero):
            async with tx.transaction():
                await audit.record(tx, action="undone", actor="bot", facts={}, conversation_id=CALL)
                await tx.execute("SELECT 1 / 0")
    assert chain.verdict().links == {SHARD: 1}
    assert chain.found() == []


WRITER = """
import asyncio, sys
from voicebot.core.store import audit
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
class Stuck(Linker):
    async def __call__(self, tx, due):
        await super().__call__(tx, due)
        print("linked", flush=True)
        await asyncio.sleep(60)
async def main():
    database = await Database.open(sys.argv[1], timeout_s=20.0, at_commit=Stuck(KeyRing(bytes(range(32)))))
    async with database.transaction() as tx:
        await audit.record(tx, action="a", actor="bot", facts={}, conversation_id=sys.argv[2])
asyncio.run(main())
"""


async def test_a_writer_killed_between_link_and_commit_leaves_nothing_and_holds_up_nobody(
    chain: Chain,
) -> None:
    await chain.act()
    process = python(WRITER, chain.database.url, CALL)
    assert process.stdout is not None
    assert process.stdout.readline() == "linked\n"
    process.kill()
    process.communicate()
    assert eventually(
        lambda: not chain.sql("SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in tran%'")
    )
    await chain.act()
    assert chain.verdict().links == {SHARD: 2}
    assert chain.found() == []


async def test_a_row_written_without_a_key_stands_outside_the_chain(chain: Chain) -> None:
    keyless = await Database.open(chain.database.url, max_size=1, timeout_s=20.0)
    async with keyless.transaction() as tx:
        await audit.record(tx, action="a", actor="bot", facts={})
    await keyless.close()
    assert chain.found() == [("inserted", None, 1)]


async def test_after_a_rotation_old_seals_still_prove_and_the_new_key_seals(chain: Chain) -> None:
    await chain.act(2)
    async with chain.database.transaction() as tx:
        key = await chain.linker.seals.rotate(tx)
    await chain.act(1)
    assert chain.found() == []
    assert chain.sql("SELECT seq FROM audit_links WHERE key_id = %s", key.id) == [(3,)]


async def test_the_seals_open_with_no_other_master_key(chain: Chain) -> None:
    await chain.act()
    chain.keys = KeyRing(bytes(32))
    assert chain.found() == [("resealed", 1, 1)]
    async with chain.database.transaction() as tx:
        await KeyRing(MASTER_KEY).verify(tx)
    with pytest.raises(WrongMasterKey, match="VOICEBOT_MASTER_KEY"):
        chain.verdict()


async def test_rows_of_before_the_chain_are_sealed_as_they_are_once(chain: Chain) -> None:
    chain.sql(
        "INSERT INTO audit (kind, what, actor) SELECT 'action', 'old', 'bot' FROM generate_series(1, 3)"
    )
    chain.sql("INSERT INTO access_log (actor, resource, purpose) VALUES ('bot', 'shop', 'old')")
    chain.sql("UPDATE audit_chain SET old_audit = 3, old_access = 1")
    assert chain.found() == []
    assert any("older than the chain" in note for note in chain.verdict().notes)
    assert await adopt(chain.database, chain.linker) == {"audit": 3, "access_log": 1}
    verdict = chain.verdict()
    assert (verdict.bad, verdict.links) == ([], {"1-00": 1, old_shard(1): 3, old_shard(2): 1})
    chain.sql("UPDATE audit SET what = 'x' WHERE seq = 2")
    assert chain.found() == [("edited", 2, 2)]


async def test_nothing_is_taken_for_old_a_second_time(chain: Chain) -> None:
    await adopt(chain.database, chain.linker)
    chain.sql("INSERT INTO audit (kind, what, actor) VALUES ('action', 'forged', 'bot')")
    chain.sql("UPDATE audit_chain SET old_audit = 9, adopted_at = NULL")
    assert await adopt(chain.database, chain.linker) is None
    assert chain.found() == [("inserted", None, 2)]


async def test_reads_are_never_lost_and_stand_once(chain: Chain) -> None:
    """Two relays at once, the same id before and after it was chained, a rolled back transaction."""
    event = "ev_" + "a" * 32
    for _ in range(2):
        await read(chain.database, id=event)
    for n in range(30):
        await read(chain.database, call=f"cv_{n}")
    relays = [LaterRelay(chain.database) for _ in range(2)]
    assert sum(await asyncio.gather(*(relay.deliver() for relay in relays))) == 31
    await read(chain.database, id=event)
    assert [note for note in chain.verdict().notes if "wait" in note]
    await relays[0].drain()
    verdict = chain.verdict()
    assert (verdict.bad, sum(verdict.links.values()), verdict.notes) == ([], 31, [])


async def test_a_relay_that_fails_leaves_the_reads_waiting(chain: Chain) -> None:
    await read(chain.database)
    chain.sql("ALTER TABLE audit_links RENAME TO elsewhere")
    with pytest.raises(Exception, match="audit_links"):
        await LaterRelay(chain.database).deliver()
    chain.sql("ALTER TABLE elsewhere RENAME TO audit_links")
    assert await LaterRelay(chain.database).deliver() == 1
    assert chain.found() == []


async def test_what_retention_deletes_is_signed_for_and_the_rest_verifies(chain: Chain) -> None:
    for _ in range(3):
        await read(chain.database)
    await chain.act(2)
    chain.sql("UPDATE audit_outbox SET at = at - interval '400 days' WHERE place <= 2")
    await LaterRelay(chain.database).deliver()
    await chain.anchor()
    before = datetime.now(UTC) - timedelta(days=365)
    assert await prune(chain.database, chain.linker, 2, before) == 2
    assert await prune(chain.database, chain.linker, 2, before) == 0
    verdict = chain.verdict(anchored=True)
    assert verdict.bad == []
    assert [(one.shard, one.up_to, one.rows) for one in verdict.pruned] == [(shard_of(2, CALL), 2, 2)]
    assert [row[0] for row in chain.sql("SELECT what FROM audit")] == ["order.cancel"] * 2 + ["audit.pruned"]
    chain.sql("UPDATE audit_prunes SET up_to = 1")
    assert chain.found()[0][0] == "prune"
    chain.sql("DELETE FROM audit_prunes")
    assert chain.found()[0][:2] == ("deleted", 1)


async def test_retention_deletes_no_evidence(chain: Chain) -> None:
    """A row made to look old, so that it be deleted, is kept."""
    await chain.act(2)
    chain.sql("UPDATE audit SET at = '2001-01-01' WHERE seq = 1")
    with pytest.raises(ChainBroken, match="edited"):
        await prune(chain.database, chain.linker, 1, datetime(2020, 1, 1, tzinfo=UTC))
    assert chain.found() == [("edited", 1, 1)]


async def test_two_nodes_anchor_into_one_file(chain: Chain, tmp_path: Path) -> None:
    settings = Settings.model_construct(data_dir=tmp_path / "data", audit_days=9, access_log_days=9)
    nodes = [AuditKeeping(chain.database, chain.linker, settings, f"node-{n}") for n in range(2)]
    for _ in range(5):
        await chain.act()
        await asyncio.gather(*(node.anchor() for node in nodes))
    await read(chain.database)
    await nodes[0].end()
    lines = [json.loads(line) for line in chain.file.read_text().splitlines()]
    assert [line["line"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["heads"].keys() == {SHARD, shard_of(2, CALL)}
    assert await nodes[1].anchor() is None
    assert chain.verdict(anchored=True).ok
    assert chain.verdict(anchored=True).anchors == 6


async def test_a_line_torn_by_a_crash_is_tolerated_and_closed(chain: Chain) -> None:
    await chain.act()
    await chain.anchor()
    with chain.file.open("a") as file:
        file.write('{"v": 1, "li')
    assert chain.verdict(anchored=True).ok
    await chain.act()
    await chain.anchor()
    assert chain.verdict(anchored=True).ok
    assert len(chain.file.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda lines: lines[1:], "line 1 does not follow"),
        (lambda lines: [lines[0], lines[2]], "line 2 does not follow"),
        (lambda lines: [lines[0], lines[2], lines[1]], "line 2 does not follow"),
        (
            lambda lines: [lines[0].replace(",1,", ",1, ").replace('"node-0"', '"x"'), *lines[1:]],
            "was edited",
        ),
        (lambda lines: [lines[0], "garbage", *lines[1:]], "was not there when it was written"),
    ],
)
async def test_a_changed_file_of_anchors_is_found(chain: Chain, change: object, why: str) -> None:
    for _ in range(3):
        await chain.act()
        await chain.anchor()
    assert callable(change)
    chain.file.write_text("\n".join(change(chain.file.read_text().splitlines())) + "\n")
    bad = chain.verdict(anchored=True).bad
    assert [str(one.what) for one in bad] == ["anchors"]
    expected = "follows something that" if "was not there" in why else why
    assert expected in bad[0].why


async def test_an_export_proves_itself_without_the_key(chain: Chain) -> None:
    await chain.act(3)
    head, *rows = export(chain.database.url)
    assert head["form"] == 1
    assert [row["seq"] for row in rows] == [1, 2, 3]
    for row in rows:
        content = content_of(row["columns"])
        place = {name: row[name] for name in ("shard", "seq", "tier", "record", "form")}
        assert link_of(bytes.fromhex(row["prev"]), **place, content=content).hex() == row["hash"]


async def test_the_command_names_the_first_bad_row_and_exits_1(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await chain.act(3)
    await chain.anchor()
    monkeypatch.setenv("DATABASE_URL", chain.database.url)
    monkeypatch.setenv("VOICEBOT_MASTER_KEY", MASTER_KEY.hex())
    monkeypatch.setenv("VOICEBOT_DATA_DIR", str(tmp_path / "data"))
    run = CliRunner()

    def verify(*more: str) -> tuple[int, str]:
        done = run.invoke(app, ["audit", "verify", *more])
        return done.exit_code, done.output

    code, said = await asyncio.to_thread(verify, "--json")
    assert (code, json.loads(said)["anchors"]) == (0, 1)
    looked = await asyncio.to_thread(run.invoke, app, ["doctor", "--json"])
    findings = {one["what"]: one for one in json.loads(looked.output)["findings"]}
    assert findings["audit"]["ok"] is True
    chain.sql("UPDATE audit_heads SET seq = 9 WHERE shard = %s", SHARD)
    looked = await asyncio.to_thread(run.invoke, app, ["doctor", "--json"])
    findings = {one["what"]: one for one in json.loads(looked.output)["findings"]}
    assert (findings["audit"]["ok"], findings["audit"]["mend"]) == (False, "run `voicebot audit verify`")
    chain.sql("UPDATE audit_heads SET seq = 3 WHERE shard = %s", SHARD)
    chain.sql("UPDATE audit SET facts = '{}' WHERE seq = 2")
    code, said = await asyncio.to_thread(verify, "--json", "--anchors", str(chain.file))
    first = json.loads(said)["first"]
    assert (code, first["what"], first["shard"], first["seq"], first["record"]) == (1, "edited", SHARD, 2, 2)
    code, said = await asyncio.to_thread(verify)
    assert code == 1
    assert f"shard {SHARD}, seq 2, audit row 2: edited" in said
