"""Whole calls from a browser: real ICE, DTLS, SRTP and Opus, the real dialogue; made-up engines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from browser_kit import Browser, Node, browser_node, browsing
from dialogue_kit import DEPLOYMENT, node
from sound_fakes import FakeEars, FakeJudge, FakeSpeech
from test_card_calls import OwnVoice
from test_nobody_there import DAY, presence
from twilio_kit import eventually

from voicebot.audio.engines.types import SpeechChunk
from voicebot.audio.recording.reader import read_recording
from voicebot.audio.recording.writer import Recorder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.channels.browser.session import BrowserSession
from voicebot.channels.phone.call import PhoneKit
from voicebot.channels.phone.run import run_call
from voicebot.channels.twilio.media import CallOutcome
from voicebot.core.bus import Bus
from voicebot.core.conversation import Channel
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.outbox import Relay


class LoudSpeech(FakeSpeech):
    """A tone of 500 Hz: a level that does not change is nothing that Opus lets through."""

    async def _chunks(self, text: str) -> AsyncIterator[SpeechChunk]:
        at = np.arange(400)
        wave = (6000 * np.sin(2 * np.pi * 500 * at / 8000)).astype(np.int16)
        async for chunk in super()._chunks(text):
            yield replace(chunk, audio=wave[: len(chunk.audio) // 2].tobytes())


@contextlib.asynccontextmanager
async def talking(
    database: Database,
    keys: KeyRing,
    folder: Path,
    *words: str,
    word_ms: int = 25,
) -> AsyncIterator[Node]:
    """A node whose recogniser hears ``words``, utterance by utterance."""
    bus = Bus()
    relay = Relay(database, keys, bus)
    orchestrator = node(database, keys, staff=presence(), poke=relay.poke, now=lambda: DAY)

    async def recorder(conversation_id: str) -> Recorder:
        async with database.transaction() as tx:
            snapshot = await Conversations(keys).load(tx, conversation_id)
            cipher = await keys.cipher(tx, snapshot.subject_id)
        return Recorder(folder / f"{snapshot.epoch:03d}", cipher.derive("recording"), conversation_id)

    kit = PhoneKit(
        dialogue=orchestrator,
        phrases=DEPLOYMENT.phrases,
        transcriber=FakeEars(texts=words),
        speech=LoudSpeech(rate=60.0, word_ms=word_ms),
        judge=FakeJudge(),
        vad=OwnVoice,
        phrase_cache=PhraseCache(None),
        bus=bus,
        recorder=recorder,
        silence_s=40,
        speculation=False,
    )
    parts = DEPLOYMENT.pipeline("browser")

    async def run(session: BrowserSession) -> CallOutcome:
        return await run_call(kit, parts, session, set())

    relaying = asyncio.create_task(relay.run())
    try:
        async with browser_node(database, keys, run) as made:
            yield made
    finally:
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
        await orchestrator.close()


async def says(browser: Browser, ms: int = 600) -> None:
    """The caller speaks; returns when they have."""
    browser.microphone.says(ms)
    await eventually(lambda: browser.microphone.tone_frames <= 0)


async def test_a_turn_spoken_in_a_browser_is_answered_shown_heard_and_recorded(
    shop_database: Database, keys: KeyRing, tmp_path: Path
) -> None:
    async with talking(shop_database, keys, tmp_path, "what are your opening hours") as here:
        async with browsing(here.url) as browser:
            await browser.connects()
            greeting = await here.heard(browser.call, 1)
            assert browser.has("bot-ready")
            assert greeting["heard"]["complete"]
            await says(browser)
            answer = await here.heard(browser.call, 2)
            assert answer["input"]["text"] == "what are your opening hours"
            assert answer["decision"]["intent"] == "opening_hours"
            assert answer["heard"] == {"text": answer["spoken"], "complete": True}
            assert answer["timings"]["first_heard_ms"] > answer["timings"]["last_voiced_ms"]
            await eventually(lambda: bool(browser.texts("user-transcription", final=True)))
            assert browser.texts("user-transcription", final=True) == ["what are your opening hours"]
            shown = " ".join(browser.texts("bot-output", spoken_status="completed"))
            assert greeting["spoken"] in shown
            assert answer["spoken"] in shown
            assert browser.loud_ms > 500, "and it was sound"
            browser.sends("disconnect-bot")
            ended = await here.ends(browser.call)
        assert (ended.channel, ended.end_reason) == (Channel.BROWSER, "caller_hung_up")
        assert here.services.node.calls == 0
        async with here.database.transaction() as tx:
            cipher = await here.keys.cipher(tx, ended.subject_id)
        recorded = read_recording(tmp_path / "001.vbrec", cipher.derive("recording"))
        sound = recorded.pcm16
        assert (abs(sound[:, 0].astype(int)) > 2000).sum() > 1000, "the caller is on the recording"
        assert (abs(sound[:, 1].astype(int)) > 500).sum() > 1000, "and so is the bot"


async def test_who_speaks_over_the_bot_silences_it_and_what_was_not_heard_is_known(
    shop_database: Database, keys: KeyRing, tmp_path: Path
) -> None:
    async with (
        talking(shop_database, keys, tmp_path, "what are your opening hours", word_ms=400) as here,
        browsing(here.url) as browser,
    ):
        await browser.connects()
        await eventually(lambda: browser.loud_ms > 1500)
        browser.microphone.says(1500)
        before_ms = browser.loud_ms
        row = await here.heard(browser.call, 1)
        assert not row["heard"]["complete"]
        assert row["heard"]["text"]
        assert row["spoken"].startswith(row["heard"]["text"])
        assert len(row["heard"]["text"]) < len(row["spoken"])
        assert browser.loud_ms - before_ms < 4000, "clear() is heard within what was under way"


async def test_keys_of_the_page_are_keys_of_the_call_and_a_person_is_not_promised_who_cannot_come(
    shop_database: Database, keys: KeyRing, tmp_path: Path
) -> None:
    async with talking(shop_database, keys, tmp_path) as here, browsing(here.url) as browser:
        await browser.connects()
        await here.heard(browser.call, 1)
        browser.sends("dtmf", {"buttons": ["0"]})
        row = await here.heard(browser.call, 2)
        assert (row["input"]["kind"], row["input"]["digits"]) == ("keys", "0")
        assert row["spoken"].startswith("I can't put anybody through to you in the browser")
        seen = await here.snapshot(browser.call)
        assert seen is not None
        assert seen.status == "live", "the bot goes on: it has asked when to call back"
        browser.sends("send-text", {"content": "hello"})
        await eventually(lambda: browser.has("error-response"))


async def test_a_call_whose_node_stops_goes_on_where_it_was_on_another_connection(
    shop_database: Database, keys: KeyRing, tmp_path: Path
) -> None:
    async with talking(shop_database, keys, tmp_path) as here, browsing(here.url) as first:
        await first.connects()
        await here.heard(first.call, 1)
        await here.gate.move()
        await eventually(lambda: here.services.node.calls == 0)
        async with here.database.transaction() as tx:
            lost = await here.services.leases.claim_lost(tx)
        assert [one.call_sid for one in lost] == [first.call], "any node may take it, or end it"
        async with browsing(here.url, first.call) as second:
            await second.connects()
            row = await here.heard(first.call, 2)
            assert (row["input"]["kind"], row["input"]["resumed"]) == ("call_started", True)
            second.sends("disconnect-bot")
            ended = await here.ends(first.call)
            assert ended.epoch == 2
            assert (await second.offers(restart_pc=True)).status_code == 410, "what has ended stays so"
