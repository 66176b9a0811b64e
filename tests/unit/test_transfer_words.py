"""What is said during a transfer: lines in turn, the briefing rendered once, else Twilio's voice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from deployment_kit import REFERENCE

from voicebot.audio.mulaw import decode
from voicebot.audio.speaking.wavefile import from_wav
from voicebot.channels.twilio.transfer import words as words_module
from voicebot.channels.twilio.transfer.documents import hold_sound
from voicebot.channels.twilio.transfer.words import KEYS, Words, waiting_key
from voicebot.handoff.transfer.states import State, Transfer, Tried
from voicebot.runtime.transfers import UNREADABLE, brief

LINES = REFERENCE.phrases
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def waiting(state: State, *tried: Tried) -> Transfer:
    return Transfer(
        id="tr_" + "a" * 32,
        conversation="cv_1",
        call="CA1",
        destinations=("desk",),
        state=state,
        tried=tried,
        requested_at=NOW,
        since=NOW,
        dialled_at=NOW,
    )


async def test_a_caller_hears_the_wordings_in_turn() -> None:
    """Never the same one twice in a row, however long it takes."""
    words = Words(LINES)
    said = [(await words.said("waiting", nth))[0] for nth in range(7)]
    assert all(one != other for one, other in pairwise(said))


@pytest.mark.parametrize(
    ("transfer", "key"),
    [
        (None, "waiting"),
        (waiting(State.REQUESTED), "waiting"),
        (waiting(State.BRIEFING), "waiting"),
        (waiting(State.RINGING, Tried(destination="desk", outcome="busy")), "another"),
        (waiting(State.ACCEPTED), "coming"),
        (waiting(State.BUSY), "sending"),
    ],
)
def test_a_caller_hears_how_it_stands(transfer: Transfer | None, key: str) -> None:
    """Nobody is told of a colleague who comes while the phone still rings."""
    assert waiting_key(transfer) == key


async def test_every_line_has_its_words() -> None:
    """And none is promised as a sound that was not rendered."""
    words = Words(LINES)
    for key in KEYS:
        text, sound = await words.said(key)  # pyright: ignore[reportArgumentType]
        assert text
        assert sound is None


async def test_a_briefing_is_rendered_once_and_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has picked up does not wait for an engine: Twilio's voice reads it. One that fails is no harm."""
    monkeypatch.setattr(words_module, "RENDER_S", 0.01)
    going, asked = asyncio.Event(), 0

    async def slow(_: str) -> bytes | None:
        nonlocal asked
        asked += 1
        await going.wait()
        return b"wav"

    words = Words(LINES, render=slow)
    assert await words.briefing("tr_1", "A caller.") == ("A caller.", None)
    monkeypatch.setattr(words_module, "RENDER_S", 30.0)
    going.set()
    assert await words.briefing("tr_1", "A caller.") == ("A caller.", "/twilio/transfer/tr_1/briefing.wav")
    assert asked == 1

    async def fails(_: str) -> bytes | None:
        raise RuntimeError("the engine fails")

    assert await Words(LINES, render=fails).briefing("tr_2", "A caller.") == ("A caller.", None)


def test_a_handoff_of_another_version_has_a_briefing_too() -> None:
    """A person is not rung in silence because a payload cannot be read."""
    assert brief({"version": 1}) == UNREADABLE


def test_the_hold_sound_has_no_gap() -> None:
    """Twice in a row it is heard in every tenth of a second, and quieter than a voice; 130 kB at most."""
    data = hold_sound().read_bytes()
    assert len(data) < 130_000
    sound = decode(from_wav(data).ulaw * 2).astype(float)
    level = np.sqrt((sound[: sound.size // 800 * 800].reshape(-1, 800) ** 2).mean(axis=1))
    assert level.min() > 100
    assert np.abs(sound).max() < 0.25 * 32768
