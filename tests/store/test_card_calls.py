"""Whole calls that pay, over real sockets: through `<Pay>`, and on our own keypad; then all is searched.

The real node, dialogue, shop, recording and phone pipeline; the local Twilio; only the engines are made up.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from changes_kit import count
from dialogue_kit import DEPLOYMENT, node
from prometheus_client import generate_latest
from sound_fakes import TONE, FakeEars, FakeJudge, FakeSpeech
from twilio_kit import eventually, free_port, serving, settings_for, twilio_channel, url_of

from tests.card_processor import CardProcessor
from voicebot.audio.recording.reader import read_recording
from voicebot.audio.recording.writer import Recorder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.channels.phone.call import PhoneKit
from voicebot.channels.phone.run import run_call
from voicebot.channels.twilio.media import CallOutcome, MediaSession
from voicebot.core.bus import Bus
from voicebot.core.conversation import Event
from voicebot.core.store import outbox, payments
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import Cipher, KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.connectors.card_processor import HttpCardProcessor
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.proof.simulation import LocalCall, LocalTwilio, Quiet, twice
from voicebot.safety.pii.checksums import luhn
from voicebot.safety.policy import Policy

CARD, EXPIRY, CODE = "4539578763621486", "1131", "917"
ORDER, POST_CODE = "830274", "30309"
WISH = "my card was declined, can i try the payment again"
assert luhn(CARD)


class OwnVoice:
    """Voice activity that knows the caller's tone, and takes no key for a voice."""

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        samples = window.astype(float)
        energy = float((samples**2).sum())
        wave = np.exp(-2j * np.pi * 400 * np.arange(len(samples)) / 8000)
        share = float(abs((samples * wave).sum()) ** 2) * 2 / len(samples) / max(energy, 1.0)
        return 0.95 if energy > 1e6 and share > 0.8 else 0.02


class Watched(Bus):
    """Keeps what those who watch a call live are told."""

    def __init__(self, told: list[Event]) -> None:
        super().__init__()
        self._told = told

    def publish(self, event: Event) -> None:
        self._told.append(event)
        super().publish(event)


@dataclass
class Counter:
    """The shop on the telephone: a node, and somebody who phones it."""

    twilio: LocalTwilio
    database: Database
    keys: KeyRing
    url: str
    orchestrator: Orchestrator
    folder: Path
    live: list[Event] = field(default_factory=list[Event])
    closed: bool = False
    """A call's pipeline has been taken down."""

    async def agrees(self) -> LocalCall:
        """A caller who says the wish, keys order and post code, and says yes to the read-back with a key."""
        call = await self.twilio.phone(
            f"{self.url}/twilio/voice",
            ear=Quiet(),
            status_callback=f"{self.url}/twilio/status",
            fallback_url=f"{self.url}/twilio/resume",
        )
        await self.heard(call, 1)
        call.line.say_also(TONE * 40)
        await self.heard(call, 2)
        await call.press(ORDER, every_ms=120)
        await self.heard(call, 3)
        await call.press(POST_CODE, every_ms=120)
        await self.heard(call, 4)
        call.press_key("1")
        return call

    async def types(self, call: LocalCall, keys: str) -> None:
        await call.press(keys, every_ms=120)

    async def ended(self, call: LocalCall) -> None:
        await asyncio.wait_for(call.wait_ended(), 60)
        await call.settle()

    async def id_of(self, call: LocalCall) -> str | None:
        async with self.database.transaction() as tx:
            return await Conversations(self.keys).by_call(tx, call.call_sid)

    async def turns(self, call: LocalCall) -> list[dict[str, Any]]:
        known = await self.id_of(call)
        if known is None:
            return []
        async with self.database.transaction() as tx:
            return await Conversations(self.keys).turns(tx, known)

    async def heard(self, call: LocalCall, turn: int) -> str:
        """Waits until the caller has heard a turn to its end; what it said."""

        async def closed() -> bool:
            rows = await self.turns(call)
            return any(row["turn"] >= turn and row["heard"] is not None for row in rows)

        await eventually(closed, 30)
        return next(row["spoken"] or "" for row in await self.turns(call) if row["turn"] >= turn)

    async def says(self, call: LocalCall, words: str) -> None:
        """Waits until the bot has said it."""

        async def said() -> bool:
            return any(words in (row["spoken"] or "") for row in await self.turns(call))

        await eventually(said, 30)

    async def payments(self, call: LocalCall) -> list[dict[str, Any]]:
        known = await self.id_of(call)
        assert known is not None
        async with self.database.transaction() as tx:
            return await payments.of(tx, known)

    async def events(self, call: LocalCall) -> list[Event]:
        known = await self.id_of(call)
        assert known is not None
        async with self.database.transaction() as tx:
            return await outbox.events_of(tx, self.keys, known)


@contextlib.asynccontextmanager
async def open_counter(
    database: Database,
    keys: KeyRing,
    folder: Path,
    *,
    cards: str = "pay",
    processor: CardProcessor | None = None,
    words: tuple[str, ...] = (WISH,) * 9,
) -> AsyncIterator[Counter]:
    table = DEPLOYMENT.policy.table.model_copy(update={"cards": cards})
    deployment = replace(DEPLOYMENT, policy=Policy(table))
    async with contextlib.AsyncExitStack() as stack:
        ours: HttpCardProcessor | None = None
        if processor is not None:
            at = await stack.enter_async_context(serving(processor.app(), free_port()))
            ours = HttpCardProcessor(httpx.AsyncClient(base_url=at, timeout=60.0))
        twilio = await stack.enter_async_context(LocalTwilio())
        orchestrator = node(database, keys, deployment=deployment, processor=ours)
        stack.push_async_callback(orchestrator.close)
        port = free_port()
        counter = Counter(twilio, database, keys, url_of(port), orchestrator, folder)
        bus = Watched(counter.live)

        async def recorder(conversation_id: str) -> Recorder:
            async with database.transaction() as tx:
                snapshot = await Conversations(keys).load(tx, conversation_id)
                cipher = await keys.cipher(tx, snapshot.subject_id)
            base = folder / f"{snapshot.epoch:03d}"
            return Recorder(base, cipher.derive("recording"), conversation_id)

        kit = PhoneKit(
            dialogue=orchestrator,
            phrases=deployment.phrases,
            transcriber=FakeEars(texts=words),
            speech=FakeSpeech(rate=60.0, word_ms=25),
            judge=FakeJudge(),
            vad=OwnVoice,
            phrase_cache=PhraseCache(None),
            bus=bus,
            recorder=recorder,
            silence_s=40,
            speculation=False,
        )
        parts = deployment.pipeline("phone")

        async def run(session: MediaSession) -> CallOutcome:
            try:
                return await run_call(kit, parts, session, set())
            finally:
                counter.closed = True

        settings = settings_for(
            public_url=counter.url,
            twilio_api=twilio.api_url,
            twilio_account_sid=twilio.account_sid,
            twilio_auth_token=twilio.auth_token,
        )
        await stack.enter_async_context(
            twilio_channel(
                database,
                keys,
                run_call=run,
                settings=settings,
                port=port,
                keep=True,
                new_state=states.new_state,
                payments=orchestrator.payments,
            )
        )
        yield counter


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is sealed, vault included, as it was before."""
    found: list[str] = []
    seal = Cipher.seal

    def spy(self: Cipher, plaintext: bytes, context: str) -> bytes:
        found.append(f"{context} {plaintext.decode(errors='replace')}")
        return seal(self, plaintext, context)

    monkeypatch.setattr(Cipher, "seal", spy)
    return found


async def dump(database: Database) -> list[str]:
    """Every row of every table, as text."""
    rows: list[str] = []
    async with database.transaction() as tx:
        cursor = await tx.execute(
            "SELECT table_schema AS s, table_name AS t FROM information_schema.tables"
            " WHERE table_schema IN ('public', 'shop') AND table_type = 'BASE TABLE'"
        )
        for table in await cursor.fetchall():
            found = await tx.execute(
                f'SELECT x::text AS row FROM "{table["s"]}"."{table["t"]}" x'.encode()  # noqa: S608
            )
            rows += [f"{table['t']} {row['row']}" for row in await found.fetchall()]
    return rows


def pieces(number: str) -> frozenset[str]:
    """Any seven digits in a row of a card's."""
    return frozenset(number[n : n + 7] for n in range(len(number) - 6))


def cards_in(texts: list[str]) -> list[str]:
    """Texts with a piece of the canary, or with anything that may be a card by its check digit."""
    wanted = pieces(CARD)
    found: list[str] = []
    for text in texts:
        runs = re.findall(r"(?<![0-9a-zA-Z.])(?:\d[ -]?){13,19}(?![0-9a-zA-Z])", text)
        numbers = [re.sub(r"\D", "", run) for run in runs]
        digits = re.sub(r"(?<=\d)[ ,-](?=\d)", "", text)
        if any(piece in digits for piece in wanted) or any(
            number[0] in "3456" and luhn(number) for number in numbers
        ):
            found.append(text[:200])
    return found


_LOW, _HIGH = (697, 770, 852, 941), (1209, 1336, 1477)
_KEYS = ("123", "456", "789", "*0#")


def keys_in(pcm16: npt.NDArray[np.int16]) -> list[tuple[int, str]]:
    """DTMF keys in a channel: (ms, key). Goertzel over 40 ms; two clear tones and little else."""
    found: list[tuple[int, str]] = []
    size = 320
    times = np.arange(size) / 8000
    for at in range(0, len(pcm16) - size, size // 2):
        window = pcm16[at : at + size].astype(float)
        energy = float((window**2).sum())
        if energy < 1e6:
            continue

        def power(hz: int, window: npt.NDArray[np.float64] = window) -> float:
            return float(abs((window * np.exp(-2j * np.pi * hz * times)).sum()) ** 2) * 2 / size

        low, high = [power(hz) for hz in _LOW], [power(hz) for hz in _HIGH]
        row, column = int(np.argmax(low)), int(np.argmax(high))
        if low[row] + high[column] > 0.8 * energy and min(low[row], high[column]) > 0.1 * energy:
            found.append((at // 8, _KEYS[row][column]))
    return found


async def recording_key(counter: Counter, call: LocalCall) -> bytes:
    known = await counter.id_of(call)
    assert known is not None
    async with counter.database.transaction() as tx:
        snapshot = await Conversations(counter.keys).load(tx, known)
        return (await counter.keys.cipher(tx, snapshot.subject_id)).derive("recording")


def recorded_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.vbrec"))


def said_by_caller(call: LocalCall) -> list[tuple[int, str]]:
    """Keys that the caller's phone really sent as tones: the decoder sees them there."""
    return keys_in(call.recording.samples()[:, 0])


async def test_a_call_that_pays_through_pay(
    shop_database: Database,
    keys: KeyRing,
    tmp_path: Path,
    sealed: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The stream ends, Twilio takes the card, the call is back with its context; nothing of the card is ours.

    Every callback comes twice.
    """
    async with open_counter(shop_database, keys, tmp_path) as counter:
        counter.twilio.options.dtmf_in_audio = True
        counter.twilio.options.pay_callbacks = twice()
        call = await counter.agrees()
        await call.log.wait("verb", name="Pay")
        for part in (CARD, EXPIRY, CODE):
            await counter.types(call, part)
            await asyncio.sleep(0.3)
        await counter.says(call, "your payment of eighty nine dollars went through")
        call.hang_up()
        await counter.ended(call)
        (charge,) = counter.twilio.options.pay.connectors["Default"].charges
        assert (charge.amount, charge.currency, charge.last_four) == ("89.00", "usd", CARD[-4:])
        (payment,) = await counter.payments(call)
        assert (payment["status"], payment["result"]) == ("paid", "success")
        booked = f"confirmation = '{charge.confirmation}' AND amount_cents = 8900"
        assert await count(shop_database, "shop.card_payments", booked) == 1
        assert call.violations == []
        kinds = [event.type for event in await counter.events(call)]
        assert kinds.count("payment.paid") == 1
        assert kinds.index("call.paying") < kinds.index("payment.paid")
        assert cards_in(await dump(shop_database)) == []
        key = await recording_key(counter, call)
        recordings = recorded_in(tmp_path)
        assert len(recordings) == 2  # before and after
        tones = [tone for path in recordings for _, tone in keys_in(read_recording(path, key).pcm16[:, 0])]
        assert set(tones) == set(ORDER + POST_CODE + "1")
        live = [str(event) for event in counter.live]
    assert cards_in(sealed) == []
    out, err = capfd.readouterr()
    assert cards_in([*live, *out.splitlines(), *err.splitlines(), generate_latest().decode()]) == []


async def test_a_call_that_pays_on_our_keypad(
    shop_database: Database,
    keys: KeyRing,
    tmp_path: Path,
    sealed: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The card goes to the processor and nowhere else: not into the recording, whose tones are decoded."""
    processor = CardProcessor()
    async with open_counter(shop_database, keys, tmp_path, cards="keypad", processor=processor) as counter:
        counter.twilio.options.dtmf_in_audio = True
        call = await counter.agrees()
        await counter.heard(call, 5)
        for part in (CARD, EXPIRY, CODE):
            await counter.types(call, part)
            await asyncio.sleep(0.2)
        await counter.says(call, "your payment of eighty nine dollars went through")
        call.line.say_also(TONE * 40)  # heard and recorded again
        await counter.heard(call, 7)
        call.hang_up()
        await counter.ended(call)
        (charged,) = processor.charged.values()
        assert (charged["number"], charged["expiry"], charged["code"]) == (CARD, EXPIRY, CODE)
        assert (charged["amount"], charged["currency"]) == ("89.00", "USD")
        assert await count(shop_database, "shop.card_payments") == 1
        (payment,) = await counter.payments(call)
        assert (payment["way"], payment["status"]) == ("keypad", "paid")
        assert call.violations == []
        # --- nowhere else ---
        assert cards_in(await dump(shop_database)) == []
        recording = read_recording(recorded_in(tmp_path)[0], await recording_key(counter, call))
        resumed = next(event for event in recording.events if event["type"] == "resumed")
        begin, until = resumed["paused_from_ms"], resumed["at_ms"]
        assert until - begin > 3000
        silent = recording.pcm16[begin * 8 : until * 8]
        assert np.abs(silent.astype(int)).max() < 40
        recorded = keys_in(recording.pcm16[:, 0])
        assert {key for _, key in recorded} == set(ORDER + POST_CODE + "1")  # the decoder hears those
        assert all(not begin <= at < until for at, _ in recorded)
        assert not [e for e in recording.events if e["type"] == "key" and begin <= e["at_ms"] < until]
        everywhere = "".join(key for _, key in said_by_caller(call))
        assert set(CARD) <= set(everywhere)  # and in the caller's own ear it was there
        assert cards_in([str(event) for event in recording.events]) == []
        after = recording.pcm16[until * 8 :, 0]
        assert np.abs(after.astype(int)).max() > 300
        live = [str(event) for event in counter.live]
        assert len(live) > 5
    assert cards_in(sealed) == []
    out, err = capfd.readouterr()
    assert cards_in([*live, *out.splitlines(), *err.splitlines(), generate_latest().decode()]) == []


SPOKEN = "four five three nine five seven eight seven six three six two one four eight six"


async def test_a_card_that_is_said_aloud_is_not_in_the_recording(
    shop_database: Database,
    keys: KeyRing,
    tmp_path: Path,
    sealed: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In two turns: both are silent on the caller's channel, what was said before and after is there."""
    half = SPOKEN.split()
    words = ("when are you open", " ".join(half[:8]), " ".join(half[8:]), "no thanks")
    async with open_counter(shop_database, keys, tmp_path, words=words) as counter:
        call = await counter.twilio.phone(
            f"{counter.url}/twilio/voice", ear=Quiet(), status_callback=f"{counter.url}/twilio/status"
        )
        for turn in range(1, 5):
            await counter.heard(call, turn)
            call.line.say_also(TONE * 40)
        await counter.heard(call, 5)
        await counter.says(call, "don't tell me your card number")
        call.hang_up()
        await counter.ended(call)
        await eventually(lambda: counter.closed)
        recording = read_recording(recorded_in(tmp_path)[0], await recording_key(counter, call))
        unsaid = [e for e in recording.events if e["type"] == "unsaid"]
        assert len(unsaid) == 2
        assert len(voiced(recording.pcm16[:, 0])) == 2  # of four
        for one in unsaid:
            stretch = recording.pcm16[one["at_ms"] * 8 : one["until_ms"] * 8, 0]
            assert np.abs(stretch.astype(int)).max() < 40
        assert len(voiced(call.recording.samples()[:, 0])) == 4
        assert cards_in(await dump(shop_database)) == []
        live = [str(event) for event in counter.live]
    kept = [one for one in sealed if not one.startswith("vault:")]
    assert cards_in(kept) == []
    out, err = capfd.readouterr()
    assert cards_in([*live, *out.splitlines(), *err.splitlines(), generate_latest().decode()]) == []


def voiced(pcm16: npt.NDArray[np.int16]) -> list[int]:
    """Where somebody begins to speak, in 20 ms."""
    loud = np.abs(pcm16[: len(pcm16) // 160 * 160].astype(int)).reshape(-1, 160).max(axis=1) > 300
    return [at for at in range(len(loud)) if loud[at] and not loud[max(0, at - 10) : at].any()]


async def test_our_keypad_declined_and_again_with_another_card_whose_answer_is_lost(
    shop_database: Database, keys: KeyRing, tmp_path: Path
) -> None:
    """The second card needs a second yes. It is charged once: what came of it is asked by its key."""
    processor = CardProcessor(declines=frozenset({CARD}))
    async with open_counter(shop_database, keys, tmp_path, cards="keypad", processor=processor) as counter:
        call = await counter.agrees()
        await counter.heard(call, 5)
        for part in (CARD, EXPIRY, CODE):
            await call.press(part, every_ms=20)
            await asyncio.sleep(0.2)
        await counter.heard(call, 6)
        await counter.says(call, "was not accepted. Nothing was charged. Would you like to try again?")
        call.press_key("1")
        await counter.heard(call, 7)
        processor.loses_answers = True
        call.press_key("1")
        await counter.heard(call, 8)
        for part in ("378282246310005", EXPIRY, "9171"):
            await call.press(part, every_ms=20)
            await asyncio.sleep(0.2)
        await counter.says(call, "went through")
        assert [row["status"] for row in await counter.payments(call)] == ["declined", "paid"]
        assert processor.asked == 2
        call.hang_up()
        await counter.ended(call)


async def test_who_hangs_up_on_our_keypad_pays_nothing(
    shop_database: Database, keys: KeyRing, tmp_path: Path
) -> None:
    """The digits are gone with the call; the sweep ends the payment, and the order can be paid again."""
    processor = CardProcessor()
    async with open_counter(shop_database, keys, tmp_path, cards="keypad", processor=processor) as counter:
        call = await counter.agrees()
        await counter.heard(call, 5)
        await call.press(CARD[:10], every_ms=20)
        call.hang_up()
        await counter.ended(call)
        async with shop_database.transaction() as tx:
            await tx.execute("UPDATE payments SET changed_at = clock_timestamp() - interval '1 hour'")
        await counter.orchestrator.payments.sweep()
        assert [row["status"] for row in await counter.payments(call)] == ["left"]
        assert processor.asked == 0


def test_the_search_finds_what_it_looks_for() -> None:
    """Whole, in pieces, with blanks; and any other card by its check digit."""
    spaced = " ".join(CARD)
    assert cards_in(
        [f"x {CARD} y", f"x {CARD[3:11]} y", spaced, "to 4242 4242 4242 4242", "4242424242424241"]
    )
    assert len(cards_in([f"x {CARD} y", f"x {CARD[3:11]} y", spaced, "4242 4242 4242 4242"])) == 4
    assert cards_in(["4242424242424241", "2026-11-21 09:30:47.123456", "pay_" + "a" * 32]) == []
