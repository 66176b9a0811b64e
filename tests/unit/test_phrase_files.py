"""Mu-law WAV files: what is written is read, any other file is refused, and the emergency lines are whole."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio.engines.types import SpokenWord
from voicebot.audio.speaking.emergency import LINES, UnknownLine, line, line_path, load_lines
from voicebot.audio.speaking.wavefile import NotAPhrase, SpokenAudio, from_wav, to_wav

words = st.builds(SpokenWord, st.text(max_size=8), st.integers(0, 9999), st.integers(0, 9999))


@given(st.binary(max_size=200), st.lists(words, max_size=4), st.text(max_size=30))
def test_round_trip(ulaw: bytes, spoken: list[SpokenWord], text: str) -> None:
    audio = SpokenAudio(ulaw, tuple(spoken), text)
    assert from_wav(to_wav(audio)) == audio


@given(st.binary(max_size=120))
def test_anything_else_is_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(NotAPhrase):
        from_wav(data)


@given(st.integers(0, 200), st.integers(0, 255))
def test_an_altered_file_is_read_or_refused(at: int, value: int) -> None:
    data = bytearray(to_wav(SpokenAudio(b"\x80" * 50, (SpokenWord("a", 0, 1),), "a")))
    data[at % len(data)] = value
    with contextlib.suppress(NotAPhrase):
        from_wav(bytes(data))


def test_a_pcm_file_is_refused_by_name() -> None:
    data = to_wav(SpokenAudio(b"\x80"))
    pcm = data.replace(struct.pack("<HH", 7, 1), struct.pack("<HH", 1, 1), 1)
    with pytest.raises(NotAPhrase, match="format 1"):
        from_wav(pcm)


@pytest.mark.parametrize("name", LINES)
def test_each_emergency_line_is_there_and_says_its_text(name: str) -> None:
    audio = line(name)
    assert audio.text == LINES[name], "run scripts/make_lines.py"
    assert [word.text for word in audio.words] == LINES[name].split()
    assert 0.5 < len(audio.ulaw) / 8000 < 8


@pytest.mark.parametrize("name", ["", "nope", "../lines/one_moment", "one_moment.wav"])
def test_no_other_path_can_be_asked_for(name: str) -> None:
    with pytest.raises(UnknownLine):
        line_path(name)


def test_all_lines_load() -> None:
    load_lines()
