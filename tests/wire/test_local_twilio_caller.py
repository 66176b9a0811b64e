"""A synthetic caller talks to a server over real sockets and decides only by what it hears there.

The server speaks recorded lines; the ears are real. Real time, since hearing is what is tested.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.responses import Response
from local_twilio_server import Peer, ScriptedServer, running
from rich.console import Console
from twilio_kit import free_port, url_of

from voicebot.audio.mulaw import decode
from voicebot.proof.ears.ears import Ears, EarsError, HeardClause
from voicebot.proof.simulation import DEFAULT_NUMBER, LocalTwilio, Quiet, read_wav, silent_person
from voicebot.proof.simulation.caller import SyntheticCaller, VoiceMeter
from voicebot.proof.simulation.phonecall import PhoneCallError, ServerUnderCall, run_call
from voicebot.proof.simulation.script import CallScript, load_lines

LINES = Path(__file__).parents[2] / "recordings" / "lines"


def bot_says(name: str) -> bytes:
    """A line that the bot of these tests speaks, in another voice than the caller's."""
    return read_wav(LINES / "rms" / f"{name}.wav")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with running(ScriptedServer()) as made:
        yield made


class Bot:
    """Answers the caller's speech (by its loudness) and keys with one line after the other."""

    def __init__(self, *answers: str, on_key: str | None = None, dial: bool = False) -> None:
        self.answers = list(answers)
        self.on_key = on_key
        self.dial = dial
        self.cleared = 0

    async def __call__(self, peer: Peer) -> None:
        await peer.until("start")
        await self._say(peer, self.answers.pop(0))
        heard_ms = quiet_ms = 0
        speaking = False
        while True:
            message = await peer.receive()
            if message["event"] == "stop":
                return
            if message["event"] == "dtmf" and self.on_key is not None:
                await self._say(peer, self.on_key)
            if message["event"] == "mark":
                speaking = False
                if not self.answers:
                    await peer.socket.close(1000)
                    return
            if message["event"] != "media":
                continue
            loud = _loud(message["media"]["payload"])
            heard_ms, quiet_ms = (heard_ms + 20, 0) if loud else (heard_ms, quiet_ms + 20)
            if loud and speaking and heard_ms >= 60:
                await peer.clear()
                self.cleared += 1
                speaking = False
            if heard_ms >= 300 and quiet_ms >= 600 and self.answers:
                heard_ms = 0
                speaking = True
                await self._say(peer, self.answers.pop(0))

    async def _say(self, peer: Peer, name: str) -> None:
        await peer.media(bot_says(name))
        await peer.mark(name)


def _loud(payload: str) -> bool:
    import base64

    return float(np.abs(decode(base64.b64decode(payload)).astype(float)).mean()) > 300


def script(*steps: dict, **more) -> CallScript:
    return CallScript.model_validate(
        {
            "voice": "slt",
            "steps": list(steps),
            "greeting_s": 1.0,
            "patience_s": 3.0,
            "silence_ms": 700,
            "pause_ms": 0,
        }
        | more
    )


async def test_the_ears_hear_cues_in_another_process_and_keep_their_order():
    """Two different lines: each cue is found in its own, at the place it was said."""
    heard: list[HeardClause] = []
    done = asyncio.Event()

    def on_words(clause: HeardClause) -> None:
        heard.append(clause)
        if len(heard) == 2:
            done.set()

    async with Ears(["opening hours", "return policy"], [], on_words) as ears:
        ears.listen(bot_says("opening_hours_b"), 1000, 4000)
        ears.listen(bot_says("returns_b"), 5000, 8000)
        assert ears.busy
        await asyncio.wait_for(done.wait(), 60)
        assert not ears.busy
    assert [(c.start_ms, c.end_ms) for c in heard] == [(1000, 4000), (5000, 8000)]
    assert "opening hours" in heard[0].text
    assert "return policy" not in heard[0].text
    assert "return policy" in heard[1].text


async def test_ears_refuse_words_they_could_never_hear():
    """Before the call, not during it; the message names the word."""
    with pytest.raises(EarsError, match="xyzzyq"):
        async with Ears(["order xyzzyq"], [], lambda _: None):
            pass


async def test_a_whole_call_by_ear_with_an_interruption_keys_and_a_person(server):
    """Greeting, question, interruption, keys when the bot asks for keys, put through, hang up."""
    server.twiml["/api/conversations"] = lambda form: Response(status_code=404)
    bot = Bot("interrupt_stop", "where_is_order_b", "returns_b", "person", on_key="warranty")
    server.on_media = bot
    server.twiml["/twilio/voice"] = server.stream(after="<Dial>+14155550123</Dial>")
    steps = (
        {
            "say": "opening_hours",
            "interrupt": {"after_s": 1.5, "say": "interrupt_stop"},
            "until": "return policy",
        },
        {"press": "5", "until": ["warranty"], "tries": 2},
        {"say": "person", "until": ["to a person"]},
        {"wait_s": 1.4},
        {"hang_up": True},
    )
    twilio = LocalTwilio()
    twilio.default_person = silent_person(0.05)
    out = io.StringIO()
    console = Console(file=out, width=120)
    result = await run_call(script(*steps), lines=LINES, url=server.url, twilio=twilio, console=console)
    assert [(s.step, s.done) for s in result.steps] == [
        ("opening_hours", True),
        ("press 5", True),
        ("person", True),
        ("wait 1.4 s", True),
        ("hang up", True),
    ], out.getvalue()
    assert result.ok
    assert result.steps[0].interrupted
    assert bot.cleared >= 1
    [barge_in] = result.analysis.barge_ins
    assert 40 <= barge_in.took_ms <= 400 + result.clock_late_ms
    assert result.put_through
    assert result.underruns_ms == []
    # the bot above answers 600 ms after the caller's last loud frame
    assert all(500 <= ms <= 800 + result.clock_late_ms for ms in result.latencies_ms[:3])
    shown = out.getvalue()
    assert "What are your" in shown or "open tomorrow" in shown  # the caller's words, as scripted
    assert "presses 5" in shown
    assert "no words from the server: /api answered 404" in shown
    written = json.loads(json.dumps(result.as_dict()))
    assert written["turn_latency_ms"]["p50"] is not None
    assert [line["who"] for line in written["transcript"]][:3] == ["bot", "caller", "bot"]


async def test_the_next_ring_gets_the_next_agent_of_the_script(server):
    """Each answers once: the first is busy, the second is there, the third is never rung, which is told."""
    server.twiml["/api/conversations"] = lambda form: Response(status_code=404)
    server.twiml["/twilio/voice"] = '<Dial action="/again">+12025550140</Dial>'
    server.twiml["/again"] = "<Dial>+12025550141</Dial>"
    agents = [
        {"name": "busy", "does": "busy", "rings_s": 0.1, "number": "+12025550140"},
        {"name": "there", "rings_s": 0.1, "greeting_s": 0.0, "steps": [{"wait_s": 0.5}]},
        {"name": "spare"},
    ]
    scripted = script({"wait_s": 60.0}, agents=agents, greeting_s=0.0)
    result = await run_call(scripted, lines=LINES, url=server.url)
    assert [(a.name, a.status, a.number) for a in result.agents] == [
        ("busy", "busy", "+12025550140"),
        ("there", "completed", "+12025550141"),
        ("spare", "not rung", ""),
    ]
    assert [a.ok for a in result.agents] == [True, True, False]
    assert result.put_through
    assert not result.ok
    assert json.loads(json.dumps(result.as_dict()))["agents"][1]["in_conference"] is False


async def test_nobody_there_is_an_error_that_says_so():
    """A URL where nothing listens."""
    with free_port() as nobody, pytest.raises(PhoneCallError, match="is the server running"):
        await run_call(script({"say": "person"}), lines=LINES, url=url_of(nobody))


async def test_the_server_can_be_started_for_the_call_and_ended_after_it(server):
    """The starter gets the local Twilio, so that it can give its credentials to the server."""
    from contextlib import asynccontextmanager

    seen: list[str] = []

    @asynccontextmanager
    async def start(twilio: LocalTwilio):
        server.auth_token = twilio.auth_token
        seen.append(twilio.api_url)
        yield ServerUnderCall(server.url, "token")
        seen.append("ended")

    server.twiml["/twilio/voice"] = "<Hangup/>"
    result = await run_call(script({"say": "person", "until": "yes"}), lines=LINES, start_server=start)
    assert not result.ok
    assert result.status == "completed"
    assert len(seen) == 2
    assert all(asked.signed for asked in server.asked if asked.path.startswith("/twilio"))
    assert server.of("/twilio/voice")[0].form["To"] == DEFAULT_NUMBER


async def test_a_server_with_another_api_is_phoned_all_the_same(server):
    """The words are the ears' then, and the display says why."""
    server.twiml["/twilio/voice"] = '<Pause length="1"/>'
    out = io.StringIO()
    result = await run_call(
        script({"wait_s": 5.0}), lines=LINES, url=server.url, console=Console(file=out, width=120)
    )
    assert result.ok
    assert "not this server's API" in out.getvalue()


async def test_a_url_and_a_starter_exclude_each_other():
    with pytest.raises(PhoneCallError, match="either"):
        await run_call(script({"say": "person"}), lines=LINES)


def test_steady_noise_becomes_silence_and_speech_stays_speech():
    """Line noise at -50 dBFS is no voice, a hum is one only at first, and a spoken line is one."""
    rng = np.random.default_rng(3)
    from voicebot.audio.mulaw import encode

    meter = VoiceMeter()
    noise = [encode(rng.normal(0, 60, 160).astype(np.int16)) for _ in range(100)]
    assert not any(meter.loud(frame) for frame in noise)
    line = bot_says("person")
    frames = [line[n : n + 160] for n in range(0, len(line) - 160, 160)]
    assert sum(meter.loud(frame) for frame in frames) > len(frames) / 2
    hum = encode((np.sin(np.arange(160) * 2 * np.pi * 100 / 8000) * 600).astype(np.int16))
    assert not [meter.loud(hum) for _ in range(500)][-1]


async def test_a_caller_without_a_call_decides_nothing_rash():
    """Frames before the phone is held are heard, and nothing is said into them."""
    wanted = script({"say": "person"})
    caller = SyntheticCaller(wanted, load_lines(LINES, wanted))
    for at in range(0, 400, 20):
        caller.on_audio(b"\xff" * 160, at)
        assert caller.next_frame(at) is None
    assert Quiet().next_frame(0) is None
