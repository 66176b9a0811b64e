"""Windows are as long as the speech, within the floor and Whisper's 30 s; cuts fall where words stand."""

from __future__ import annotations

import pytest

from voicebot.audio.engines.whisper import windows
from voicebot.audio.engines.whisper.windows import Cut, cut, frames_of, tokens_for


@pytest.mark.parametrize(
    ("ms", "frames"),
    [
        (0, windows.FLOOR_FRAMES),
        (20, windows.FLOOR_FRAMES),
        (2000, windows.FLOOR_FRAMES),
        (5000, 600),
        (5440, 650),
        (29_990, 3000),
        (60_000, 3000),
    ],
)
def test_frames(ms: int, frames: int) -> None:
    assert frames_of(ms * 8) == frames


def test_every_window_has_its_margin_and_an_even_number_of_frames() -> None:
    for ms in range(0, 29_000, 130):
        frames = frames_of(ms * 8)
        assert frames * 10 >= min(30_000, ms + windows.MARGIN_FRAMES * 10)
        assert frames % 2 == 0


def test_the_end_of_a_turn_gets_a_longer_window() -> None:
    assert frames_of(8000, ended=True) == windows.END_FLOOR_FRAMES
    assert frames_of(10 * 8000, ended=True) == frames_of(10 * 8000)


def test_the_token_bound_grows_with_the_audio_and_ends() -> None:
    assert tokens_for(0) == windows.TOKENS_AT_LEAST
    assert tokens_for(16_000) == windows.TOKENS_AT_LEAST + 24
    assert tokens_for(30 * 8000) == windows.MOST_TOKENS


def _spans(count: int, pause_after: dict[int, int] | None = None) -> list[tuple[int, int]]:
    """Words of 400 ms; pauses of 20 ms but for those given."""
    spans, at = [], 0
    for n in range(count):
        spans.append((at, at + 400))
        at += 400 + (pause_after or {}).get(n, 20)
    return spans


def test_short_windows_are_left_alone() -> None:
    assert cut(windows.TRIM_ABOVE_MS, _spans(19), 18) is None


def test_a_long_window_is_cut_in_the_widest_pause_among_standing_words() -> None:
    spans = _spans(20, {11: 300})
    found = cut(9000, spans, standing=16)
    assert found is not None
    assert found.words == 12
    assert spans[11][1] < found.ms < spans[12][0]


def test_the_end_of_a_sentence_is_preferred() -> None:
    found = cut(9000, _spans(20, {11: 300}), standing=16, sentence_ends=[9])
    assert found is not None
    assert found.words == 10


def test_words_that_may_still_change_are_not_cut() -> None:
    assert cut(9000, _spans(20), standing=0) is None
    found = cut(9000, _spans(20), standing=3)
    assert found is not None
    assert found.words <= 3


def test_the_newest_audio_stays() -> None:
    for length in range(8100, 30_000, 700):
        spans = _spans(length // 420)
        found = cut(length, spans, standing=len(spans))
        assert found is not None
        assert length - found.ms >= windows.KEEP_MS


@pytest.mark.parametrize("length", [windows.LAST_RESORT_MS + 100, 29_000])
def test_if_nothing_ever_stands_the_window_is_cut_all_the_same(length: int) -> None:
    found = cut(length, _spans(length // 420), standing=0)
    assert found is not None
    assert found.ms > length // 3
    assert cut(length, [], standing=0) == Cut(length - windows.DROPPED_TO_MS, 0)
