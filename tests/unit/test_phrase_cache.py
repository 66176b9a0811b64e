"""Fixed phrases are rendered once per voice and survive a restart; bad files and disks cost nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sound_fakes import FakeSpeech

from voicebot.audio.engines.types import EngineDown, SpokenWord
from voicebot.audio.speaking.phrases import PhraseCache

WORDS = (SpokenWord("hello", 0, 300),)


async def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    await PhraseCache(tmp_path).put("v/1", "Hello.", b"\x01\x02\x03", WORDS)
    kept = await PhraseCache(tmp_path).get("v/1", "Hello.")
    assert kept is not None
    assert (kept.ulaw, kept.words, kept.text) == (b"\x01\x02\x03", WORDS, "Hello.")


async def test_white_space_does_not_matter_but_voice_and_words_do(tmp_path: Path) -> None:
    cache = PhraseCache(tmp_path)
    await cache.put("v/1", "Hello  there.", b"\x01", ())
    assert await cache.get("v/1", " Hello there. ") is not None
    assert await cache.get("v/2", "Hello there.") is None
    assert await cache.get("v/1", "Hello there") is None


def truncate(folder: Path, keep: int) -> None:
    (file,) = folder.glob("*.wav")
    file.write_bytes(file.read_bytes()[:keep])


@pytest.mark.parametrize("keep", [0, 11, 40, 60, -3])
async def test_a_damaged_file_is_rendered_anew(tmp_path: Path, keep: int) -> None:
    await PhraseCache(tmp_path).put("v/1", "Hello.", b"\x01" * 50, WORDS)
    truncate(tmp_path, keep)
    assert await PhraseCache(tmp_path).get("v/1", "Hello.") is None


async def test_a_disk_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "phrases").write_text("a file where the folder should be")
    cache = PhraseCache(tmp_path / "phrases")
    await cache.put("v/1", "Hello.", b"\x01", ())
    assert (await cache.get("v/1", "Hello.")) is not None


async def test_warming_renders_what_is_missing_and_only_that(tmp_path: Path) -> None:
    speech = FakeSpeech(first_s=0, rate=1e6)
    assert await PhraseCache(tmp_path).warm(speech, ["One moment.", "Goodbye."]) == 2
    assert await PhraseCache(tmp_path).warm(speech, ["One moment.", "Good morning.", "Goodbye."]) == 1
    assert speech.said == ["One moment.", "Goodbye.", "Good morning."]


async def test_warming_with_a_lost_engine_says_so_and_keeps_no_half_phrase(tmp_path: Path) -> None:
    speech = FakeSpeech(first_s=0, rate=1e6, down_after_chunks=[3])
    with pytest.raises(EngineDown):
        await PhraseCache(tmp_path).warm(speech, ["One moment."])
    assert await PhraseCache(tmp_path).get(speech.voice_id, "One moment.") is None


async def test_memory_is_bounded() -> None:
    cache = PhraseCache(None, memory_bytes=2500)
    for number in range(5):
        await cache.put("v", f"phrase {number}", bytes(1000), ())
    kept = [await cache.get("v", f"phrase {number}") is not None for number in range(5)]
    assert kept == [False, False, False, True, True]
