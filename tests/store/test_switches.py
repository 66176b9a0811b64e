"""What is switched off goes to people, on every node within 5 s, and comes back when it is switched on."""

from __future__ import annotations

import pytest
from dialogue_kit import Talk
from typer.testing import CliRunner

from voicebot.cli import app
from voicebot.core.conversation import Action, Channel, Keys, Route
from voicebot.core.store import audit
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.switches import (
    EVERY_S,
    Switchboard,
    UnknownSwitch,
    history,
    set_switch,
    switches,
)


async def turned(database: Database, name: str, *, on: bool = False) -> None:
    async with database.transaction() as tx:
        await set_switch(tx, name, on, "ada")


async def talking(database: Database, keys: KeyRing, board: Switchboard) -> Talk:
    return await Talk.begin(database, keys, channel=Channel.CHAT, off=lambda: board.off)


async def test_every_node_reads_the_same_switches(shop_database: Database) -> None:
    """A second is how often each reads them, well below the five that are promised."""
    boards = (Switchboard(), Switchboard())
    assert EVERY_S <= 2
    for on in (False, True):
        await turned(shop_database, "intent:warranty", on=on)
        for board in boards:
            await board.refresh(shop_database)
            assert board.off == (frozenset() if on else {"intent:warranty"})
            assert not board.bot_off
    await turned(shop_database, "bot")
    await boards[0].refresh(shop_database)
    assert boards[0].bot_off
    async with shop_database.transaction() as tx:
        assert (await switches(tx))["bot"] is False
        (off,) = await history(tx)
        records = await audit.records(tx)
    assert (off["name"], off["changed_by"]) == ("bot", "ada")
    assert [row["what"] for row in records].count("switch.off") == 2


async def test_a_node_that_cannot_read_keeps_what_it_knows(shop_database: Database) -> None:
    board = Switchboard(frozenset({"tool:order_status"}))
    away = await Database.open("postgresql://nobody@127.0.0.1:1/nowhere", min_size=0, timeout_s=0.2)
    with pytest.raises(DatabaseDown):
        await board.refresh(away)
    await away.close()
    assert board.off == {"tool:order_status"}


@pytest.mark.parametrize("name", ["order_status", "intent:", "bot:all", "intent:Warranty", ""])
async def test_a_name_that_is_no_switch_is_refused(name: str, shop_database: Database) -> None:
    with pytest.raises(UnknownSwitch, match="no switch"):
        await turned(shop_database, name)


@pytest.mark.parametrize(
    ("switch", "words"),
    [
        ("intent:warranty", "how long is the warranty"),
        ("route:grounded", "how long is the warranty"),
        ("tool:order_status", "where is my order"),
        ("bot", "how long is the warranty"),
    ],
)
async def test_what_is_off_goes_to_a_person_and_back(
    switch: str, words: str, shop_database: Database, keys: KeyRing
) -> None:
    """At the next turn of a conversation that is under way; other questions are answered as before."""
    board = Switchboard()
    talk = await talking(shop_database, keys, board)
    await talk.turn("when do you open")
    await turned(shop_database, switch)
    await board.refresh(shop_database)
    await talk.turn(words)
    assert talk.last is not None
    assert (talk.last.after, talk.last.decision.route) == ("hand_over", Route.PERSON)
    fired = talk.last.decision.fired
    assert fired is not None
    assert fired.name == ("bot_off" if switch == "bot" else "switched_off")
    assert fired.evidence == {"switch": switch}
    await turned(shop_database, switch, on=True)
    await board.refresh(shop_database)
    talk = await talking(shop_database, keys, board)
    await talk.turn(words)
    assert talk.last is not None
    assert talk.last.after == "continue"


async def test_one_intent_off_leaves_the_others(shop_database: Database, keys: KeyRing) -> None:
    board = Switchboard(frozenset({"intent:warranty", "tool:payment_status", "route:strong"}))
    talk = await talking(shop_database, keys, board)
    await talk.turn("when do you open")
    assert talk.last is not None
    assert talk.last.decision.action is Action.ANSWER
    assert "order number" in await talk.turn("where is my order")


async def test_a_tool_that_goes_off_behind_the_gate_is_not_asked(
    shop_database: Database, keys: KeyRing
) -> None:
    """Switched off between the digits: neither read nor retried; nobody takes it for an outage."""
    board = Switchboard()
    talk = await talking(shop_database, keys, board)
    await talk.turn("where is my order 427103")
    board.off = frozenset({"tool:order_status"})
    words = await talk.turn(Keys(digits="94107"))
    assert "side table" not in words
    assert talk.last is not None
    assert talk.last.decision.trigger == "switched_off"
    assert not any(read.result for read in talk.last.decision.tools)


def test_the_command_names_only_what_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Unknown names, two at once, and what leads to a person anyway are refused before a database is made."""
    monkeypatch.setenv("VOICEBOT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    for arguments, why in (
        (["--intent", "no_such_thing"], "there is no intent"),
        (["--intent", "distress"], "there is no intent"),
        (["--tool", "rm"], "there is no tool"),
        (["--route", "person"], "there is no route"),
        (["--tool", "order_status", "--route", "small"], "one switch at a time"),
    ):
        result = CliRunner().invoke(app, ["off", *arguments])
        assert result.exit_code == 2, arguments
        assert why in result.output


def test_the_command_switches_and_shows(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("VOICEBOT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    run = CliRunner()
    assert "intent:warranty is off" in run.invoke(app, ["off", "--intent", "warranty", "--by", "joe"]).output
    assert "off  intent:warranty  by joe" in run.invoke(app, ["switches"]).output
    assert "is on again" in run.invoke(app, ["on", "--intent", "warranty"]).output
    assert "nothing is switched off" in run.invoke(app, ["switches"]).output
