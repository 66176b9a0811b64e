"""LocalAgreement: what stands was read twice in a row and never changes; the last word waits for the next."""

from __future__ import annotations

import pytest

from voicebot.audio.engines.whisper.agreement import HeardWord, LocalAgreement, agreed


def _words(text: str) -> list[HeardWord]:
    return [HeardWord(w, start_ms=100 * n, end_ms=100 * n + 80) for n, w in enumerate(text.split())]


def _heard(*readings: str, ended: bool = False) -> LocalAgreement:
    agreement = LocalAgreement()
    for reading in readings:
        agreement = agreement.hear(_words(reading), ended=ended and reading == readings[-1])
    return agreement


@pytest.mark.parametrize(
    ("readings", "standing", "still_open"),
    [
        (["i would"], "", "i would"),
        (["i would", "i would like"], "i would", "like"),
        (["i would like", "i would like"], "i would", "like"),
        (["i wood like", "i would like to"], "i", "would like to"),
        (["i would", "i would like", "i would like to go"], "i would like", "to go"),
        (["open", "opening hours"], "", "opening hours"),
        (["Where is it?", "where is it now"], "where is it", "now"),
        (["", "hello there"], "", "hello there"),
        (["hello there", ""], "", ""),
    ],
)
def test_words_stand_after_two_readings(readings: list[str], standing: str, still_open: str) -> None:
    agreement = _heard(*readings)
    assert " ".join(w.text for w in agreement.standing) == standing
    assert " ".join(w.text for w in agreement.open) == still_open


def test_the_last_word_stands_when_the_audio_ended_in_silence() -> None:
    assert len(_heard("two lamps", "two lamps", ended=True).standing) == 2


def test_what_stands_never_changes() -> None:
    """A reading that contradicts it is not believed, and the next one goes on from what stood."""
    agreement = _heard("we want two lamps", "we want two lamps please")
    before = agreement.standing
    agreement = agreement.hear(_words("he wants blue lamps"))
    assert agreement.standing == before
    agreement = agreement.hear(_words("we want two lamps please now"))
    assert agreement.standing[: len(before)] == tuple(_words("we want two lamps")[: len(before)])


def test_standing_words_only_grow() -> None:
    text = "can you tell me where my order is please"
    words = text.split()
    agreement, counts = LocalAgreement(), []
    for end in range(1, len(words) + 1):
        agreement = agreement.hear(_words(" ".join(words[:end])))
        counts.append(agreement.standing_count)
    assert counts == sorted(counts)
    assert counts[-1] == len(words) - 1


def test_a_cut_keeps_the_rest_and_moves_its_times() -> None:
    agreement = _heard("one two three four", "one two three four five").without(2, 150)
    assert [w.text for w in agreement.standing] == ["three", "four"]
    assert [w.text for w in agreement.open] == ["five"]
    assert agreement.standing[0].start_ms == 50
    assert agreement.hear(_words("three four five six")).standing_count == 3


def test_agreed_counts_from_the_front() -> None:
    assert agreed(["a", "b", "c"], ["a", "b", "d"]) == 2
    assert agreed([], ["a"]) == 0
