"""Keys pressed together are one input: a number is never split, and key 0 alone is not lost."""

import pytest

from voicebot.channels.keys import BETWEEN_KEYS_S, SINGLE_KEY_S, KeyBuffer
from voicebot.core.conversation import Expects


def pressed(buffer: KeyBuffer, digits: str, start: float = 0.0, step: float = 0.3) -> list[str]:
    """Presses one key every ``step`` seconds and returns what became whole."""
    done = [buffer.press(digit, start + i * step) for i, digit in enumerate(digits)]
    return [keys.digits for keys in done if keys]


def test_a_number_is_whole_at_the_length_that_was_asked():
    buffer = KeyBuffer()
    buffer.expect(Expects(kind="digits", length=6))
    assert pressed(buffer, "427103") == ["427103"]
    assert buffer.wait_s(10) is None


def test_hash_ends_a_shorter_number():
    buffer = KeyBuffer()
    buffer.expect(Expects(kind="digits", length=6))
    assert pressed(buffer, "4271#") == ["4271"]


def test_star_throws_away_what_was_keyed():
    buffer = KeyBuffer()
    buffer.expect(Expects(kind="digits", length=3))
    assert pressed(buffer, "12*345") == ["*", "345"]


def test_a_leading_zero_of_a_number_is_not_a_call_for_a_person():
    buffer = KeyBuffer()
    buffer.expect(Expects(kind="digits", length=5))
    assert pressed(buffer, "02139") == ["02139"]


@pytest.mark.parametrize(
    ("expects", "pause"), [(Expects(), SINGLE_KEY_S), (Expects(kind="digits", length=6), BETWEEN_KEYS_S)]
)
def test_a_lone_zero_comes_out_after_the_pause_and_not_before(expects: Expects, pause: float):
    buffer = KeyBuffer()
    buffer.expect(expects)
    assert buffer.press("0", 1.0) is None
    assert buffer.due(1.0 + pause - 0.01) is None
    keys = buffer.due(1.0 + pause)
    assert keys is not None
    assert keys.digits == "0"


def test_digits_keyed_before_they_were_asked_for_count():
    buffer = KeyBuffer()
    pressed(buffer, "427")
    buffer.expect(Expects(kind="digits", length=6))
    assert pressed(buffer, "103", start=1.0) == ["427103"]
