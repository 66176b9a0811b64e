"""Figures are exact, whichever way they were counted, and the parts add up to the whole.

Random conversations are counted again in Python: whether days were kept or not, and after anything changed.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.console.figures import MADE, figures
from voicebot.console.targets import Targets
from voicebot.core.conversation import Channel
from voicebot.core.store import agent_words, handoffs, kpi_days, kpis, outcomes
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.kpi_days import Tally, bounds
from voicebot.core.store.kpi_units import BEHIND, EVERY_BY, By

ZONE = "America/Chicago"
FIRST, LAST = date(2026, 10, 29), date(2026, 11, 4)
"""With the night in which the clocks go back."""
BEGIN = datetime(2026, 10, 29, 5, tzinfo=UTC)
SPAN: dict[str, Any] = {"first": FIRST, "last": LAST, "zone": ZONE}
RESOLUTIONS = ("resolved", "unresolved", "abandoned", "handed_over", "unknown")


def invented(chance: random.Random, at: datetime) -> dict[str, Any]:
    """A conversation as it could stand in the tables, columns of ``outcomes`` with its ``intents``."""
    intents = [
        {
            "intent": name, "category": name[0], "resolution": (how := chance.choice(RESOLUTIONS[:4])),
            "complex": chance.random() < 0.3, "gaps": chance.randrange(3), "grounded": chance.randrange(2),
            "asked_at": at,
            "resolved_at": at + timedelta(milliseconds=chance.randrange(9000)) if how == "resolved" else None,
            "repeats": chance.choice([None, "cv_a"]), "repeated_by": chance.choice([None, None, "cv_b"]),
            "first_useful_s": chance.choice([None, chance.randrange(9000) / 1000]),
        }
        for name in chance.sample(["ax", "ay", "bx"], chance.randrange(3))
    ]  # fmt: skip
    escalated = chance.random() < 0.4
    return {
        "channel": chance.choice(["phone", "chat"]), "disposition": "answered",
        "resolution": chance.choice(RESOLUTIONS if not escalated else ("handed_over", "abandoned")),
        "intent": intents[-1]["intent"] if intents else "", "escalated": escalated,
        "first_sign_at": at if escalated else None, "missed_sign": chance.random() < 0.2,
        "gaps": chance.randrange(3), "grounded": chance.randrange(3), "began_at": at,
        "segment": chance.choice(["", "plus"]), "ours": chance.random() < 0.1,
        "told_apart": chance.random() < 0.7, "asked_again": any(one["repeated_by"] for one in intents),
        "is_repeat": any(one["repeats"] for one in intents),
        "first_useful_s": chance.choice([None, chance.randrange(9000) / 1000]),
        "waited_ms": [chance.randrange(3000) for _ in range(chance.randrange(3))],
        "intents": intents, "score": chance.choice([None, 1, 3, 4, 5]), "verdicts": [], "solved": None,
        "noted": chance.random() < 0.1, "person_at": None,
    }  # fmt: skip


async def write(tx: Transaction, keys: KeyRing, chance: random.Random, one: dict[str, Any]) -> str:
    """Writes it as the server does, with a person who came or not; ``one`` is told of them."""
    cv = await Conversations(keys).create(
        tx, channel=Channel(one["channel"]), call_sid=None, caller=None, called=None, state={}
    )
    beside = ("intents", "score", "verdicts", "solved", "noted", "person_at")
    row = {name: value for name, value in one.items() if name not in beside}
    claimed = outcomes.Claimed(cv, one["channel"], "ended", 0, one["began_at"], None, "x", erased=False)
    await outcomes.save(tx, claimed, row, one["intents"])
    if one["score"] is not None:
        await outcomes.rate(tx, cv, one["score"], "keys", turn=1)
    say: dict[str, Any] = {"conversation_id": cv, "who": "ada", "text": None}
    if one["noted"]:
        await agent_words.say(tx, keys, kind="note", value="missed_escalation", turn=1, **say)
    if one["escalated"]:
        handoff = await handoffs.save(
            tx, keys, conversation_id=cv, turn=1, trigger="t", urgency="normal", payload={}
        )
        if chance.random() < 0.7:
            one["person_at"] = one["began_at"] + timedelta(milliseconds=chance.randrange(99_000))
            await tx.execute(
                "INSERT INTO handoff_changes (handoff_id, what, who, at) VALUES (%s, 'bridged', 'ada', %s)",
                (handoff, one["person_at"]),
            )
        for kind, value in (
            ("verdict", chance.choice(["agree", "disagree", None])),
            ("disposition", chance.choice(["solved", "not_solved", None])),
        ):
            if value is not None:
                await agent_words.say(tx, keys, kind=kind, value=value, handoff_id=handoff, **say)  # type: ignore[arg-type]
                if kind == "verdict":
                    one["verdicts"].append(value)
                else:
                    one["solved"] = value == "solved"
    return cv


def recount(told: list[dict[str, Any]], by: By) -> dict[str, dict[str, int]]:
    """The counts by the page of definitions, one unit after the other."""
    found: dict[str, dict[str, int]] = {}
    for one in told:
        wants = one["intents"] if by in ("intent", "category") else [one]
        for unit in wants:
            key = "" if by == "all" else unit[by] if by in unit else one[by]
            main = unit is one or unit["intent"] == one["intent"]
            how, wanted = unit["resolution"], unit["resolution"] != "unknown"
            again = unit["asked_again"] if unit is one else unit["repeated_by"] is not None
            repeat = unit["is_repeat"] if unit is one else unit["repeats"] is not None
            contained = how in ("resolved", "unresolved")
            solved = how == "handed_over" and main and one["solved"] is True and not again
            escalated = one["escalated"] and main
            first = wanted and one["told_apart"] and not repeat and not one["ours"]
            sign = one["missed_sign"] and (unit is one or how in ("unresolved", "abandoned"))
            rated = main and one["score"] is not None
            counts = {
                "conversations": 1, "wanted": wanted, "contained": contained,
                **{name: how == name for name in RESOLUTIONS[:4]},
                "solved_by_person": solved, "settled": how == "resolved" or solved,
                "escalated": wanted and (how == "handed_over" or escalated),
                "nobody_came": wanted and escalated and one["person_at"] is None,
                "missed": wanted and (sign or (main and one["noted"])),
                "first_contacts": first, "first_resolved": first and how == "resolved",
                "first_settled": first and (how == "resolved" or solved),
                "told_apart": wanted and one["told_apart"],
                "asked_again": wanted and one["told_apart"] and again,
                "rated": rated, "rated_contained": rated and contained,
                "satisfied": rated and contained and one["score"] >= 4,
                "gaps": unit["gaps"], "grounded": unit["grounded"],
                "agree": main * one["verdicts"].count("agree"),
                "disagree": main * one["verdicts"].count("disagree"),
                "score": one["score"] if rated else 0,
            }  # fmt: skip
            row = found.setdefault(key, dict.fromkeys(counts, 0))
            for name, n in counts.items():
                row[name] += int(n)
    return found


@pytest.fixture
def chance() -> random.Random:
    return random.Random(8)


async def fill(
    database: Database, keys: KeyRing, chance: random.Random, how_many: int
) -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = {}
    async with database.transaction() as tx:
        for _ in range(how_many):
            one = invented(chance, BEGIN + timedelta(minutes=chance.randrange(7 * 24 * 60)))
            told[await write(tx, keys, chance, one)] = one
    return told


async def counted(database: Database) -> tuple[Tally, dict[str, Tally], dict[By, dict[str, Tally]]]:
    async with database.transaction() as tx:
        return await kpis.counted(tx, by=EVERY_BY, **SPAN)


async def kept(database: Database) -> list[date]:
    days: list[date] = []
    while True:
        async with database.transaction() as tx:
            day = await kpi_days.keep(tx, ZONE)
        if day is None:
            return days
        days.append(day)


def plain(of: dict[str, Tally]) -> dict[str, dict[str, int]]:
    return {key: tally.counts for key, tally in of.items()}


async def test_every_count_is_that_of_a_recount_kept_or_not_and_parts_add_up(
    database: Database, keys: KeyRing, chance: random.Random
) -> None:
    told = await fill(database, keys, chance, 70)
    from_rows = await counted(database)
    assert len(await kept(database)) == 7
    from_days = await counted(database)
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) AS n FROM kpi_touched")).fetchone()
        assert row is not None
        assert row["n"] == 0
    for whole, days, each in (from_rows, from_days):
        for by in EVERY_BY:
            assert plain(each[by]) == recount([*told.values()], by), by
        for name, n in whole.counts.items():
            for parts in (days, each["channel"], each["segment"]):
                assert sum(tally.counts[name] for tally in parts.values()) == n, name
            assert sum(tally.counts[name] for tally in each["category"].values()) == sum(
                tally.counts[name] for tally in each["intent"].values()
            ), name
        c = whole.counts
        assert c["resolved"] + c["unresolved"] + c["abandoned"] + c["handed_over"] == c["wanted"]
        assert c["contained"] + c["abandoned"] + c["handed_over"] == c["wanted"]
    waited = sorted(ms for one in told.values() for ms in one["waited_ms"])
    useful = sorted(one["first_useful_s"] for one in told.values() if one["first_useful_s"] is not None)
    for whole, _, _ in (from_rows, from_days):
        assert whole.measured("waited_ms") == len(waited)
        assert whole.seconds("waited_ms", 0.5) == pytest.approx(percentile(waited, 0.5) / 1000)
        assert whole.seconds("first_useful_ms", 0.95) == pytest.approx(percentile(useful, 0.95))
    assert figures(from_rows[0], Targets()) == figures(from_days[0], Targets())


async def test_whatever_changes_after_a_day_was_kept_is_in_the_figures_at_once(
    database: Database, keys: KeyRing, chance: random.Random
) -> None:
    """A repeat that un-resolves, a rating, a verdict, somebody who came, an erasure; then it is kept anew."""
    told = await fill(database, keys, chance, 25)
    await kept(database)
    cv = next(cv for cv, one in told.items() if one["escalated"] and one["person_at"] is None)
    other = next(cv for cv, one in told.items() if one["resolution"] == "resolved" and one["score"] is None)

    async def unresolve(tx: Transaction) -> None:
        told[other] |= {"resolution": "unresolved", "asked_again": True}
        await tx.execute(
            "UPDATE outcomes SET resolution = 'unresolved', asked_again = true WHERE conversation_id = %s",
            (other,),
        )

    async def rate(tx: Transaction) -> None:
        told[other]["score"] = 5
        await outcomes.rate(tx, other, 5, "voice", turn=3)

    async def note(tx: Transaction) -> None:
        told[other]["noted"] = True
        await agent_words.say(
            tx,
            keys,
            conversation_id=other,
            kind="note",
            value="missed_escalation",
            who="ben",
            text=None,
            turn=1,
        )

    async def come(tx: Transaction) -> None:
        told[cv]["person_at"] = told[cv]["began_at"] + timedelta(seconds=3)
        await tx.execute(
            "INSERT INTO handoff_changes (handoff_id, what, who, at)"
            " SELECT id, 'accepted', 'ada', %s FROM handoffs WHERE conversation_id = %s",
            (told[cv]["person_at"], cv),
        )

    async def erase(tx: Transaction) -> None:
        del told[other]
        await tx.execute("DELETE FROM outcomes WHERE conversation_id = %s", (other,))
        await tx.execute("DELETE FROM csat WHERE conversation_id = %s", (other,))

    changes: list[Callable[[Transaction], Awaitable[None]]] = [unresolve, rate, note, come, erase]
    for change in changes:
        async with database.transaction() as tx:
            await change(tx)
        for _ in range(2):
            _, _, each = await counted(database)
            assert plain(each["all"]) == recount([*told.values()], "all"), change.__name__
            days = await kept(database)
        assert days == [], "kept once"


async def test_what_was_counted_by_other_rules_or_in_another_zone_is_not_used(
    database: Database, keys: KeyRing, chance: random.Random
) -> None:
    await fill(database, keys, chance, 10)
    days = await kept(database)
    right, _, _ = await counted(database)
    async with database.transaction() as tx:
        await tx.execute("UPDATE kpi_days SET counts = '{}'")
        await tx.execute("UPDATE kpi_days_made SET rules = 'old'")
    assert (await counted(database))[0].counts == right.counts
    assert await kept(database) == days
    assert (await counted(database))[0].counts == right.counts
    async with database.transaction() as tx:
        while await kpi_days.keep(tx, "Asia/Tokyo"):
            pass
        await tx.execute("UPDATE outcomes SET resolution = 'unknown'")
        while await kpi_days.keep(tx, "Asia/Tokyo"):
            pass
    assert (await counted(database))[0].counts["wanted"] == 0, "whoever counts elsewhere is not waited for"


def test_a_day_of_the_clocks_change_is_an_hour_longer() -> None:
    edges = bounds([date(2026, 11, 1), date(2026, 11, 2)], ZONE)
    since, until = ([at.astimezone(UTC) for at in edges[side]] for side in ("from", "until"))
    assert [(b - a).total_seconds() / 3600 for a, b in zip(since, until, strict=True)] == [25, 24]


def percentile(ranked: list[Any], share: float) -> float:
    at = (len(ranked) - 1) * share
    low = int(at)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (at - low)


@given(st.lists(st.lists(st.integers(0, 10**6), max_size=8), max_size=6), st.sampled_from([0.5, 0.95]))
def test_a_percentile_of_pieces_is_that_of_all_of_them(pieces: list[list[int]], share: float) -> None:
    tally = Tally()
    for piece in pieces:
        packed = b"".join(ms.to_bytes(4, "big") for ms in piece)
        tally.add({"counts": {}, **dict.fromkeys(kpi_days.TIMES, b""), "waited_ms": packed})
    ranked = sorted(ms for piece in pieces for ms in piece)
    found = tally.seconds("waited_ms", share)
    assert found == (pytest.approx(percentile(ranked, share) / 1000) if ranked else None)


def test_every_figure_has_a_target_and_its_parts_are_known() -> None:
    assert set(MADE) == set(Targets.model_fields) - {"least"}
    assert {made.whole for made in MADE.values()} <= set(BEHIND)
    assert {made.part for made in MADE.values()} - {None} <= set(BEHIND)
    empty = figures(Tally(), Targets())
    assert {figure.value for figure in empty.values()} == {None}
