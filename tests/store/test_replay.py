"""A recorded call through today's pipeline, from its sound: always the same; other sound is another call.

With the local recogniser and voice, and with the recording's own answers; on samples, in virtual time.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from dialogue_kit import DEPLOYMENT

from voicebot.audio.recording.reader import read_recording
from voicebot.core.settings import Settings, load_settings
from voicebot.proof.replay.errors import EngineMissing, NotReplayable
from voicebot.proof.replay.finding import KEY_FILE, read_key
from voicebot.proof.replay.run import Options, RecordedCall, Replayed, Replayer
from voicebot.proof.replay.samples import DAY, read_sample
from voicebot.proof.replay.world import World

SAMPLES = Path(__file__).parents[2] / "recordings" / "samples"


def sample(name: str) -> RecordedCall:
    return RecordedCall(name, (read_recording(SAMPLES / name, read_key(SAMPLES / KEY_FILE)),))


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(stt="sphinx", tts="espeak")


@pytest.fixture(scope="module")
def database(postgres: object, shop_template: str) -> Iterator[str]:
    url: str = postgres.url  # type: ignore[attr-defined]
    name = "replay"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {shop_template} STRATEGY FILE_COPY".encode())
        head, _, query = url.partition("?")
        yield f"{head.rpartition('/')[0]}/{name}?{query}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def world(settings: Settings, database: str) -> Iterator[World]:
    with World.made(DEPLOYMENT, settings, DAY, database) as made:
        yield made


@pytest.fixture(scope="module")
def replayer(settings: Settings, world: World) -> Iterator[Callable[[Options], Replayer]]:
    """Makes replayers that share the database."""
    with ExitStack() as stack:
        yield lambda options: Replayer(options, settings, DEPLOYMENT, world, stack)


@pytest.fixture(scope="module")
def recorded(replayer: Callable[[Options], Replayer]) -> Replayer:
    return replayer(Options(engines="recorded"))


def shows_what_it_must(one: Replayed) -> None:
    expect = read_sample(SAMPLES / f"{one.name}.yaml").expect
    assert expect is not None
    assert list(expect.missed(one.now, one.outcome)) == []
    assert [d for d in one.differences if d.beyond] == []
    assert one.problems == []


def without_words(value: Any, key: str = "") -> Any:
    """What was told of a call, with nothing left of what the caller said."""
    if isinstance(value, dict):
        return {name: without_words(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [without_words(one, key) for one in value]
    return "" if key in {"text", "alternatives", "words"} and isinstance(value, str) else value


def test_twice_is_byte_for_byte_the_same_and_other_sound_is_not(
    replayer: Callable[[Options], Replayer],
) -> None:
    """With the real local recogniser: words come from the sound, and from nowhere else."""
    local = replayer(Options())
    call = sample("09-noisy-room")
    first, again = local.replay(call), local.replay(call)
    shows_what_it_must(first)
    assert first.log == again.log
    (session,) = call.sessions
    heard = ("engine.stt", "hearing.", "turn.")
    silent = [without_words(one) if one["type"].startswith(heard) else one for one in session.events]
    said = [turn.words for turn in first.was if turn.words]
    assert said
    assert not any(words in json.dumps(silent) for words in said)
    bare = local.replay(RecordedCall(call.name, (dataclasses.replace(session, events=silent),)))
    assert bare.log == first.log, "what was understood then is only compared with"
    ulaw = session.ulaw.copy()
    voiced = np.flatnonzero(np.abs(session.pcm16[:, 0].astype(int)) > 3000)
    ulaw[voiced[voiced.size // 2] :, 0] = 0xFF  # half of the question is gone
    other = local.replay(RecordedCall("altered", (dataclasses.replace(session, ulaw=ulaw),)))
    assert other.log != first.log
    assert not other.ok
    assert {d.what for d in other.differences if d.beyond} & {"words", "decision", "turns"}


def test_recorded_engines_need_no_model_and_give_the_same_call(recorded: Replayer) -> None:
    call = sample("11-person-asked-for")
    told: list[tuple[int, int]] = []
    first, again = recorded.replay(call), recorded.replay(call, lambda *far: told.append(far))
    shows_what_it_must(first)
    assert first.log == again.log, "nor does it go otherwise because somebody watches"
    assert len(told) > 10
    assert [far for far, _ in told] == sorted(far for far, _ in told)
    assert {of for _, of in told} == {call.sessions[0].ulaw.shape[0] // 8}


def test_tools_answer_as_they_did(recorded: Replayer) -> None:
    """From the recording: no shop is asked."""
    one = recorded.replay(sample("04-order-by-keypad"))
    shows_what_it_must(one)
    assert one.notes == [n for n in one.notes if n.startswith("changed since")]


def test_a_card_that_was_taken_out_of_the_sound_is_told_by_a_stand_in(recorded: Replayer) -> None:
    call = sample("13-card-spoken")
    (session,) = call.sessions
    spans = [e for e in session.events if e["type"] == "unsaid"]
    assert spans
    for span in spans:
        assert (session.pcm16[span["at_ms"] * 8 : span["until_ms"] * 8, 0] == 0).all()
    assert "four two four two" not in json.dumps(session.events)
    one = recorded.replay(call)
    assert one.now[1].decision["policy_row"] == "card/spoken"
    assert one.now[1].words == one.was[1].words or "[card 1]" in one.now[1].words


def test_it_can_be_left_in_the_middle(replayer: Callable[[Options], Replayer]) -> None:
    one = replayer(Options(engines="recorded", until=2)).replay(sample("05-barge-in"))
    assert [turn.number for turn in one.now] == [1, 2]
    assert one.ok


def test_what_cannot_be_run_says_why(replayer: Callable[[Options], Replayer], recorded: Replayer) -> None:
    call = sample("01-greeting-and-hang-up")
    (session,) = call.sessions
    silent = dataclasses.replace(session, ulaw=session.ulaw[:0])
    with pytest.raises(NotReplayable, match="no sound"):
        recorded.replay(RecordedCall("x", (silent,)))
    with pytest.raises(NotReplayable, match="older program"):
        recorded.replay(RecordedCall("x", (dataclasses.replace(session, events=[]),)))
    for stt, says in (
        ("whisper:./no-such-model", r"no-such-model.*--engines recorded"),
        ("whisper:large-v9", r"large-v9.*voicebot models pull large-v9"),
        ("pipecat:deepgram", r"pipecat cannot be run in virtual time.*--real-time"),
    ):
        with pytest.raises(EngineMissing, match=says):
            replayer(Options(stt=stt)).replay(call)
