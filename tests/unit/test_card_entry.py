"""A card on the keypad: each field is checked and asked for again; its digits can be overwritten."""

from __future__ import annotations

import pickle
from datetime import date

import pytest

from voicebot.audio.mulaw import SILENCE
from voicebot.audio.recording.pausing import Pauses
from voicebot.safety.cards import CardEntry, Digits

TODAY = date(2026, 11, 21)
VISA, AMEX = "4242424242424242", "378282246310005"


def typed(keys: str, entry: CardEntry | None = None) -> CardEntry:
    entry = entry or CardEntry(TODAY)
    for key in keys:
        entry.press(key, 0.0)
    return entry


@pytest.mark.parametrize(
    "keys",
    [
        f"{VISA}1126123",
        f"{VISA}#1228#123#",
        f"{AMEX}11271234",
        "6759649826438453#1129123",  # maestro, 16
        "4222222222222#1126999",  # 13 digits end with #
    ],
)
def test_a_card_that_is_whole(keys: str) -> None:
    """With and without ``#``; the month it runs out counts."""
    entry = typed(keys)
    assert entry.over == "complete"
    assert entry.step.attempt == 1


@pytest.mark.parametrize(
    ("keys", "field", "wrong"),
    [
        ("4242424242424241#", "number", "number"),
        ("42#", "number", "number"),
        ("#", "number", "nothing"),
        (f"{VISA}1026", "expiry", "date"),
        (f"{VISA}1326", "expiry", "date"),
        (f"{VISA}1199", "expiry", "date"),
        (f"{VISA}11#", "expiry", "date"),
        (f"{VISA}112612#", "code", "code"),
        (f"{AMEX}1126123#", "code", "code"),
    ],
)
def test_what_is_wrong_is_asked_for_again(keys: str, field: str, wrong: str) -> None:
    """The field before it stays; the third time it is over."""
    entry = typed(keys)
    assert (entry.step.field, entry.step.attempt, entry.step.wrong) == (field, 2, wrong)
    typed("0#0#" if field != "expiry" else "00000000", entry)
    assert entry.over == "spent"


def test_star_stops_it_anywhere_and_nothing_counts_after() -> None:
    """Also in the middle of a number."""
    entry = typed("4242*")
    assert entry.over == "stopped"
    assert not entry.press("4", 1.0)


def test_a_pause_ends_a_field_and_silence_asks_again() -> None:
    """The pause runs from the last key, the silence from the question."""
    entry = CardEntry(TODAY)
    assert entry.wait_s(0.0) is None  # still being asked
    entry.asked(1.0)
    assert entry.wait_s(1.0) == 15.0
    assert not entry.due(15.9)
    assert entry.due(16.0)
    assert entry.step.wrong == "nothing"
    for key in "4222222222222":
        entry.press(key, 20.0)
    assert not entry.due(25.9)
    assert entry.due(26.0)
    assert entry.step.field == "expiry"


def test_digits_are_never_shown_and_are_overwritten() -> None:
    """Neither by a print nor by a pickle; the buffer that was handed out is the one that is wiped."""
    entry = typed(VISA)
    number = entry.card.number
    view = number.view()
    assert bytes(view) == VISA.encode()
    assert VISA not in f"{entry!r} {entry.card!r} {number!r}"
    with pytest.raises(TypeError):
        pickle.dumps(number)
    entry.wipe()
    assert bytes(view) == bytes(16)
    assert len(number) == 0


def test_too_many_digits_are_no_card() -> None:
    """What does not fit is dropped, and the check fails, though that of the digits before it holds."""
    digits = Digits(16)
    for key in VISA:
        digits.add(key)
    assert digits.luhn()
    digits.add("1")
    assert len(digits) == 16
    assert not digits.luhn()


def test_a_pause_silences_by_place_also_what_comes_late() -> None:
    """The bot's audio is placed after it was played; what lies before and after a stretch stays."""
    pauses = Pauses()
    sound = bytes([7]) * 80  # 10 ms
    pauses.begin(100)
    assert pauses.hushed(sound, 90) == sound
    assert pauses.hushed(sound, 95) == sound[:40] + bytes([SILENCE]) * 40
    assert pauses.hushed(sound, 500) == bytes([SILENCE]) * 80
    assert pauses.end(200) == (100, 200)
    assert pauses.hushed(sound, 150) == bytes([SILENCE]) * 80
    assert pauses.hushed(sound, 195) == bytes([SILENCE]) * 40 + sound[40:]
    assert pauses.hushed(sound, 200) == sound
    assert pauses.end(300) is None
