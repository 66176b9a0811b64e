"""Every sample lies at its time on the media clock, however late, lost or repeated the pieces come."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebot.audio.mulaw import SILENCE
from voicebot.audio.recording.tracks import BOT, CALLER, HELD_S, SNAP_MS, Chunk, Tracks, deinterleave


def whole(chunks: list[Chunk]) -> np.ndarray:
    """The recording, mu-law ``[samples, 2]``."""
    parts = [
        deinterleave(c.ulaw) if c.ulaw else np.full((c.samples, 2), SILENCE, dtype=np.uint8) for c in chunks
    ]
    return np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.uint8)


def record(*pieces: tuple[int, bytes, int]) -> np.ndarray:
    tracks = Tracks()
    chunks = [chunk for piece in pieces for chunk in tracks.place(*piece)]
    return whole(chunks + tracks.rest())


def test_both_channels_lie_where_they_belong() -> None:
    sound = record((CALLER, b"\x01" * 160, 20), (BOT, b"\x02" * 80, 30))
    assert sound.shape == (320, 2)
    assert (np.flatnonzero(sound[:, 0] == 1) == np.arange(160, 320)).all()
    assert (np.flatnonzero(sound[:, 1] == 2) == np.arange(240, 320)).all()
    assert (sound[:160] == SILENCE).all()


def test_bot_audio_may_come_seconds_late() -> None:
    pieces = [(CALLER, b"\x01" * 160, at) for at in range(0, 4000, 20)]
    sound = record(*pieces, (BOT, b"\x02" * 800, 500))
    assert (np.flatnonzero(sound[:, 1] == 2) == np.arange(4000, 4800)).all()


def test_audio_later_than_what_is_held_is_counted_and_dropped() -> None:
    tracks = Tracks()
    for at in range(0, (HELD_S + 3) * 1000, 20):
        tracks.place(CALLER, b"\x01" * 160, at)
    tracks.place(BOT, b"\x02" * 800, 0)
    assert tracks.late_ms == 100


def test_marks_that_jitter_leave_no_seam() -> None:
    """Two pieces that followed on must not overlap or part by a few ms: that would click."""
    sound = record((BOT, b"\x02" * 800, 1000), (BOT, b"\x03" * 800, 1100 + SNAP_MS - 1))
    assert (sound[8000:8800, 1] == 2).all()
    assert (sound[8800:9600, 1] == 3).all()


def test_a_pause_of_an_hour_costs_no_memory() -> None:
    tracks = Tracks()
    tracks.place(CALLER, b"\x01" * 160, 0)
    chunks = tracks.place(CALLER, b"\x01" * 160, 3_000_000)
    assert sum(len(chunk.ulaw) for chunk in chunks) <= 4 * 16_000
    total = sum(chunk.samples for chunk in chunks + tracks.rest())
    assert total == 3_000_020 * 8


def test_an_absurd_timestamp_moves_nothing() -> None:
    tracks = Tracks()
    tracks.place(CALLER, b"\x01" * 160, 0)
    assert tracks.place(CALLER, b"\x01" * 160, 2**53) == []
    assert tracks.place(CALLER, b"\x01" * 160, -5) == []
    assert tracks.head_ms == 20


moves = st.lists(
    st.tuples(
        st.sampled_from(["next", "next", "next", "lost", "again", "bot"]),
        st.integers(1, 60),
        st.sampled_from([80, 160, 160, 161, 1600, 2400]),
    ),
    max_size=80,
)


@settings(deadline=None)
@given(moves)
def test_what_follows_on_is_joined_and_lies_where_it_would(moves: list[tuple[str, int, int]]) -> None:
    """Whole frames, some lost, some once more, the bot's between them: as if each were placed by itself."""
    tracks, chunks = Tracks(), list[Chunk]()
    expected = np.full((80 * 3000, 2), SILENCE, dtype=np.uint8)
    at_ms = bot_ms = head = 0
    for number, (move, ms, length) in enumerate(moves):
        piece = bytes([number % 250]) * length
        channel, where = CALLER, at_ms
        if move == "bot" and bot_ms - at_ms < 3000:  # further ahead the caller would come too late
            channel, where = BOT, max(at_ms, bot_ms) + SNAP_MS + 1
            bot_ms = where + -(-length // 8)
        elif move == "lost":
            where += ms
        elif move == "again":
            where = max(0, where - ms)
        chunks += tracks.place(channel, piece, where)
        expected[where * 8 : where * 8 + length, channel] = number % 250
        head = max(head, where * 8 + length)
        at_ms = max(at_ms, where + -(-length // 8)) if channel == CALLER else at_ms
        assert tracks.head_ms == head // 8
    sound = whole(chunks + tracks.rest())
    assert len(sound) == head
    assert tracks.late_ms == tracks.dropped_ms == 0
    assert (sound == expected[:head]).all()


pieces = st.lists(
    st.tuples(st.sampled_from([CALLER, BOT]), st.integers(0, 400), st.integers(1, 900)), max_size=60
)


@settings(deadline=None)
@given(pieces, st.randoms())
def test_any_order_within_the_held_time_gives_the_same_recording(
    steps: list[tuple[int, int, int]], dice: object
) -> None:
    """The place of a piece depends on its timestamp alone."""
    expected = np.full((400 * 8 * 61 + 900, 2), SILENCE, dtype=np.uint8)
    placed: list[tuple[int, bytes, int]] = []
    ends = [0, 0]
    for number, (channel, after_ms, length) in enumerate(steps):
        # Pieces of one channel do not overlap, and are not so close that they would be joined.
        at_ms = ends[channel] + SNAP_MS + 1 + after_ms % 40
        ends[channel] = at_ms + -(-length // 8)
        piece = bytes([number % 250]) * length
        expected[at_ms * 8 : at_ms * 8 + length, channel] = number % 250
        placed.append((channel, piece, at_ms))
    for at in range(0, len(placed), 5):
        some = placed[at : at + 5]
        dice.shuffle(some)  # type: ignore[attr-defined]
        placed[at : at + 5] = some
    sound = record(*placed)
    assert (sound == expected[: len(sound)]).all()
    assert (expected[len(sound) :] == SILENCE).all()
