"""Only numbers on the list are dialled, and only while a team that answers them is open."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from voicebot.handoff.people import GENERAL, LAST_RESORT, People, PeopleError, Webhook
from voicebot.safety.policy.reading import read_policy

ROOT = Path(__file__).resolve().parent.parent.parent
SHOP = People.read(ROOT)
FRIDAY = datetime(2026, 11, 20, 19, tzinfo=UTC)
NIGHT = datetime(2026, 11, 21, 7, tzinfo=UTC)
TEAMS: dict[str, Any] = {
    "general": {"hours": {"mon-fri": "09:00-17:00"}, "falls_to": None},
    "delivery": {"hours": {"mon-fri": "07:00-12:00"}},
    "night": {"hours": {"every day": "00:00-24:00"}, "works_holidays": True, "falls_to": "delivery"},
    "round": {"hours": {"mon": "09:00-10:00"}, "falls_to": "about"},
    "about": {"hours": {"tue": "09:00-10:00"}, "falls_to": "round"},
}
LIST: list[dict[str, Any]] = [
    {"name": "desk", "number": "+12025550140", "skills": ["general"]},
    {"name": "van", "number": "+12025550141", "skills": ["delivery", "general"]},
]


def read(tmp_path: Path, **more: Any) -> People:
    (tmp_path / "business").mkdir(exist_ok=True)
    document = {"time_zone": "UTC", "skills": TEAMS, "destinations": LIST, **more}
    (tmp_path / "business" / "people.yaml").write_text(yaml.safe_dump(document))
    return People.read(tmp_path)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("seen", "rests"),
    [
        ({}, []),
        ({"ada": True}, []),
        ({"ada": False}, ["desk"]),
        ({"ada": False, "ben": True}, []),
        ({"ada": False, "ben": False}, ["desk"]),
        ({"cleo": False}, []),
    ],
)
def test_a_number_whose_agents_all_pause_rests(
    tmp_path: Path, seen: dict[str, bool], rests: list[str]
) -> None:
    """Who is not at the desk may be at the phone; who answers none counts for none."""
    agents = [{"id": "ada", "answers": "desk"}, {"id": "ben", "answers": "desk"}, {"id": "cleo"}]
    assert sorted(read(tmp_path, agents=agents).resting(seen)) == rests


@pytest.mark.parametrize(
    ("skill", "when", "answers", "numbers"),
    [
        ("delivery", "2026-11-20 08:00", "delivery", ["van"]),
        ("delivery", "2026-11-20 13:00", "general", ["desk", "van"]),
        ("delivery", "2026-11-20 18:00", None, []),
        ("general", "2026-11-20 18:00", None, []),
        ("nobody knows this team", "2026-11-20 10:00", "general", ["desk", "van"]),
        ("night", "2026-12-25 03:00", "night", []),
        ("round", "2026-11-20 10:00", None, []),
        ("round", "2026-11-24 09:30", "about", []),
    ],
)
def test_who_answers_and_on_which_numbers(
    tmp_path: Path, skill: str, when: str, answers: str | None, numbers: list[str]
) -> None:
    people = read(tmp_path, holidays={"2026-12-25": {"name": "Christmas"}})
    assert people.answering(at(when), skill) == answers
    assert [one.name for one in people.destinations(skill, at(when))] == numbers
    last = people.with_fallback("+4930999999")
    assert [one.name for one in last.destinations(skill, at(when))] == [*numbers, LAST_RESORT]


def test_a_number_that_is_not_listed_is_not_allowed(tmp_path: Path) -> None:
    people = read(tmp_path)
    assert people.allows("+12025550140")
    for number in ("+12025550149", "12025550140", "", "+4930999999"):
        assert not people.allows(number)
    assert people.with_fallback("+4930999999").allows("+4930999999")
    assert people.with_fallback(None) is people


def test_when_somebody_answers_next_counts_who_it_falls_to(tmp_path: Path) -> None:
    people = read(tmp_path)
    assert people.opens(at("2026-11-20 18:00"), "delivery") == at("2026-11-23 07:00")
    assert people.opens(at("2026-11-23 12:30"), "delivery") == at("2026-11-23 12:30")
    assert people.next_opening(at("2026-11-23 12:30"), "delivery") == at("2026-11-24 07:00")
    closed = read(tmp_path, holidays={f"20{n // 365 + 26}-01-01": {"name": "x"} for n in range(3)})
    assert closed.next_opening(at("2025-12-31 18:00"), "general") == at("2026-01-02 09:00")


def test_without_a_file_there_is_one_team_and_nobody_to_dial(tmp_path: Path) -> None:
    people = People.read(tmp_path)
    assert people.open_at(NIGHT, GENERAL)
    assert people.destinations(GENERAL, NIGHT) == ()
    assert people.skill_of("payments team") == GENERAL


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"skills": {"delivery": {}}}, "general is missing"),
        ({"skills": {"general": {"falls_to": "nobody"}}}, "no team 'nobody'"),
        ({"skills": {**TEAMS, "general": {"hours": {"mon": "9-5"}}}}, "no span"),
        ({"skills": {"general": {"colour": "red"}}}, "skills.general.colour"),
        (
            {"destinations": [{"name": "x", "number": "030 999", "skills": ["general"]}]},
            "destinations.0.number",
        ),
        (
            {"destinations": [{"name": "x", "number": "+12025550140", "skills": ["nobody"]}]},
            "there is no team",
        ),
        ({"destinations": [{"name": "x", "number": "+12025550140", "skills": []}]}, "destinations.0.skills"),
        ({"destinations": [LIST[0], LIST[0]]}, "a name of its own"),
        ({"destinations": [{**LIST[0], "name": LAST_RESORT}]}, "a name of its own"),
        ({"time_zone": "Mars/Olympus"}, "no time zone"),
        ({"holidays": {"25.12.": {"name": "x"}}}, "with quotes"),
        ({"holidays": {"2026-12-25": {"name": "x", "hours": ["late"]}}}, "no span"),
        ({"agents": [{"id": "Ada Lovelace"}]}, "agents.0.id"),
        ({"agents": [{"id": "ada"}, {"id": "ada"}]}, "stand there twice"),
        ({"agents": [{"id": "ada", "skills": ["nobody"]}]}, "there is no team"),
        ({"agents": [{"id": "desk"}]}, "destination's name"),
        ({"agents": [{"id": "ada", "answers": "nobody"}]}, "no destination 'nobody'"),
        ({"webhook": {"url": "http://tickets.example/in"}}, "must be https"),
        ({"webhook": {"url": "ftp://tickets.example/in"}}, "must be https"),
        ({"webhook": {"url": "https://user:pass@tickets.example/"}}, "without user"),
        ({"webhook": {"url": "https:///in"}}, "without user"),
        ({"numbers": ["+12025550140"]}, "numbers"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_the_place_named(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(PeopleError, match=r"people\.yaml") as refused:
        read(tmp_path, **change)
    assert problem in str(refused.value)


@pytest.mark.parametrize("host", ["localhost:8099", "127.0.0.1:8099", "[::1]:8099"])
def test_a_webhook_to_this_machine_may_do_without_tls(host: str) -> None:
    assert Webhook(url=f"http://{host}/in")
    with pytest.raises(ValidationError):
        Webhook(url="http://127.0.0.1.example/in")


def test_the_shop_is_there_at_all_hours_and_every_owner_of_its_policy_is_a_team() -> None:
    """The demo and whoever tries it does not depend on the clock."""
    for when in (FRIDAY, NIGHT, datetime(2026, 12, 25, 8, tzinfo=UTC)):
        assert SHOP.answering(when, GENERAL) == GENERAL
        assert SHOP.destinations("payments team", when)
    owners = {rule.owner for rule in read_policy(ROOT / "business" / "policy.yaml").intents.values()}
    assert {owner for owner in owners if owner is not None} <= set(SHOP.skills)
    assert all(one.number.startswith("+120255501") for one in SHOP.destinations_)
