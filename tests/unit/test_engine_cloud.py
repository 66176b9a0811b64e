"""Cloud recognisers through Pipecat: found by name with clear errors, one call's words never in another's.

Invariants: nothing that a caller said is logged or put into an error; a late transcript never becomes part of
the next utterance; a caller never waits longer for a cloud than for an engine here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import cloud_kit
import pytest
import pytest_asyncio
from cloud_kit import SegmentCloud, StreamingCloud, spoken
from twilio_kit import eventually

from voicebot.audio.engines import pipecat_utterance
from voicebot.audio.engines.pipecat_lookup import find_service, services
from voicebot.audio.engines.pipecat_service import PipecatTranscriber
from voicebot.audio.engines.pipecat_utterance import PATIENCE_S, SETTLE_S, CloudUtterance
from voicebot.audio.engines.types import EngineDown, EngineUnavailable, Transcript
from voicebot.audio.engines.work import PlacesTaken
from voicebot.core.conversation import FREE

# --- one utterance, pure ----------------------------------------------------------------


def test_pieces_are_joined_and_an_interim_is_replaced_by_its_final() -> None:
    utterance = CloudUtterance()
    utterance.interim("where is")
    assert utterance.transcript(final=False).text == "where is"
    utterance.final("where is my order ", finalized=False, now=1.0)
    utterance.interim("please")
    partial = utterance.transcript(final=False)
    assert (partial.text, partial.standing) == ("where is my order please", 4)
    utterance.final("please", finalized=False, now=2.0)
    assert utterance.transcript(final=True) == Transcript("where is my order please", True)


@pytest.mark.parametrize(
    ("pieces", "wait_s"),
    [
        pytest.param([], PATIENCE_S, id="nothing was heard: the service may still say something"),
        pytest.param([("final", "yes", False, 8.0)], SETTLE_S, id="all is final since long: a short quiet"),
        pytest.param(
            [("final", "yes", False, 8.0), ("interim", "ple")],
            PATIENCE_S,
            id="something is pending",
        ),
        pytest.param([("final", "yes", True, 9.0)], SETTLE_S, id="finalized early: its own endpointing"),
    ],
)
def test_how_long_a_service_is_waited_for_after_the_end_of_speech(
    pieces: list[tuple[Any, ...]], wait_s: float
) -> None:
    utterance = CloudUtterance()
    for kind, text, *rest in pieces:
        if kind == "interim":
            utterance.interim(text)
        else:
            utterance.final(text, finalized=rest[0], now=rest[1])
    utterance.ended(10.0)
    assert utterance.due(10.0) == pytest.approx(wait_s)
    assert utterance.due(10.0 + wait_s) == 0.0
    assert not utterance.complete


def test_a_finalized_answer_ends_the_wait_at_once() -> None:
    utterance = CloudUtterance()
    utterance.interim("four seven")
    utterance.ended(10.0)
    utterance.final("four seven one", finalized=True, now=10.2)
    assert utterance.due(10.2) == 0.0
    assert utterance.complete


def test_audio_is_counted() -> None:
    utterance = CloudUtterance()
    utterance.fed(1600)
    utterance.fed(16000)
    assert utterance.transcript(final=True).audio_ms == 1100


# --- finding a service ------------------------------------------------------------------


def test_an_unknown_service_names_those_that_exist() -> None:
    with pytest.raises(EngineUnavailable, match=r"no recogniser 'depgram'.*deepgram"):
        find_service("depgram", "en", {})


@pytest.mark.parametrize("name", ["os.path", "../x", "", "Deepgram", "a b", "stt:"])
def test_no_other_module_is_imported_under_a_services_name(name: str) -> None:
    with pytest.raises(EngineUnavailable, match="no recogniser"):
        find_service(name, "en", {})


def test_a_missing_package_is_named_with_its_remedy() -> None:
    with pytest.raises(EngineUnavailable, match=r"deepgram.*pip install 'pipecat-ai\[deepgram\]'"):
        find_service("deepgram", "en", {"DEEPGRAM_API_KEY": "k"})


def test_a_missing_key_is_named() -> None:
    with pytest.raises(EngineUnavailable, match="SONIOX_API_KEY"):
        find_service("soniox", "en", {"OPENAI_API_KEY": "k"})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_real_services_are_made_with_key_and_language_and_without_network() -> None:
    for name in ("soniox", "cartesia", "gladia", "assemblyai"):
        service: Any = find_service(name, "de", {f"{name.upper()}_API_KEY": "secret"})()
        assert type(service).__module__ == f"pipecat.services.{name}.stt"
        assert name in services()


def test_the_streaming_class_is_preferred_and_another_can_be_named() -> None:
    environment = {"OPENAI_API_KEY": "k"}
    assert type(find_service("openai", "en", environment)()).__name__ == "OpenAIRealtimeSTTService"
    named = find_service("openai.OpenAISTTService", "en", environment)()
    assert type(named).__name__ == "OpenAISTTService"
    with pytest.raises(EngineUnavailable, match="OpenAISTTService"):
        find_service("openai.Nothing", "en", environment)


def test_a_local_service_is_refused_with_the_better_way() -> None:
    with pytest.raises(EngineUnavailable, match="whisper:NAME"):
        find_service("whisper", "en", {})


def test_a_service_of_ones_own() -> None:
    service: Any = find_service("cloud_kit:StreamingCloud", "en", {"STREAMINGCLOUD_API_KEY": "k"})()
    assert service.api_key == "k"
    with pytest.raises(EngineUnavailable, match="STREAMINGCLOUD_API_KEY"):
        find_service("cloud_kit:StreamingCloud", "en", {})
    with pytest.raises(EngineUnavailable, match="cannot be imported"):
        find_service("no_such_module:Cloud", "en", {})


# --- a call, on Pipecat's real base classes --------------------------------------------


class Cloud:
    """A transcriber and the services it made."""

    def __init__(self, cls: Any = StreamingCloud, **options: Any) -> None:
        self.made: list[Any] = []
        self._cls, self._options = cls, options
        self.transcriber = PipecatTranscriber(self._make, places=3)

    def _make(self) -> Any:
        self.made.append(self._cls(api_key="k", **self._options))
        return self.made[-1]

    async def say(self, call: str, *numbers: int, partials: list[str] | None = None) -> Transcript:
        heard: list[str] = [] if partials is None else partials
        recognition = await self.transcriber.open(call, FREE, lambda t: heard.append(t.text))
        for number in numbers:
            recognition.feed(spoken(number))
            await asyncio.sleep(0)
        return await recognition.finish()


@pytest_asyncio.fixture
async def clouds(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Cloud]]:
    """Those in it are closed at the end; no task of theirs may be left. Each may take its time."""
    monkeypatch.setattr(pipecat_utterance, "PATIENCE_S", 30.0)
    before = asyncio.all_tasks()
    opened: list[Cloud] = []
    yield opened
    for cloud in opened:
        await cloud.transcriber.close()
    await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() - before if not task.done()} - {asyncio.current_task()}
    assert not left


async def test_an_utterance_with_partials_and_the_next_on_the_same_connection(
    clouds: list[Cloud],
) -> None:
    cloud = Cloud()
    clouds.append(cloud)
    partials: list[str] = []
    first = await cloud.say("CA1", 4, 7, 1, partials=partials)
    assert (first.text, first.final, first.audio_ms) == ("four seven one", True, 300)
    assert partials[0] == "four"
    assert (await cloud.say("CA1", 9)).text == "nine"
    assert len(cloud.made) == 1


async def test_calls_do_not_share_a_connection_and_never_mix_words(clouds: list[Cloud]) -> None:
    cloud = Cloud()
    clouds.append(cloud)
    answers = await asyncio.gather(cloud.say("CA1", 1, 1), cloud.say("CA2", 2, 2), cloud.say("CA3", 3, 3))
    assert [a.text for a in answers] == ["one one", "two two", "three three"]
    assert len(cloud.made) == 3


async def test_a_late_transcript_does_not_become_part_of_the_next_utterance(
    clouds: list[Cloud], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipecat_utterance, "PATIENCE_S", 0.2)
    cloud = Cloud(behaviour="slow")
    clouds.append(cloud)
    partials: list[str] = []
    recognition = await cloud.transcriber.open("CA1", FREE, lambda t: partials.append(t.text))
    recognition.feed(spoken(4))
    await eventually(lambda: partials == ["four"])
    assert (await recognition.finish()).text == "four"  # the interim, after patience ended
    recognition = await cloud.transcriber.open("CA1", FREE, lambda t: partials.append(t.text))
    cloud.made[0].may_answer.set()
    recognition.feed(spoken(5))
    await eventually(lambda: partials[-1] == "five")
    await asyncio.sleep(0.1)  # for the late one, should it come
    assert "four" not in (await recognition.peek()).text
    await recognition.cancel()
    assert len(cloud.made) == 2


async def test_a_service_that_never_says_finalized_is_heard_too(clouds: list[Cloud]) -> None:
    cloud = Cloud(behaviour="plain")
    clouds.append(cloud)
    assert (await cloud.say("CA1", 6, 2)).text == "six two"


async def test_a_service_that_uploads_whole_utterances(clouds: list[Cloud]) -> None:
    cloud = Cloud(SegmentCloud)
    clouds.append(cloud)
    assert (await cloud.say("CA1", 8, 1)).text == "eight one"
    assert (await cloud.say("CA1", 3)).text == "three"


async def test_a_service_that_takes_another_rate_gets_it(clouds: list[Cloud]) -> None:
    cloud = Cloud(rate_hz=24000)
    clouds.append(cloud)
    assert (await cloud.say("CA1", 5, 5, 2)).text == "five five two"


async def test_a_broken_service_is_down_without_its_words_and_the_next_try_is_a_new_connection(
    clouds: list[Cloud],
) -> None:
    cloud = Cloud(behaviour="breaks")
    clouds.append(cloud)
    with pytest.raises(EngineDown) as down:
        await cloud.say("CA1", 1, 2)
    assert "1234" not in str(down.value)
    with pytest.raises(EngineDown):
        await cloud.say("CA1", 1, 2)
    assert len(cloud.made) == 2


async def test_a_service_that_cannot_be_reached_is_down_not_silent(
    clouds: list[Cloud], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipecat_utterance, "PATIENCE_S", 0.2)
    cloud = Cloud(behaviour="dead")
    clouds.append(cloud)
    with pytest.raises(EngineDown, match="not reached"):
        await cloud.say("CA1", 1)


async def test_more_calls_than_places_are_refused_and_a_place_comes_free(clouds: list[Cloud]) -> None:
    cloud = Cloud()
    clouds.append(cloud)
    open_now = [await cloud.transcriber.open(f"CA{n}", FREE, lambda _: None) for n in range(3)]
    with pytest.raises(PlacesTaken):
        await cloud.transcriber.open("CA9", FREE, lambda _: None)
    await open_now[0].cancel()
    await open_now[0].cancel()
    assert (await cloud.say("CA9", 7)).text == "seven"
    for recognition in open_now:
        await recognition.cancel()


def test_the_made_up_provider_reads_what_it_says() -> None:
    assert cloud_kit.read(spoken(0, 9, 4)) == "zero nine four"
