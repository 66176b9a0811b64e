"""What may be dialled, when, and what follows a try: refused unless every rule agrees."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deployment_kit import PEOPLE

from voicebot.channels.twilio.outbound.answering import Then, detection, ended_as, on_answer
from voicebot.dialogue.flow.calling import wants_no_calls
from voicebot.dialogue.flow.leaving import is_over, wants_to_leave_a_message
from voicebot.dialogue.flow.linking import wants_link
from voicebot.handoff.outbound import After, Order, Outbound, OutboundError, Outcome, Refused, zones_of
from voicebot.handoff.people import People

ROOT = Path(__file__).resolve().parents[2]
NUMBER = "+12025550123"  # New York's time
NOON = datetime(2026, 11, 18, 17, 0, tzinfo=UTC)  # a Wednesday, noon there


def rules(**changes: Any) -> Outbound:
    given: dict[str, Any] = {
        "allow": ["+1202"],
        "deny": ["+1202900"],
        "hours": {"mon-fri": "08:00-20:00"},
        "time_zone": "UTC",
    }
    return Outbound.model_validate(given | changes, strict=False)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({}, None),
        ({"consent": False}, Refused.NO_CONSENT),
        ({"purpose": "selling"}, Refused.UNKNOWN_PURPOSE),
        ({"number": "+13125550123"}, Refused.NOT_ALLOWED),
        ({"number": "+12029005555"}, Refused.NOT_ALLOWED),
        ({"number": "2025550123"}, Refused.NOT_A_NUMBER),
        ({"number": "+1202555"}, Refused.NOT_A_NUMBER),
        ({"left_alone": True}, Refused.NOT_TO_BE_CALLED),
        ({"ordered_today": 3}, Refused.TOO_OFTEN),
        ({"ordered_today": 2}, None),
        ({"bot_on": False}, Refused.BOT_OFF),
    ],
)
def test_an_order(change: dict[str, Any], refused: Refused | None) -> None:
    order = Order(**({"number": NUMBER, "purpose": "callback", "consent": True} | change))
    assert rules().refusal(order) is refused


def test_numbers_of_our_own_do_not_call_each_other() -> None:
    assert rules().dialable(NUMBER, own=[NUMBER]) is Refused.OWN_NUMBER


def test_without_a_file_nothing_is_dialled(tmp_path: Path) -> None:
    assert Outbound.read(tmp_path, People()).dialable(NUMBER) is Refused.NOT_ALLOWED


@pytest.mark.parametrize("text", ["allow: [202]", "hours: {mon: 8-20}", "tries: 0", "calls: 3", "allow: ["])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "business").mkdir()
    (tmp_path / "business" / "outbound.yaml").write_text(text)
    with pytest.raises(OutboundError, match=r"outbound\.yaml"):
        Outbound.read(tmp_path, People())


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        (NOON, NOON),
        (datetime(2026, 11, 18, 9, 0, tzinfo=UTC), datetime(2026, 11, 18, 13, 0, tzinfo=UTC)),  # 4 am there
        (datetime(2026, 11, 18, 21, 0, tzinfo=UTC), datetime(2026, 11, 19, 13, 0, tzinfo=UTC)),  # 9 pm here
        (datetime(2026, 11, 20, 19, 59, tzinfo=UTC), datetime(2026, 11, 20, 19, 59, tzinfo=UTC)),
        (datetime(2026, 11, 20, 20, 0, tzinfo=UTC), datetime(2026, 11, 23, 13, 0, tzinfo=UTC)),  # the weekend
    ],
)
def test_people_are_called_by_their_clock_and_by_ours(at: datetime, opens: datetime) -> None:
    assert rules().next_opening(at, NUMBER) == opens


def test_a_holiday_is_no_day_for_calls() -> None:
    closed = rules(holidays=[date(2026, 11, 18).isoformat()])
    assert not closed.open_at(NOON)
    assert closed.next_opening(NOON) == datetime(2026, 11, 19, 8, 0, tzinfo=UTC)


def test_a_number_that_is_everywhere_tells_no_zone() -> None:
    assert zones_of("+18005550123") == ()


@pytest.mark.parametrize(
    ("outcome", "tries", "after", "minutes"),
    [
        ("busy", 1, After.AGAIN, 10),
        ("no_answer", 2, After.AGAIN, 60),
        ("machine", 2, After.AGAIN, 60),
        ("no_answer", 3, After.GONE, None),
        ("refused", 1, After.FAILED, None),
        ("fax", 1, After.FAILED, None),
    ],
)
def test_tries_are_bounded_and_spaced(
    outcome: Outcome, tries: int, after: After, minutes: int | None
) -> None:
    verdict = rules().after_try(outcome, tries, NOON, number=NUMBER)
    expected = None if minutes is None else NOON + timedelta(minutes=minutes)
    assert (verdict.after, verdict.next_at) == (after, expected)


def test_a_try_is_not_made_at_night() -> None:
    late = datetime(2026, 11, 18, 19, 55, tzinfo=UTC)
    verdict = rules().after_try("busy", 1, late, number=NUMBER, asked_for=False)
    assert verdict.next_at == datetime(2026, 11, 19, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("by", "machine", "messages", "then"),
    [
        ("human", "message", 0, Then.TALK),
        ("unknown", "message", 0, Then.TALK),
        ("", "message", 0, Then.TALK),
        ("machine_end_beep", "message", 0, Then.MESSAGE),
        ("machine_end_silence", "message", 0, Then.MESSAGE),
        ("machine_end_beep", "message", 1, Then.HANG_UP),
        ("machine_end_beep", "hang_up", 0, Then.HANG_UP),
        ("machine_start", "message", 0, Then.HANG_UP),  # its greeting still runs
        ("fax", "message", 0, Then.HANG_UP),
    ],
)
def test_who_answered(by: str, machine: str, messages: int, then: Then) -> None:
    assert on_answer(by, rules(machine=machine), messages=messages) is then


def test_a_message_needs_the_end_of_the_greeting() -> None:
    assert detection(rules(machine="message"))["MachineDetection"] == "DetectMessageEnd"
    assert detection(rules(machine="hang_up"))["MachineDetection"] == "Enable"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("busy", "busy"),
        ("no-answer", "no_answer"),
        ("completed", "no_answer"),
        ("ringing", None),
        ("x", None),
    ],
)
def test_how_a_call_ended(status: str, outcome: Outcome | None) -> None:
    assert ended_as(status) == outcome


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("please don't call me again", True), ("you have the wrong number", True), ("stop calling me", True),
        ("take me off your list", True), ("yes put me through", False), ("don't worry, go on", False),
        ("i never called you", False), ("you can call me tomorrow", False),
    ],
)  # fmt: skip
def test_who_wants_to_be_left_alone(text: str, meant: bool) -> None:
    assert wants_no_calls(text) is meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("can i leave a message", True), ("i'd rather leave a short voice message", True),
        ("voicemail", True),
        ("a message please", True), ("i got a message from you", False), ("i sent you a message", False),
        ("leave the parcel at the door", False),
    ],
)  # fmt: skip
def test_who_wants_to_leave_a_message(text: str, meant: bool) -> None:
    assert wants_to_leave_a_message(text) is meant


@pytest.mark.parametrize(
    ("text", "over"),
    [
        ("that's all", True), ("okay thank you, that's it", True), ("i'm done", True), ("goodbye", True),
        ("that's all that arrived and the lamp is missing from it", False), ("please send somebody", False),
    ],
)  # fmt: skip
def test_when_a_message_is_over(text: str, over: bool) -> None:
    assert is_over(text) is over


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("can you text me the link", True), ("send it to my phone", True), ("send me that page please", True),
        ("text me", True), ("i never got the link you sent", False), ("where is the tracking link", False),
        ("can you send me an agent", False),
    ],
)  # fmt: skip
def test_who_wants_a_link(text: str, meant: bool) -> None:
    assert wants_link(text) is meant


def test_the_deployments_own_rules() -> None:
    found = Outbound.read(ROOT, PEOPLE)
    assert found.dialable("+12025550123") is None
    assert found.dialable("+19005550123") is Refused.NOT_ALLOWED
    assert not found.open_at(datetime(2026, 11, 26, 20, 0, tzinfo=UTC))  # Thanksgiving
