"""`voicebot serve` takes calls from any program that speaks Media Streams, and survives its parts.

A real server in processes of its own, real sockets, real audio at real time.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import websockets

from tests.media_client import MediaClient, line
from tests.serving import Serving, serving
from voicebot.audio import mulaw
from voicebot.core.conversation import TurnTimings
from voicebot.core.waterfall import hops, waited_ms
from voicebot.proof.simulation import sounds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving("--insecure-local", data_dir=tmp_path_factory.mktemp("serve")) as running:
        yield running


def call_sid(n: int) -> str:
    return f"CA{n:032x}"


def intents(found: dict[str, Any]) -> list[str]:
    return [turn["decision"]["intent"] for turn in found["turns"]]


async def asks_twice_and_interrupts(server: Serving, sid: str, voice: str) -> MediaClient:
    """Greeting; a question; an interruption in the middle of the answer to another."""
    async with MediaClient(server.url, sid) as caller:
        await caller.spoken_to(1.0, within_s=40)
        await caller.quiet(1.0, within_s=40)
        await server.answers(caller, line(voice, "opening_hours"))
        await caller.quiet(1.0, within_s=40)
        await server.answers(caller, line(voice, "returns_b"))
        before = caller.clears
        await server.answers(caller, line(voice, "shipping"))
        assert caller.clears > before
    return caller


async def test_three_calls_at_once_each_with_turns_and_a_barge_in(server: Serving):
    """No call waits for another, and nobody hears another's answer."""
    sids = [call_sid(n) for n in (1, 2, 3)]
    voices = ["slt", "awb", "rms"]
    callers = await asyncio.gather(
        *(asks_twice_and_interrupts(server, s, v) for s, v in zip(sids, voices, strict=True))
    )
    for caller in callers:
        found = await server.conversation(caller.call_sid)
        kinds = [turn["input"]["kind"] for turn in found["turns"]]
        assert kinds[0] == "call_started"
        assert kinds.count("utterance") >= 3
        assert any(turn["heard"] and not turn["heard"]["complete"] for turn in found["turns"])
        assert "opening_hours" in intents(found)
        utterances = [turn for turn in found["turns"] if turn["input"]["kind"] == "utterance"]
        answered = [turn["timings"] for turn in utterances if turn["timings"]]
        waterfalls = [TurnTimings.model_validate(one) for one in answered if one["first_heard_ms"]]
        assert len(waterfalls) >= 2
        assert any(hops(timings)[0].name == "seen" for timings in waterfalls)
        for timings in waterfalls:
            path = [hop for hop in hops(timings) if not hop.ahead]
            names = [hop.name for hop in path if hop.name != "seen"]  # a caller's frames may stop coming
            assert names[:3] == ["end", "words", "plan"]
            if not caller.stood_still:
                assert sum(hop.ms for hop in path) == pytest.approx(
                    waited_ms(timings), abs=40
                )  # its last moment is estimated from a mark
            assert timings.early is not None
            assert timings.early == (timings.eager_ms is not None)
    counted = re.compile(r'voicebot_turn_hop_seconds_count\{early="(true|false)",hop="end"\} [1-9]')
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as api, asyncio.timeout(60):
        while not counted.search((await api.get("/metrics")).text):
            await asyncio.sleep(0.1)


async def overlaps(server: Serving) -> Counter[str]:
    """How often who spoke over the bot was taken for what, so far."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        lines = (await http.get("/metrics")).text.splitlines()
    prefix = 'voicebot_overlaps_total{verdict="'
    found = [line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix)]
    return Counter({verdict: int(float(count)) for verdict, count in found})


async def test_a_backchannel_is_gone_on_over_and_words_are_not(server: Serving):
    """It goes on over "uh huh", as is heard at the other end, and gives way to words."""
    sid = call_sid(4)
    before = await overlaps(server)
    async with MediaClient(server.url, sid) as caller:
        await caller.spoken_to(1.0, within_s=40)
        caller.say(line("rms", "uh_huh"))
        await caller.quiet(0.2, within_s=40)
        await caller.spoken_to(0.4, within_s=40)
        await caller.quiet(1.0, within_s=40)
        assert caller.clears == 1
        assert await overlaps(server) - before == {"backchannel": 1}
        (greeting,) = (await server.conversation(sid))["turns"]
        assert greeting["heard"]["complete"], "said to its end"

        await server.answers(caller, line("rms", "returns"))
        caller.say(line("rms", "interrupt_delivery"))
        await caller.quiet(0.2, within_s=40)
        await caller.spoken_to(1.0, within_s=40)
        assert (await overlaps(server) - before)["interruption"] >= 1
    turns = (await server.conversation(sid))["turns"]
    cut = [turn for turn in turns if turn["heard"] and not turn["heard"]["complete"]]
    assert cut, "what was interrupted is remembered as far as it was heard"
    assert cut[0]["heard"]["text"]


async def test_calls_that_are_over_leave_nothing_that_was_made_ahead(server: Serving):
    """A caller hangs up right after a question: early plan and held sound go with the call."""
    sid = call_sid(5)
    async with MediaClient(server.url, sid) as caller:
        await caller.spoken_to(1.0, within_s=40)
        await caller.quiet(1.0, within_s=40)
        caller.say(line("rms", "opening_hours"))
        await asyncio.sleep(len(line("rms", "opening_hours")) / 8000 + 0.15)  # in the pause behind it
    gone = ("voicebot_calls_active", "voicebot_eager_plans_alive", "voicebot_held_clauses_alive")
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as api, asyncio.timeout(60):
        metrics = ""
        while not all(f"{name} 0.0" in metrics for name in gone):
            await asyncio.sleep(0.1)
            metrics = (await api.get("/metrics")).text
    assert re.search(r'voicebot_eager_offers_total\{verdict="start"\} [1-9]', metrics)


async def test_a_call_survives_the_death_of_its_recogniser(server: Serving):
    """kill -9 of the engine in the middle of a call: the caller is asked again, and then understood."""
    sid = call_sid(10)
    async with MediaClient(server.url, sid) as caller:
        await caller.spoken_to(1.0, within_s=40)
        await caller.quiet(1.0, within_s=40)
        [engine] = server.children("engines.host sphinx")
        caller.say(line("slt", "opening_hours"))
        await asyncio.sleep(0.6)
        engine.kill()
        await caller.spoken_to(0.5, within_s=40)
        await caller.quiet(1.0, within_s=40)
        async with asyncio.timeout(60):
            while not any("engine_back" in told for told in server.lines):
                await asyncio.sleep(0.1)
        await server.answers(caller, line("slt", "opening_hours"))
    found = await server.conversation(sid)
    assert "engine_down" in [turn["input"].get("reason") for turn in found["turns"]]
    assert intents(found)[-1] == "opening_hours"
    assert [p.pid for p in server.children("engines.host sphinx")] != [engine.pid]


def in_noise(ulaw: bytes, snr_db: float) -> bytes:
    """A line from a place with a steady noise: four seconds of it before, one behind."""
    speech = mulaw.decode(ulaw)
    quiet = np.zeros(8000, np.int16)
    whole = np.concatenate((quiet, quiet, quiet, quiet, speech, quiet))
    level = sounds.level_of(speech) - snr_db
    noise = sounds.pink_noise(len(whole) // 8 + 1, level_dbfs=level)[: len(whole)]
    return mulaw.encode(np.clip(whole.astype(np.int32) + noise, -32768, 32767).astype(np.int16))


async def test_a_caller_in_the_noise_is_told_so_and_goes_on_by_keys(server: Serving):
    """PocketSphinx makes words of it that nobody said: they are not acted upon, and the reason is given."""
    sid = call_sid(15)
    async with MediaClient(server.url, sid) as caller:
        await caller.spoken_to(1.0, within_s=40)
        await caller.quiet(1.0, within_s=40)
        caller.say(in_noise(line("slt", "returns"), 6))
        await asyncio.sleep(6)
        await caller.spoken_to(1.0, within_s=40)
        await caller.quiet(1.0, within_s=40)
        caller.press("1")
        await caller.spoken_to(1.0, within_s=40)
    found = await server.conversation(sid)
    unheard = next(turn for turn in found["turns"] if turn["input"]["kind"] == "not_heard")
    assert unheard["input"]["reason"] == "too_noisy"
    assert unheard["decision"]["policy_row"] == "not_heard/too_noisy/rephrase"
    assert "loud at your end" in unheard["heard"]["text"]
    assert intents(found)[-1] == "opening_hours"
    assert "return_policy" not in intents(found)


async def test_keys_are_input_while_the_bot_speaks(server: Serving):
    """Key 0 in the middle of the greeting silences the bot and brings a person."""
    sid = call_sid(20)
    async with MediaClient(server.url, sid) as caller:
        await caller.spoken_to(1.0, within_s=40)
        caller.press("0")
        async with asyncio.timeout(60):
            await caller.closed.wait()
        assert caller.clears >= 1
    found = await server.conversation(sid)
    assert found["turns"][-1]["decision"]["action"] == "escalate"
    assert found["status"] == "handoff"


async def test_a_hang_up_in_the_middle_of_an_answer_is_remembered_as_far_as_it_was_heard(server: Serving):
    """The last turn is closed with what was heard, although the call is gone."""
    sid = call_sid(25)
    async with MediaClient(server.url, sid) as caller:
        await caller.spoken_to(2.0, within_s=40)
    async with asyncio.timeout(60):
        while (heard := (await server.conversation(sid))["turns"][-1]["heard"]) is None:
            await asyncio.sleep(0.1)
    assert not heard["complete"]
    assert heard["text"]


async def test_the_call_leaves_nothing_behind(server: Serving):
    """After its calls the node has the sockets and tasks it had before."""
    [node] = server.children("voicebot.runtime.node")
    await asyncio.sleep(1.0)
    before = node.num_fds()
    for n in range(30, 33):
        async with MediaClient(server.url, call_sid(n)) as caller:
            await caller.spoken_to(0.3, within_s=40)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http, asyncio.timeout(60):
        while "voicebot_calls_active 0.0" not in (await http.get("/metrics")).text:
            await asyncio.sleep(0.1)
        while node.num_fds() > before + 2:
            await asyncio.sleep(0.1)


def test_nothing_survives_a_kill_9_of_the_supervisor(tmp_path: Path):
    """Engines, nodes and Postgres die with the process that started them."""
    with serving("--insecure-local", data_dir=tmp_path / "data") as running:
        family = psutil.Process(running.process.pid).children(recursive=True)
        assert len(family) >= 5
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(30)
        _, alive = psutil.wait_procs(family, timeout=60)
        assert alive == []


async def not_ready(url: str) -> dict[str, str]:
    """What a balancer is told is wrong; empty: it may send calls."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        answer = await http.get("/readyz")
    wrong: dict[str, str] = answer.json().get("wrong", {})
    assert (answer.status_code == 503) is bool(wrong)
    return wrong


async def test_sigterm_lets_a_call_finish_and_a_second_one_puts_the_rest_through(tmp_path: Path):
    """A drain is heard by nobody: calls go on, the next is turned away. At its end, which a second signal
    brings, callers are told that a person takes them. A balancer is told before, too, when every place is
    taken.
    """
    with serving("--insecure-local", data_dir=tmp_path / "data", VOICEBOT_MAX_CALLS="2") as running:
        assert await not_ready(running.url) == {}
        stays = await MediaClient(running.url, call_sid(2)).__aenter__()
        async with MediaClient(running.url, call_sid(1)) as caller:
            await caller.spoken_to(1.0, within_s=40)
            async with asyncio.timeout(60):
                while await not_ready(running.url) != {"room": "no further call is taken: places"}:
                    await asyncio.sleep(0.05)
            running.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                while await not_ready(running.url) != {"node": "draining"}:
                    await asyncio.sleep(0.05)
            await caller.quiet(1.0, within_s=40)
            caller.say(line("slt", "opening_hours"))
            await caller.spoken_to(1.0, within_s=40)
        await stays.quiet(1.0, within_s=40)
        assert not stays.closed.is_set(), "the default deadline is minutes away"
        running.process.send_signal(signal.SIGTERM)
        await stays.spoken_to(0.5, within_s=40)
        async with asyncio.timeout(40):
            await stays.closed.wait()
        await stays.__aexit__()
        began = time.monotonic()
        while running.process.poll() is None and time.monotonic() - began < 60:
            await asyncio.sleep(0.1)
        assert running.process.returncode == 0


async def test_a_chat_on_the_same_server_and_the_next_one_knows_of_it(server: Serving):
    """By POST and by socket, on whatever node they land; what was decided stands in the API."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:

        async def say(known: str | None, text: str) -> dict[str, Any]:
            answer = await client.post("/chat", json={"conversation_id": known, "text": text})
            assert answer.status_code == 200, answer.text
            return answer.json()

        first = await say(None, "Where is my order?")
        await say(first["conversation_id"], "518264")
        told = await say(first["conversation_id"], "60614")
        assert "wool rug" in told["replies"][0]
        async with websockets.connect(server.url.replace("http", "ws") + "/chat") as socket:
            known = None
            for text in ("Where is my order?", "518264", "60614"):
                await socket.send(json.dumps({"conversation_id": known, "text": text}))
                event: dict[str, Any] = {"type": ""}
                while event["type"] != "turn.done":
                    event = json.loads(await socket.recv())
                    assert event["type"] != "error", event
                known = event["conversation_id"]
        assert "I see you asked about this earlier today." in event["reply"]["replies"][0]
        found = (await client.get(f"/api/conversations/{known}")).json()
        assert (found["channel"], found["call_sid"]) == ("chat", None)
        assert intents(found)[-1] == event["reply"]["decision"]["intent"] == "order_status"
        assert (await client.get("/openapi.json")).json()["paths"]["/chat"]["post"]["requestBody"]
