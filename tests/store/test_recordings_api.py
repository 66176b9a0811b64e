"""Recordings over REST: what is personal leaves a node neither as words nor as sound, whoever asks.

The list, one call on its timeline, its sound in parts, what is wrong with a damaged one, who may do what, and
that every listening is in the access log.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
from deployment_kit import LIBRARY, PEOPLE
from fastapi import FastAPI
from notes_kit import note_wrong_answer
from pydantic import SecretStr
from twilio_kit import eventually, free_port, serving

from scripts.seed_recordings import seed
from voicebot.audio.recording.reader import read_recording
from voicebot.console.access import bearer_guard
from voicebot.console.corrections import corrections_router
from voicebot.console.handoffs import Queue
from voicebot.console.player import replays as replays_of
from voicebot.console.player.opening import Player
from voicebot.console.player.replays import Failed, ReplayBusy, Replays
from voicebot.console.player.routes import recordings_router
from voicebot.console.player.shelf import Shelf
from voicebot.console.readers import AGENT_HEADER, readers
from voicebot.core.store import agent_words, audit
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.outcomes import Outcomes
from voicebot.handoff.roster import Roster

ROOT = Path(__file__).resolve().parents[2]
TOKEN = SecretStr("token")
SAMPLE = "03-order-by-voice"
SAID = {"427103", "94107"}
"""What the caller of the sample gives away."""


@dataclass
class Desk:
    """The API with one call of the samples."""

    http: httpx.AsyncClient
    database: Database
    keys: KeyRing
    folder: Path
    call: str
    player: Player
    app: FastAPI

    async def get(self, path: str, who: str = "cleo", status: int = 200, **query: Any) -> Any:
        answer = await self.ask("GET", path, who, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def ask(self, method: str, path: str, who: str = "cleo", **more: Any) -> httpx.Response:
        headers = {"Authorization": "Bearer token", AGENT_HEADER: who, **more.pop("headers", {})}
        return await self.http.request(method, f"/api/recordings{path}", headers=headers, **more)

    async def sound(self, asked: str | None = None, who: str = "cleo") -> httpx.Response:
        headers = {} if asked is None else {"Range": asked}
        return await self.ask("GET", f"/{self.call}/sessions/001/sound", who, headers=headers)

    async def listened(self) -> list[str]:
        async with self.database.transaction() as tx:
            rows = await audit.accesses(tx, self.call)
        return [row["actor"] for row in rows if row["purpose"] == "listening"]

    def file(self, suffix: str) -> Path:
        return self.folder / "recordings" / self.call / f"001{suffix}"

    async def key(self) -> bytes:
        async with self.database.transaction() as tx:
            snapshot = await Conversations(self.keys).load(tx, self.call)
            return (await self.keys.cipher(tx, snapshot.subject_id)).derive("recording")


@pytest_asyncio.fixture
async def desk(database: Database, keys: KeyRing, tmp_path: Path) -> AsyncIterator[Desk]:
    call = await seed(database, keys, tmp_path, SAMPLE)
    player = Player(database, keys, Shelf(tmp_path / "recordings"), Replays({}), PEOPLE.time_zone)
    who = readers(bearer_guard(TOKEN, insecure_local=False), TOKEN, Roster(ROOT, PEOPLE))
    app = FastAPI()
    app.include_router(recordings_router(player, who))
    queue = Queue(database, keys, PEOPLE, LIBRARY.reasons)
    app.include_router(corrections_router(queue, who))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as http:
        yield Desk(http, database, keys, tmp_path, call, player, app)


def samples(wav: bytes) -> npt.NDArray[np.int16]:
    """Of a WAV: ``[n, 2]``."""
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)


async def test_the_sound_is_silent_where_something_personal_was_said_and_nowhere_else(desk: Desk) -> None:
    as_it_was = read_recording(desk.file(".vbrec"), await desk.key()).pcm16
    view = await desk.get(f"/{desk.call}/sessions/001")
    heard = samples((await desk.sound()).content)
    assert heard.shape == as_it_was.shape
    expected = as_it_was.copy()
    assert {one["channel"] for one in view["silences"]} == {"caller", "bot"}
    for one in view["silences"]:
        stretch = slice(one["at_ms"] * 8, one["until_ms"] * 8)
        column = ("caller", "bot").index(one["channel"])
        assert np.abs(as_it_was[stretch, column]).max() > 1000
        expected[stretch, column] = 0
    assert (heard == expected).all()
    by_number = [
        line
        for line in view["lines"]
        if line["who"] == "caller" and any(word["text"].startswith("[") for word in line["words"])
    ]
    assert by_number
    for line in by_number:
        assert not heard[line["at_ms"] * 8 : line["until_ms"] * 8, 0].any()
    peaks = await desk.get(f"/{desk.call}/sessions/001/peaks", points=387)
    quiet = [n for n, one in enumerate(peaks["caller"]) if one == 0]
    first = view["silences"][0]
    assert {*range(first["at_ms"] // 100 + 1, first["until_ms"] // 100)} <= {*quiet}
    assert max(peaks["caller"]) > 100


async def test_no_answer_holds_what_the_caller_gave_away(desk: Desk) -> None:
    for path in ("", f"/{desk.call}", f"/{desk.call}/sessions/001", f"/{desk.call}/sessions/001/peaks"):
        for who in ("ada", "cleo"):
            text = json.dumps(await desk.get(path, who))
            assert not any(value in text for value in SAID), path
            assert "four two seven one" not in text


async def test_parts_of_the_sound_are_the_same_bytes_and_a_listening_is_logged_once(desk: Desk) -> None:
    whole = await desk.sound()
    assert whole.status_code == 200
    assert whole.headers["accept-ranges"] == "bytes"
    for asked in ("bytes=0-99", "bytes=40-90", "bytes=300001-333333", "bytes=1200000-", "bytes=-5"):
        part = await desk.sound(asked)
        assert part.status_code == 206
        first, _, last = part.headers["content-range"].removeprefix("bytes ").partition("/")[0].partition("-")
        assert part.content == whole.content[int(first) : int(last) + 1]
        assert len(part.content) == int(part.headers["content-length"])
    beyond = await desk.sound("bytes=99999999-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")
    assert await desk.listened() == ["cleo"]
    await desk.sound("bytes=0-", who="ada")
    assert await desk.listened() == ["cleo", "ada"]


async def test_a_listening_that_could_not_be_logged_is_logged_with_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: Any, **__: Any) -> None:
        raise DatabaseDown("gone")

    with monkeypatch.context() as broken:
        broken.setattr(audit, "access", down)
        with pytest.raises(DatabaseDown):
            await desk.sound()
    assert await desk.listened() == []
    await desk.sound()
    assert await desk.listened() == ["cleo"]


async def test_words_lie_where_they_are_heard_and_turns_where_they_were(desk: Desk) -> None:
    view = await desk.get(f"/{desk.call}/sessions/001")
    assert (view["whole"], view["problems"], view["error"]) == (True, [], None)
    first = next(line for line in view["lines"] if line["who"] == "caller")
    assert [word["text"] for word in first["words"]][:3] == ["hello", "my", "order"]
    assert all(word["exact"] for word in first["words"])
    loud = samples((await desk.sound()).content)[:, 0].astype(int)
    for word in first["words"]:
        assert np.abs(loud[word["at_ms"] * 8 : word["until_ms"] * 8]).max() > 1000, word
    for line in view["lines"]:
        times = [at for word in line["words"] for at in (word["at_ms"], word["until_ms"])]
        assert times == sorted(times)
    assert [turn["turn"] for turn in view["turns"]] == [1, 2, 3, 4]
    last = view["turns"][-1]
    assert [hop["name"] for hop in last["hops"]][:2] == ["seen", "end"]
    assert [(tool["tool"], tool["status"]) for tool in last["tools"]] == [("order_status", "answered")]
    assert {one["lane"] for one in view["moments"]} == {"events", "systems"}


async def test_what_is_wrong_with_a_recording_is_named_and_what_is_sound_of_it_is_heard(desk: Desk) -> None:
    sound, events = desk.file(".vbrec"), desk.file(".vbevents")
    was, told = sound.read_bytes(), events.read_bytes()
    detail = f"/{desk.call}"

    async def problems() -> list[str]:
        (one,) = (await desk.get(detail))["sessions"]
        return [one["error"] or "", *(problem["kind"] for problem in one["problems"])]

    sound.write_bytes(was[: len(was) // 2])
    assert await problems() == ["", "cut_short", "sound_missing"]
    short = samples((await desk.sound()).content)
    assert 0 < short.shape[0] < 38_680 * 8
    broken = bytearray(was)
    broken[len(was) // 2] ^= 1
    sound.write_bytes(broken)
    assert (await problems())[1] == "altered"
    assert 0 < samples((await desk.sound()).content).shape[0] < 38_680 * 8
    sound.write_bytes(was[:7] + b"\x09" + was[8:])
    assert "version 9" in (await problems())[0]
    assert (await desk.sound()).status_code == 409
    sound.unlink()
    assert "sound_missing" in await problems()
    assert (await desk.sound()).status_code == 409
    assert (await desk.get(f"{detail}/sessions/001"))["lines"]
    sound.write_bytes(was)
    events.unlink()
    assert "sound_missing" in await problems()
    refused = await desk.sound()
    assert refused.status_code == 409
    assert "what is personal" in refused.json()["detail"]
    events.write_bytes(told[: len(told) // 2])
    assert "cut_short" in await problems()
    after = (await desk.get(f"{detail}/sessions/001"))["silences"]
    assert {one["channel"] for one in after if one["until_ms"] is None} == {"caller", "bot"}
    sound.unlink()
    events.unlink()
    assert (await desk.get(detail))["kept"] == "gone"
    assert (await desk.sound()).status_code == 404


async def test_words_that_were_masked_later_are_silent_too(desk: Desk) -> None:
    conversations = Conversations(desk.keys)
    async with desk.database.transaction() as tx:
        snapshot = await conversations.load(tx, desk.call)
        cipher = await desk.keys.cipher(tx, snapshot.subject_id)
        row = await conversations.turn(tx, desk.call, 2)
        assert row is not None
        given = {**row["input"], "text": "hello my [name 1] has not arrived yet"}
        await tx.execute(
            "UPDATE turns SET sealed_input = %s WHERE conversation_id = %s AND turn = 2",
            (cipher.seal_json(given, f"input:{desk.call}:2"), desk.call),
        )
    spoken = slice(row["input"]["started_ms"] * 8, row["input"]["last_voiced_ms"] * 8)
    assert not samples((await desk.sound()).content)[spoken, 0].any()


async def test_who_may_what(desk: Desk) -> None:
    agent, supervisor = await desk.get("", "ada"), await desk.get("", "cleo")
    assert [row["id"] for row in agent] == [row["id"] for row in supervisor] == [desk.call]
    await desk.get("", "ada", 403, worth=True)
    assert (await desk.ask("POST", f"/{desk.call}/replay", "ada")).status_code == 403
    stranger = await desk.http.get("/api/recordings", headers={"Authorization": "Bearer wrong"})
    assert stranger.status_code == 401
    async with desk.database.transaction() as tx:
        await tx.execute(
            "UPDATE conversations SET status = 'live', ended_at = NULL, end_reason = NULL WHERE id = %s",
            (desk.call,),
        )
    await desk.get(f"/{desk.call}", "ada", 403)
    await desk.get(f"/{desk.call}", "cleo", 409)
    assert await desk.get("") == []


async def test_an_erased_call_says_so_and_gives_nothing(desk: Desk) -> None:
    await desk.sound()
    async with desk.database.transaction() as tx:
        await tx.execute("UPDATE subjects SET wrapped_key = NULL, erased_at = now()")
    (row,) = await desk.get("")
    assert row["kept"] == "erased"
    for path in ("", "/sessions/001", "/sessions/001/peaks", "/sessions/001/sound"):
        await desk.get(f"/{desk.call}{path}", status=410)


async def test_filters_pages_and_what_is_worth_listening_to(desk: Desk) -> None:
    barged = await seed(desk.database, desk.keys, desk.folder, "05-barge-in")
    left = await seed(desk.database, desk.keys, desk.folder, "01-greeting-and-hang-up")
    work = Outcomes(
        desk.database, desk.keys, lambda intent: intent not in {"call_started", "goodbye"}, quiet_s=0
    )
    while await work.one() is not None:
        pass

    async def ids(**query: Any) -> list[str]:
        return [row["id"] for row in await desk.get("", **query)]

    assert await ids() == [left, barged, desk.call]
    (first,) = await desk.get("", limit=1)
    assert await ids(limit=1, before=f"{first['created_at']},{first['id']}") == [barged]
    assert await ids(intent="order_status") == [desk.call]
    assert await ids(channel="browser") == []
    assert await ids(over_ms=1500) == [desk.call]
    assert await ids(over_ms=60_000) == await ids(day="2020-01-01") == await ids(marked=True) == []
    (gave_up,) = await desk.get("", worth=True)
    assert (gave_up["resolution"], gave_up["reasons"]) == ("abandoned", ["left"])
    async with desk.database.transaction() as tx:
        await agent_words.say(
            tx,
            desk.keys,
            conversation_id=desk.call,
            kind="note",
            value="wrong_answer",
            who="ada",
            text="no",
            turn=4,
        )
        await tx.execute("UPDATE outcomes SET cut_offs = 1 WHERE conversation_id = %s", (barged,))
    assert await ids(marked=True) == [desk.call]
    await desk.get("", status=422, day="9999-12-31")
    found = await desk.get("", worth=True)
    reasons = {row["id"]: row["reasons"] for row in found}
    assert next(iter(reasons)) == desk.call
    assert reasons[desk.call][0] == "wrong"
    assert reasons[barged] == ["cut_off"]
    known = await desk.get("/choices")
    assert "order_status" in known["intents"]


async def test_a_week_in_which_nobody_listens_is_told_of(desk: Desk) -> None:
    nothing = {"last": None, "calls": 0, "oldest": None, "overdue": False, "articles": 0}
    assert await desk.get("/review") == nothing
    await desk.get("/review", "ada", 403)
    six, nine, forty = [
        await seed(desk.database, desk.keys, desk.folder, "05-barge-in", ago=timedelta(days=days))
        for days in (6, 9, 40)
    ]
    await note_wrong_answer(desk.database, desk.keys, six)
    await note_wrong_answer(desk.database, desk.keys, forty)
    found = await desk.get("/review")
    assert (found["calls"], found["overdue"]) == (1, False), (
        "it waits less than a week; the older is forgotten"
    )
    await note_wrong_answer(desk.database, desk.keys, nine)
    found = await desk.get("/review")
    assert (found["calls"], found["overdue"], found["last"]) == (2, True, None)
    await desk.sound()  # of another call: they are at it
    found = await desk.get("/review")
    assert (found["calls"], found["overdue"]) == (0, False)
    assert found["last"] is not None
    async with desk.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO articles (id, title, owner, reviewed, review_days, version)"
            " VALUES ('a', 'A', 'ada', current_date - 31, 30, '1'),"
            " ('b', 'B', 'ada', current_date - 30, 30, '1')"
        )
    assert (await desk.get("/review"))["articles"] == 1
    desk.player.now = lambda: datetime.now(UTC) + timedelta(days=8)
    await note_wrong_answer(
        desk.database, desk.keys, await seed(desk.database, desk.keys, desk.folder, "05-barge-in")
    )
    found = await desk.get("/review")
    assert (found["calls"], found["overdue"]) == (1, True), "they were at it a week ago"


async def test_a_turn_becomes_a_golden_case_that_somebody_else_reviews(desk: Desk) -> None:
    path = f"/{desk.call}/turns/4/golden"
    body = {"expect": {"intent": "order_status", "says": ["on its way"]}, "why": "it has to name the day"}
    made = await desk.ask("POST", path, "ada", json=body)
    assert made.status_code == 201
    headers = {"Authorization": "Bearer token", AGENT_HEADER: "cleo"}
    one = (await desk.http.get(f"/api/corrections/{made.json()['correction']}", headers=headers)).json()
    assert (one["kind"], one["status"], one["proposed_by"], one["turn"]) == (
        "golden_case",
        "proposed",
        "ada",
        4,
    )
    assert "on its way" in one["document"]
    assert "427103" not in one["document"]
    again = await desk.ask("POST", path, "ada", json=body)
    assert again.json() != made.json()
    for wrong in (
        {"expect": {}},
        {"expect": {"after": "explode"}},
        {"expect": {"says": ["4242 4242 4242 4242"]}},
    ):
        assert (await desk.ask("POST", path, "ada", json=wrong)).status_code == 422
    greeting = await desk.ask("POST", f"/{desk.call}/turns/1/golden", "ada", json=body)
    assert greeting.status_code == 422


def program(text: str) -> tuple[str, ...]:
    """A stand-in for ``voicebot replay``."""
    return (sys.executable, "-c", f"import os, signal, sys, time; {text}")


SAYS_WHO_IT_IS = """
print('{"replayed_ms": %d, "of_ms": 9}' % os.getpid(), file=sys.stderr, flush=True); time.sleep(600)
""".strip()
DEAF = f"signal.signal(signal.SIGINT, signal.SIG_IGN); {SAYS_WHO_IT_IS}"


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def free(replays: Replays) -> bool:
    try:
        replays.check()
    except ReplayBusy:
        return False
    return True


async def test_one_replay_at_a_time_which_says_why_it_cannot_be_run(desk: Desk, tmp_path: Path) -> None:
    replays = desk.player.replays = Replays({}, program=program(SAYS_WHO_IT_IS))
    running = replays.run(tmp_path, bytes(32), "local")
    told = [await anext(running), await anext(running)]
    assert [one.of_ms for one in told] == [None, 9]  # type: ignore[union-attr]
    busy = await desk.ask("POST", f"/{desk.call}/replay")
    assert (busy.status_code, "already" in busy.json()["detail"]) == (409, True)
    await running.aclose()
    await eventually(lambda: free(replays))
    noise = "[print('x', file=sys.stderr) for _ in range(99)]; print('y' * 99_999, file=sys.stderr); "
    why = "print('voicebot: the model is not here', file=sys.stderr); sys.exit(2)"
    replays.program = program(noise + why)
    for _ in range(2):  # one after the other
        failed = await desk.ask("POST", f"/{desk.call}/replay")
        assert [line for line in failed.text.splitlines() if line.startswith("data")] == [
            'data: {"type": "progress", "at_ms": null, "of_ms": null}',
            'data: {"type": "failed", "why": "the model is not here"}',
        ]
    replays.busy = lambda: True
    assert (await desk.ask("POST", f"/{desk.call}/replay")).status_code == 409


@pytest.mark.parametrize("text", [SAYS_WHO_IT_IS, DEAF], ids=["hears SIGINT", "does not"])
async def test_who_leaves_ends_it_and_the_next_begins_when_it_is_gone(
    desk: Desk, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP, as a browser leaves: by closing the connection."""
    monkeypatch.setattr(replays_of, "_ENDS_WITHIN_S", 0.5)
    replays = desk.player.replays = Replays({}, program=program(text))
    async with serving(desk.app, free_port()) as url, httpx.AsyncClient(base_url=url, timeout=30) as http:
        headers = {"Authorization": "Bearer token", AGENT_HEADER: "cleo"}
        path = f"/api/recordings/{desk.call}/replay"
        async with http.stream("POST", path, headers=headers) as answer:
            data = [line async for line in _until(answer.aiter_lines(), '"of_ms": 9')]
        pid = int(json.loads(data[-1].removeprefix("data: "))["at_ms"])
        await eventually(lambda: free(replays))
        assert not lives(pid)


async def test_what_takes_too_long_is_ended_whether_it_hears_that_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays_of, "_ENDS_WITHIN_S", 0.2)
    replays = Replays({}, longest_s=0.5, program=program(DEAF))
    told = [one async for one in replays.run(tmp_path, bytes(32), "local")]
    assert isinstance(told[-1], Failed)
    assert "ended after" in told[-1].why
    assert free(replays)


async def test_a_replay_that_cannot_even_be_started_says_so_and_frees_its_place(tmp_path: Path) -> None:
    """No such program, and arguments that no process can have."""
    for program_ in (("/nowhere/python",), ("a\0b",)):
        replays = Replays({}, program=program_)
        async with asyncio.timeout(30):
            said = [told async for told in replays.run(tmp_path, bytes(32), "local")]
            assert isinstance(said[-1], Failed)
            while replays._minding is not None:
                await asyncio.sleep(0)
        replays.check()


async def test_a_report_that_never_ends_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays_of, "_MOST_BYTES", 1 << 20)
    replays = Replays({}, program=program("print('1' * (3 << 20))"))
    told = [one async for one in replays.run(tmp_path, bytes(32), "local")]
    assert isinstance(told[-1], Failed)
    assert "more than 1 MB" in told[-1].why


async def _until(lines: AsyncIterator[str], sign: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if sign in line:
            return
