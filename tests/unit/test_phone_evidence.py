"""A call keeps what running it again needs, and never a card's number or a one-time code."""

from __future__ import annotations

from typing import Any

import pytest

from voicebot.audio.engines.types import EngineDown, Transcript
from voicebot.audio.recording.engine_notes import transcript_dict, transcript_from
from voicebot.audio.recording.wirelog import Message, What
from voicebot.channels.phone.evidence import KEPT_TURNS, Evidence
from voicebot.channels.twilio.wire import Dtmf, Media
from voicebot.core.conversation import FREE
from voicebot.proof.replay.tape import MemoryTape


class Tape(MemoryTape):
    """Keeps all messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []

    def message(self, message: Message) -> None:
        self.messages.append(message)


class Ears:
    """Says one text, or fails."""

    def __init__(self, text: str = "", down: bool = False) -> None:
        self.text = text
        self.is_down = down

    async def open(self, call: str, expects: Any, on_partial: Any) -> Ears:
        self.on_partial = on_partial
        return self

    def feed(self, pcm16_8k: bytes) -> None:
        self.on_partial(Transcript(self.text[:4], False))

    async def peek(self) -> Transcript:
        return Transcript(self.text, False)

    async def finish(self) -> Transcript:
        if self.is_down:
            raise EngineDown("stt", "deadline")
        return Transcript(self.text, True, confidence=0.5)

    async def cancel(self) -> None:
        return


def make() -> tuple[Evidence, Tape]:
    tape = Tape()
    return Evidence(tape, lambda: 7.0, lambda: 1234), tape


async def says(evidence: Evidence, text: str) -> None:
    recognition = await evidence.transcriber(Ears(text)).open("call", FREE, lambda _: None)
    recognition.feed(bytes(1600))
    await recognition.finish()


def committed(**told: bool) -> dict[str, Any]:
    return {"type": "turn.committed", "card": False, "code": False, "asks_code": False, **told}


def words_in(tape: Tape) -> list[list[str]]:
    """Of each utterance that was written: its texts."""
    return [
        [answer[3].get("text", "") for answer in event["answers"]]
        for event in tape.events
        if event["type"] == "engine.stt"
    ]


def test_a_transcript_comes_back_as_it_was() -> None:
    said = Transcript("one two", True, confidence=0.0, alternatives=("won too",), standing=2, audio_ms=900)
    assert transcript_from(transcript_dict(said)).text == "one two"
    assert transcript_from(transcript_dict(said)).alternatives == ("won too",)
    assert transcript_from(transcript_dict(Transcript("", False))) == Transcript("", False)


async def test_words_are_kept_once_no_card_can_reach_back_to_them() -> None:
    evidence, tape = make()
    for turn in range(KEPT_TURNS + 1):
        await says(evidence, f"turn {turn}")
        evidence.note(committed())
        assert len(words_in(tape)) == max(0, turn + 1 - KEPT_TURNS)
    evidence.close()
    assert words_in(tape) == [["turn", f"turn {turn}"] for turn in range(KEPT_TURNS + 1)]


async def test_a_card_takes_the_words_of_the_turns_before_with_it() -> None:
    evidence, tape = make()
    await says(evidence, "four two four two four two")
    evidence.note(committed())
    await says(evidence, "and four two")
    evidence.note(committed(card=True))
    await says(evidence, "thank you")
    evidence.note(committed())
    evidence.close()
    assert words_in(tape) == [["", ""], ["", ""], ["than", "thank you"]]
    assert [e.get("withheld") for e in tape.events if e["type"] == "engine.stt"] == ["card", "card", None]


async def test_digits_at_the_end_of_a_call_may_have_been_a_card() -> None:
    evidence, tape = make()
    await says(evidence, "four two four two four two four two four")
    evidence.close()
    assert words_in(tape) == [["", ""]]


async def test_an_order_number_at_the_end_is_none() -> None:
    evidence, tape = make()
    await says(evidence, "four two seven one oh three")
    evidence.close()
    assert words_in(tape) == [["four", "four two seven one oh three"]]


async def test_a_code_is_kept_neither_as_words_nor_as_keys() -> None:
    evidence, tape = make()
    evidence.came(Dtmf("MZ", "1", 3))
    evidence.note(committed(asks_code=True))
    evidence.came(Dtmf("MZ", "7", 4))
    await says(evidence, "seven seven one")
    evidence.note(committed(code=True))
    evidence.came(Dtmf("MZ", "2", 5))
    evidence.came(Dtmf("MZ", "9", 6), hidden=True)
    evidence.close()
    assert [m.name for m in tape.messages] == ["1", "?", "2", "?"]
    assert words_in(tape) == [["", ""]]


async def test_an_engine_that_is_down_is_noted_and_told() -> None:
    evidence, tape = make()
    recognition = await evidence.transcriber(Ears(down=True)).open("call", FREE, lambda _: None)
    with pytest.raises(EngineDown):
        await recognition.finish()
    evidence.close()
    (event,) = tape.events
    assert event["answers"][0][0] == "down"
    assert event["answers"][0][3] == {"reason": "deadline"}


def test_messages_have_the_time_since_the_pipeline_began() -> None:
    tape, now = Tape(), [7.0]
    evidence = Evidence(tape, lambda: now[0], lambda: 0)
    now[0] = 7.053
    evidence.came(Media("MZ", bytes(160), 20, 2, 3, "inbound"))
    (message,) = tape.messages
    assert message.at_ms == pytest.approx(53.0)
    assert message == Message(What.MEDIA, message.at_ms, 3, 20, 160)
