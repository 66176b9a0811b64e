"""The figures of `/api/kpis` are exact: eleven conversations by hand, every figure worked out on paper.

The shop's table: day by Chicago's clock, what came of it, seconds to resolution, marks. S: a sign of risk.

     1 Thu phone resolved    warranty 10 s, rated 5, quoted     7 Thu chat unresolved, two gaps, S
     2 Thu phone resolved    warranty 20 s, rated 4, quoted     8 Thu chat nothing wanted
     3 Thu phone resolved    cancel_order 200 s, complex;       9 Fri chat resolved invoice_copy 40 s, rated 3
                 noted: a person was needed                    10 Fri phone left the queue, nobody came
     4 Thu phone to a person, accepted 30 s, speaking 60 s     11 Fri phone warranty 30 s, then complaint to a
                 after S, agreed, solved                                  person, speaking 100 s after S
     5 Thu phone to a person, accepted 20 s after S,
                 disagreed, not solved
     6 Thu chat  left with a gap

It is known who called, but for 6, 7 and 8; 2 repeats 1's question, and who was put through in 5 asked again.
First useful answers after 1, 2, 6 s in 1, 2, 3 and at once in 9; turns of 1 took 0.8 and 1.2 s, of 2 1.0 s.
The customer of 9 is of the segment plus.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from deployment_kit import PEOPLE
from fastapi import FastAPI
from pydantic import SecretStr

from voicebot.console import kpi_gauges
from voicebot.console.access import bearer_guard
from voicebot.console.kpis import Measures, kpis_router
from voicebot.console.readers import agent_key, readers
from voicebot.console.targets import Band, Targets, TargetsError, held
from voicebot.core import metrics
from voicebot.core.conversation import Channel
from voicebot.core.store import agent_words, handoffs, outcomes
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing

ROOT = Path(__file__).resolve().parent.parent.parent
THURSDAY = datetime(2026, 11, 20, 5, 59, tzinfo=UTC)
"""A minute before midnight in Chicago, where it is the nineteenth."""
FRIDAY = datetime(2026, 11, 20, 6, 1, tzinfo=UTC)
KNOWN = {"told_apart": True}
TOKEN = SecretStr("token-of-the-test")


class Table:
    """Conversations written by hand."""

    def __init__(self, tx: Transaction, keys: KeyRing) -> None:
        self.tx, self.keys, self.n = tx, keys, 0

    async def row(
        self,
        at: datetime,
        channel: str,
        resolution: str,
        *wants: tuple[Any, ...],
        disposition: str = "answered",
        **more: Any,
    ) -> str:
        """``wants``: (intent, resolution, seconds or None, complex, gaps, grounded), the main one last."""
        self.n += 1
        cv = await Conversations(self.keys).create(
            self.tx, channel=Channel(channel), call_sid=None, caller=None, called=None, state={}
        )
        await self.tx.execute("UPDATE conversations SET created_at = %s WHERE id = %s", (at, cv))
        intents = [
            {
                "intent": intent, "category": "orders" if intent == "cancel_order" else "care",
                "resolution": how, "complex": complex_, "gaps": gaps, "grounded": grounded, "asked_at": at,
                "resolved_at": None if seconds is None else at + timedelta(seconds=seconds),
                "repeats": "cv_1" if more.get("is_repeat") else None,
                "repeated_by": "cv_2" if more.get("asked_again") else None,
                "first_useful_s": more.get("first_useful_s"),
            }
            for intent, how, seconds, complex_, gaps, grounded in wants
        ]  # fmt: skip
        claimed = outcomes.Claimed(cv, channel, "ended", 0, at, at, "goodbye", erased=False)
        await outcomes.save(
            self.tx,
            claimed,
            {
                "channel": channel, "disposition": disposition, "resolution": resolution, "began_at": at,
                "intent": wants[-1][0] if wants else "", "escalated": False,
                "gaps": sum(one[4] for one in wants), "grounded": sum(one[5] for one in wants), **more,
            },
            intents,
        )  # fmt: skip
        return cv

    async def person(self, cv: str, at: datetime, skill: str = "general", **steps: int) -> str:
        """A handoff whose steps came so many seconds after ``at``."""
        handoff = await handoffs.save(
            self.tx, self.keys, conversation_id=cv, turn=1, trigger="t", urgency="normal", payload={},
            skill=skill,
        )  # fmt: skip
        for what, seconds in steps.items():
            await self.tx.execute(
                "INSERT INTO handoff_changes (handoff_id, what, who, at) VALUES (%s, %s, 'ada', %s)",
                (handoff, what, at + timedelta(seconds=seconds)),
            )
        return handoff

    async def say(self, cv: str, kind: Any, value: str, handoff: str | None = None) -> None:
        turn = 1 if handoff is None else None
        await agent_words.say(
            self.tx, self.keys, conversation_id=cv, kind=kind, value=value, who="ada", text=None,
            handoff_id=handoff, turn=turn,
        )  # fmt: skip


async def fill(tx: Transaction, keys: KeyRing) -> None:
    """The table above."""
    table, thu, fri = Table(tx, keys), THURSDAY, FRIDAY
    to_person: dict[str, Any] = {"escalated": True, "disposition": "handed_over", "first_sign": "mood"}
    one = await table.row(thu, "phone", "resolved", ("warranty", "resolved", 10, False, 0, 1), **KNOWN,
                          first_useful_s=1.0, waited_ms=[1200, 800])  # fmt: skip
    two = await table.row(thu, "phone", "resolved", ("warranty", "resolved", 20, False, 0, 1), **KNOWN,
                          first_useful_s=2.0, waited_ms=[1000], is_repeat=True)  # fmt: skip
    three = await table.row(thu, "phone", "resolved", ("cancel_order", "resolved", 200, True, 0, 0), **KNOWN,
                            first_useful_s=6.0)  # fmt: skip
    complaint = ("complaint", "handed_over", None, True, 0, 0)
    four = await table.row(thu, "phone", "handed_over", complaint, first_sign_at=thu, **to_person, **KNOWN)
    wish = ("exchange_item", "handed_over", None, True, 0, 0)
    five = await table.row(
        thu, "phone", "handed_over", wish, first_sign_at=thu, asked_again=True, **to_person, **KNOWN
    )
    await table.row(thu, "chat", "abandoned", ("care_advice", "abandoned", None, False, 1, 0))
    gap = ("spare_parts", "unresolved", None, False, 2, 0)
    await table.row(thu, "chat", "unresolved", gap, missed_sign=True)
    await table.row(thu, "chat", "unknown", disposition="nothing_wanted")
    nine = await table.row(fri, "chat", "resolved", ("invoice_copy", "resolved", 40, False, 0, 0), **KNOWN,
                           first_useful_s=0.0, segment="plus")  # fmt: skip
    ten = await table.row(fri, "phone", "abandoned", **KNOWN, **{**to_person, "disposition": "left_queue"})
    solved = ("warranty", "resolved", 30, False, 0, 0)
    eleven = await table.row(
        fri, "phone", "handed_over", solved, complaint, first_sign_at=fri, **to_person, **KNOWN
    )
    for cv, score in ((one, 5), (two, 4), (nine, 3)):
        assert await outcomes.rate(tx, cv, score, "keys", turn=1)
        assert not await outcomes.rate(tx, cv, 1, "keys", turn=2), "once"
    await table.say(three, "note", "missed_escalation")
    handoff = await table.person(four, thu, accepted=30, bridged=60)
    await table.say(four, "verdict", "disagree", handoff)
    await table.say(four, "verdict", "agree", handoff)
    await table.say(four, "disposition", "solved", handoff)
    handoff = await table.person(five, thu, "payments team", accepted=20)
    await table.say(five, "verdict", "disagree", handoff)
    await table.say(five, "disposition", "solved", handoff)
    await table.say(five, "disposition", "not_solved", handoff)
    await table.person(ten, fri)
    await table.person(eleven, fri, accepted=50, bridged=100)


@pytest.fixture
def measures(database: Database) -> Measures:
    people = PEOPLE.model_copy(update={"time_zone": "America/Chicago"})
    targets = Targets.read(ROOT).model_copy(update={"least": 10})
    return Measures(database, people, targets, lambda: datetime(2026, 11, 22, tzinfo=UTC))


@pytest_asyncio.fixture
async def http(database: Database, keys: KeyRing, measures: Measures) -> AsyncIterator[httpx.AsyncClient]:
    async with database.transaction() as tx:
        await fill(tx, keys)
    app = FastAPI()
    who = readers(bearer_guard(TOKEN, insecure_local=False), TOKEN, measures.people)
    app.include_router(kpis_router(measures, who))
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {TOKEN.get_secret_value()}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        yield client


def values(row: dict[str, Any]) -> dict[str, float | None]:
    return {name: figure["value"] for name, figure in row["figures"].items()}


async def test_every_figure_of_the_table(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/kpis", params={"from": "2026-11-19", "to": "2026-11-20"})
    assert answer.status_code == 200, answer.text
    overall = answer.json()["overall"]
    assert overall["counts"] == {
        "conversations": 11, "wanted": 10, "resolved": 4, "unresolved": 1, "abandoned": 2, "handed_over": 3,
        "contained": 5, "solved_by_person": 1, "settled": 5, "escalated": 4, "nobody_came": 1, "missed": 2,
        "first_contacts": 7, "first_resolved": 3, "first_settled": 4, "told_apart": 8, "asked_again": 1,
        "gaps": 3, "grounded": 2, "agree": 1, "disagree": 1, "rated": 3, "rated_contained": 3, "satisfied": 2,
    }  # fmt: skip
    assert values(overall) == {
        "containment": 0.5,  # 1 2 3 7 9 of ten; 6 and 10 left, which is no containment
        "escalation": 0.4,  # 4 5 10 11
        "resolution": 0.5,  # 1 2 3 9, and 4 by a person
        "resolution_by_bot": 0.4,
        "abandonment": 0.2,
        "resolution_simple_s": 25.0,  # of 10 20 30 40
        "resolution_complex_s": 200.0,
        "safe_escalation_p50_s": 60.0,  # of 20 60 100
        "safe_escalation_p95_s": 96.0,  # nine tenths of the way from 60 to 100
        "escalation_precision": 0.5,
        "missed_escalation": 0.2,  # 3 7
        "kb_gap": 0.6,
        "csat": 4.0,
        "satisfied_deflection": 0.6667,  # 1 2 of 1 2 9
        "first_contact": 0.5714,  # 1 3 4 9 of the known but for 2
        "first_contact_by_bot": 0.4286,
        "repeat": 0.125,  # 5 of 1 2 3 4 5 9 10 11
        "first_useful_p50_s": 1.5,  # of 0 1 2 6
        "first_useful_p95_s": 5.4,
        "turn_latency_p50_s": 1.0,  # of 0.8 1.0 1.2
        "turn_latency_p95_s": 1.18,
    }
    alarms = {name: figure["alarm"] for name, figure in overall["figures"].items() if figure["alarm"]}
    few = dict.fromkeys(("csat", "resolution_simple_s", "resolution_complex_s"), "few")
    assert alarms == {"containment": "low", **few}
    assert answer.json()["categories"] == [
        {"category": "care", "wanted": 9, "resolved": 4, "resolution": 0.4444},
        {"category": "orders", "wanted": 1, "resolved": 1, "resolution": 1.0},
    ]


async def test_by_day_channel_and_intent(http: httpx.AsyncClient) -> None:
    async def rows(by: str) -> dict[str, dict[str, Any]]:
        answer = await http.get("/api/kpis", params={"by": by})
        assert answer.status_code == 200, answer.text
        return {row["key"]: row for row in answer.json()["rows"]}

    days = await rows("day")
    assert {key: row["counts"]["conversations"] for key, row in days.items()} == {
        "2026-11-19": 8,
        "2026-11-20": 3,
    }
    assert values(days["2026-11-20"])["resolution_simple_s"] == 35.0
    channels = await rows("channel")
    assert {key: row["counts"]["conversations"] for key, row in channels.items()} == {"chat": 4, "phone": 7}
    assert values(channels["chat"])["kb_gap"] == 1.0
    assert values(channels["phone"])["csat"] == 4.5
    intents = await rows("intent")
    warranty, complaint = intents["warranty"], intents["complaint"]
    assert (warranty["counts"]["wanted"], warranty["counts"]["resolved"]) == (3, 3)
    assert warranty["counts"]["escalated"] == 0, "the call of 11 went to a person for something else"
    assert (values(warranty)["csat"], values(warranty)["resolution_simple_s"]) == (4.5, 20.0)
    assert (complaint["counts"]["escalated"], values(complaint)["safe_escalation_p50_s"]) == (2, 80.0)
    assert (values(warranty)["first_contact"], values(warranty)["turn_latency_p50_s"]) == (1.0, 1.0)
    segments = await rows("segment")
    assert {key: row["counts"]["wanted"] for key, row in segments.items()} == {"": 9, "plus": 1}
    categories = await rows("category")
    assert {key: row["counts"]["resolved"] for key, row in categories.items()} == {"care": 4, "orders": 1}


async def test_from_a_figure_to_the_conversations_behind_it(http: httpx.AsyncClient) -> None:
    async def cases(figure: str, **more: Any) -> tuple[int, list[Any]]:
        answer = await http.get("/api/kpis/conversations", params={"figure": figure, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["total"], answer.json()["cases"]

    total, found = await cases("escalation")
    assert total == len({one["conversation_id"] for one in found}) == 4
    assert (await cases("escalation", side="rest"))[0] == 6
    assert (await cases("escalation", side="all"))[0] == 10
    assert (await cases("containment", key="2026-11-20"))[0] == 1
    assert (await cases("resolution", by="intent", key="warranty"))[0] == 3
    total, found = await cases("csat")
    assert [one["value"] for one in found] == [3, 4, 5], "the worst first"
    total, found = await cases("safe_escalation_p95_s", limit=2)
    assert (total, [one["value"] for one in found]) == (3, [100, 60])
    assert [one["value"] for one in (await cases("safe_escalation_p95_s", limit=2, skip=2))[1]] == [20]
    total, found = await cases("turn_latency_p50_s")
    assert (total, [one["value"] for one in found]) == (2, [1.2, 1.0])
    total, found = await cases("resolution_simple_s")
    assert [(one["intent"], one["value"]) for one in found] == [
        ("invoice_copy", 40), ("warranty", 30), ("warranty", 20), ("warranty", 10)
    ]  # fmt: skip
    assert (await cases("escalation_precision"))[0] == 1
    assert (await cases("escalation_precision", side="rest"))[0] == 1
    assert (await cases("kb_gap"))[0] == 2
    assert (await http.get("/api/kpis/conversations", params={"figure": "luck"})).status_code == 422


async def test_what_no_article_answers_is_told_by_its_public_words(
    http: httpx.AsyncClient, database: Database
) -> None:
    async with database.transaction() as tx:
        for hours, words, reason, count in (
            (0, ["boat", "insurance"], "no_grounding", 2),
            (1, ["boat", "insurance"], "weak_grounding", 2),
            (2, [], "no_grounding", 3),
            (-48, ["boat", "insurance"], "no_grounding", 9),
        ):
            await tx.execute(
                "INSERT INTO knowledge_gap_hours VALUES (%s, %s, 'spare_parts', %s, %s)",
                (THURSDAY.replace(minute=0) + timedelta(hours=hours), words, reason, count),
            )
    answer = await http.get("/api/kpis/gaps", params={"from": "2026-11-19", "to": "2026-11-20"})
    assert [(one["keywords"], one["count"], one["reasons"]) for one in answer.json()] == [
        (["boat", "insurance"], 4, ["no_grounding", "weak_grounding"]),
        ([], 3, ["no_grounding"]),
    ]


async def test_agents_see_the_plain_figures_of_their_teams_and_nothing_behind_them(
    http: httpx.AsyncClient,
) -> None:
    """Ben answers for general and payments, ada for general and deliveries: five is not hers."""
    seen: dict[str, Any] = {}
    for who in ("ada", "ben", "cleo"):
        headers = {"Authorization": f"Bearer {agent_key(TOKEN, who)}"}
        seen[who] = (await http.get("/api/kpis", headers=headers)).json()
        behind = {"figure": "escalation"}
        for path, params in (
            ("/api/kpis/conversations", behind), ("/api/kpis/gaps", {}), ("/api/kpis", {"by": "intent"}),
        ):  # fmt: skip
            status = (await http.get(path, params=params, headers=headers)).status_code
            assert status == (200 if who == "cleo" else 403), path
    assert [seen[who]["overall"]["counts"]["conversations"] for who in ("ada", "ben", "cleo")] == [3, 4, 11]
    assert sum(row["counts"]["conversations"] for row in seen["ada"]["rows"]) == 3
    assert (seen["ada"]["teams"], seen["cleo"]["teams"]) == (["general", "delivery desk"], None)
    assert set(seen["ada"]["overall"]["figures"]) == {
        "resolution", "abandonment", "escalation_precision", "safe_escalation_p50_s", "safe_escalation_p95_s",
        "csat",
    }  # fmt: skip
    assert seen["ada"]["categories"] == []


async def test_a_day_without_a_call_and_days_the_wrong_way_round(http: httpx.AsyncClient) -> None:
    nothing = await http.get("/api/kpis", params={"from": "2026-11-18", "to": "2026-11-18"})
    assert (nothing.json()["overall"], nothing.json()["rows"]) == (None, [])
    two = await http.get("/api/kpis", params={"to": "2026-11-20", "days": 2})
    assert [row["key"] for row in two.json()["rows"]] == ["2026-11-19", "2026-11-20"]
    one = await http.get("/api/kpis", params={"to": "2026-11-20", "days": 1})
    assert one.json()["overall"]["counts"]["conversations"] == 3
    wrong = await http.get("/api/kpis", params={"from": "2026-11-20", "to": "2026-11-19"})
    assert wrong.status_code == 422


@pytest.mark.parametrize(
    ("value", "of", "alarm"),
    [
        (0.59, 20, "low"),
        (0.6, 20, None),
        (0.8, 20, None),
        (0.81, 20, "high"),
        (0.81, 19, "few"),
        (None, 0, None),
    ],
)
def test_alarms_are_on_both_sides(value: float | None, of: int, alarm: str | None) -> None:
    assert held(value, of, Band(low=0.6, high=0.8), 20) == alarm


def test_the_shipped_targets_are_those_of_the_file_and_a_wrong_file_is_said(tmp_path: Path) -> None:
    assert Targets.read(ROOT) == Targets() == Targets.read(tmp_path)
    (tmp_path / "business").mkdir()
    for text in ("containment: {low: 2, high: 1}", "contaiment: {low: 1}", "csat: 4"):
        (tmp_path / "business" / "targets.yaml").write_text(text)
        with pytest.raises(TargetsError, match=r"targets\.yaml"):
            Targets.read(tmp_path)


async def test_prometheus_has_the_same_figures_with_their_alarms_and_nobody_in_a_label(
    http: httpx.AsyncClient, measures: Measures
) -> None:
    await kpi_gauges.look(measures)
    answer = await http.get("/api/kpis")
    values = {
        (sample.name, sample.labels["figure"], sample.labels.get("side")): sample.value
        for metric in (metrics.kpi, metrics.kpi_cases, metrics.kpi_alarm)
        for family in metric.collect()
        for sample in family.samples
        if sample.labels["window"] == "30d"
    }
    for name, figure in answer.json()["overall"]["figures"].items():
        assert values["voicebot_kpi", name, None] == figure["value"]
        assert values["voicebot_kpi_cases", name, None] == figure["of"]
        for side in ("low", "high"):
            assert values["voicebot_kpi_alarm", name, side] == (figure["alarm"] == side)
    (family,) = metrics.kpi.collect()
    assert {tuple(sample.labels) for sample in family.samples} == {("figure", "window")}
    today = [sample.value for sample in family.samples if sample.labels["window"] == "1d"]
    assert today
    assert all(map(math.isnan, today)), "nothing was measured today, which is not 0"
