"""Words spoken to words at a reader of the live transcript, over the wire, here and on another node.

    .venv/bin/python -m scripts.bench.live [--rounds 2] [--stt whisper:models/demo-whisper] [--voice awb]
                    [--carriers postgres,nats] [--json] [--out FILE]

Two servers of one database stand for two nodes. A recorded caller phones the first through the local Twilio;
then both legs of a conference are played to it as Twilio would fork them. Readers of the first server and of
the second (server-sent events, one of them a WebSocket) note when each word arrives. A word is spoken when
the 20 ms in which it ends have been put on the wire; it is at the reader with the first entry, partial or
line, that has it in its place. Words that the recogniser got wrong are not counted; how many is told.
*Told* is the share of the way that is ours: from the moment a node has words so far to the reader.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import difflib
import json
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import websockets

from scripts.bench import report
from scripts.bench.caller import BenchCaller, Step
from scripts.bench.lines import PHRASES, read, recorded
from scripts.bench.servers import ROOT, BenchError, Bot, data_directory, voicebot
from voicebot.audio.engines.choice import choose
from voicebot.audio.engines.client import GrpcTranscriber
from voicebot.audio.engines.hosts import EngineHosts
from voicebot.audio.mulaw import SILENCE
from voicebot.core.conversation import FREE, Channel
from voicebot.core.settings import load_settings
from voicebot.core.store import tokens
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.proof.simulation.exchange import LocalTwilio

LINES = ("opening_hours", "returns", "shipping", "shipping_b", "warranty", "where_is_order")
DEMO = f"whisper:{ROOT / 'models' / 'demo-whisper'}"
FRAME = 160
PAUSE_FRAMES = 75
SETTLE_S = 3.0
_HEADER = 300  # ms of silence that `read` puts before a line


@dataclass(frozen=True)
class Line:
    """A recorded line: its sound (mu-law), its words, and where each of them ends (ms), None: not known."""

    name: str
    ulaw: bytes
    words: tuple[str, ...]
    ends_ms: tuple[int | None, ...]


@dataclass
class Spoken:
    """A line on the wire: when each of its 20 ms went out, on this machine's clock (s)."""

    line: Line
    who: str
    sent_s: list[float] = field(default_factory=list)

    def ends_s(self, word: int) -> float | None:
        """When a word was over."""
        end_ms = self.line.ends_ms[word]
        if end_ms is None or end_ms // 20 >= len(self.sent_s):
            return None
        return self.sent_s[end_ms // 20]


@dataclass
class Reader:
    """Notes what a stream tells, and when."""

    name: str
    seen: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    told_ms: list[float] = field(default_factory=list)

    def note(self, text: str) -> None:
        """One entry has arrived."""
        entry = json.loads(text)
        self.seen.append((time.monotonic(), entry))
        if entry["type"] == "partial":  # stamped when the node had the words, by the clock of this machine
            self.told_ms.append((time.time() - datetime.fromisoformat(entry["at"]).timestamp()) * 1000)


def plain(text: str) -> list[str]:
    """Lower case, without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


async def aligned(stt: str, voice: str) -> list[Line]:
    """The lines, with the ends of those words that the engine reads right when it has the whole line."""
    found: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="bench-live-") as folder:
        hosts = EngineHosts(
            choose(load_settings(stt=stt, data_dir=Path(folder))), Path(folder), phrases=PHRASES
        )
        await hosts.start()
        try:
            transcriber = GrpcTranscriber(hosts.targets.stt)
            for entry in recorded({voice}):
                if entry["name"] not in LINES:
                    continue
                transcript = await read(transcriber, entry["wav"], FREE)
                said = plain(entry["text"])
                heard = [(plain(one.text) or [""])[0] for one in transcript.words]
                ends: list[int | None] = [None] * len(said)
                for a, b, size in difflib.SequenceMatcher(None, said, heard, False).get_matching_blocks():
                    for n in range(size):
                        ends[a + n] = max(0, transcript.words[b + n].end_ms - _HEADER)
                ulaw = entry["wav"][entry["wav"].index(b"data") + 8 :]
                found.append(Line(entry["name"], ulaw, tuple(said), tuple(ends)))
            await transcriber.close()
        finally:
            await hosts.stop()
    if not any(end is not None for line in found for end in line.ends_ms):
        raise BenchError(f"{stt} gives no word times for {voice}: choose another engine or voice")
    return found


class TimedCaller(BenchCaller):
    """A caller that remembers when each piece of its lines went out."""

    spoken: dict[str, Spoken]

    def next_frame(self, at_ms: int) -> bytes | None:
        """See `BenchCaller`."""
        frame = super().next_frame(at_ms)
        if frame is not None:
            self.spoken[self.steps[self._next].name].sent_s.append(time.monotonic())
        return frame


async def phone(bot: Bot, lines: list[Line], reading: Any) -> list[Spoken]:
    """One call; ``reading(call_sid)`` is a context that reads its transcript meanwhile."""
    over = asyncio.Event()
    steps = [Step(line.name, line.ulaw, "after", 700) for line in lines]
    caller = TimedCaller(steps, over.set, patience_ms=4000, done_quiet_ms=1000)
    caller.spoken = {line.name: Spoken(line, "caller") for line in lines}
    async with LocalTwilio() as twilio:
        call = await twilio.phone(bot.voice_url, ear=caller, status_callback=bot.status_url)
        async with reading(call.call_sid):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(25.0 * len(lines)):
                    await over.wait()
            await asyncio.sleep(SETTLE_S)
        call.hang_up()
        await call.wait_ended()
    return list(caller.spoken.values())


async def play(
    url: str, who: str, token: str, call_sid: str, lines: list[Line], begin_s: float
) -> list[Spoken]:
    """One leg, as Twilio forks it: a frame every 20 ms from ``begin_s`` on, silence between the lines."""
    spoken = [Spoken(line, who) for line in lines]
    sid, sequence = "MZ" + secrets.token_hex(16), 0
    async with websockets.connect(url.replace("http", "ws", 1) + "/twilio/media", compression=None) as ws:

        async def send(event: str, **more: Any) -> None:
            nonlocal sequence
            sequence += 1
            head = {"event": event, "sequenceNumber": str(sequence), "streamSid": sid}
            await ws.send(json.dumps(head | more))

        await ws.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        parameters = {"token": token, "leg": who}
        await send("start", start={"callSid": call_sid, "streamSid": sid, "customParameters": parameters})
        frames: list[tuple[bytes, Spoken | None]] = []
        quiet = bytes([SILENCE]) * FRAME
        for one in spoken:
            frames += [(quiet, None)] * PAUSE_FRAMES
            cut = [one.line.ulaw[at : at + FRAME] for at in range(0, len(one.line.ulaw), FRAME)]
            frames += [(piece.ljust(FRAME, quiet[:1]), one) for piece in cut]
        frames += [(quiet, None)] * (2 * PAUSE_FRAMES)
        for n, (frame, one) in enumerate(frames):
            await asyncio.sleep(max(0.0, begin_s + n * 0.02 - time.monotonic()))
            payload = base64.b64encode(frame).decode()
            await send("media", media={"track": "inbound", "timestamp": str(n * 20), "payload": payload})
            if one is not None:
                one.sent_s.append(time.monotonic())
        await send("stop", stop={"callSid": call_sid})
        with contextlib.suppress(websockets.ConnectionClosed):
            async with asyncio.timeout(SETTLE_S + 2):
                await ws.recv()
    return spoken


async def conversation_of(url: str, call_sid: str) -> str:
    """The newest conversation, which is this call's: the bench makes one at a time."""
    async with httpx.AsyncClient(base_url=url, timeout=5) as client:
        for _ in range(100):
            rows = (await client.get("/api/conversations", params={"limit": 1})).json()
            if rows and rows[0]["call_sid"] == call_sid:
                return rows[0]["id"]
            await asyncio.sleep(0.05)
    raise BenchError("the call has no conversation")


async def read_sse(url: str, conversation: str, reader: Reader) -> None:
    """Reads until cancelled."""
    path = f"{url}/api/conversations/{conversation}/stream"
    async with httpx.AsyncClient(timeout=60.0) as client, client.stream("GET", path) as answer:
        async for text in answer.aiter_lines():
            if text.startswith("data: "):
                reader.note(text[6:])


async def read_websocket(url: str, conversation: str, reader: Reader) -> None:
    """The same over a WebSocket."""
    path = f"{url.replace('http', 'ws', 1)}/api/conversations/{conversation}/stream"
    async with websockets.connect(path) as ws:
        async for message in ws:
            reader.note(str(message))


@contextlib.asynccontextmanager
async def reading(urls: tuple[str, str], conversation: str) -> AsyncIterator[list[Reader]]:
    """Three readers: two of the call's node, one of the other."""
    here, there = urls
    readers = [Reader("same node, events"), Reader("same node, WebSocket"), Reader("other node, events")]
    ways = ((read_sse, here), (read_websocket, here), (read_sse, there))
    tasks = [
        asyncio.create_task(way(url, conversation, one))
        for one, (way, url) in zip(readers, ways, strict=True)
    ]
    await asyncio.sleep(0.5)
    try:
        yield readers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def late_ms(spoken: list[Spoken], reader: Reader) -> tuple[list[float], list[float], int]:
    """By word: ms to the first entry that has it; by line: ms from its last word to the line; missed."""
    words: list[float] = []
    lines: list[float] = []
    missed = 0
    for n, one in enumerate(spoken):
        if not one.sent_s:
            missed += len(one.line.words)
            continue
        mine = [later.sent_s[0] for later in spoken[n + 1 :] if later.who == one.who and later.sent_s]
        until_s = min(mine, default=float("inf"))
        told = [
            (at, entry)
            for at, entry in reader.seen
            if one.sent_s[0] <= at < until_s + 0.5 and entry.get("who") == one.who
        ]
        first: dict[int, float] = {}
        for at, entry in told:
            blocks = difflib.SequenceMatcher(
                None, one.line.words, plain(entry["text"]), False
            ).get_matching_blocks()
            for a, _, size in blocks:
                for word in range(a, a + size):
                    first.setdefault(word, at)
        for word in range(len(one.line.words)):
            spoken_s = one.ends_s(word)
            if spoken_s is None:
                continue
            if word in first:
                words.append((first[word] - spoken_s) * 1000)
            else:
                missed += 1
        last_s = next((s for w in reversed(range(len(one.line.words))) if (s := one.ends_s(w))), None)
        stored = next((at for at, entry in told if entry["type"] == "line"), None)
        if last_s is not None and stored is not None:
            lines.append((stored - last_s) * 1000)
    return words, lines, missed


@contextlib.contextmanager
def nats(carrier: str, folder: Path) -> Iterator[dict[str, str]]:
    """The settings of a carrier, with a NATS server of its own if it needs one."""
    if carrier != "nats":
        yield {}
        return
    program = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise BenchError("nats-server is not installed: apt-get install nats-server")
    command = [program, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        files: list[Path] = []
        for _ in range(200):
            files = [one for one in folder.glob("*.ports") if one.stat().st_size]
            if files:
                break
            time.sleep(0.05)
        else:
            raise BenchError("nats-server named no port within 10 s")
        yield {"VOICEBOT_NATS_URL": json.loads(files[0].read_text())["nats"][0]}
    finally:
        server.terminate()
        server.wait(10)


async def measure(carrier: str, lines: list[Line], options: argparse.Namespace) -> dict[str, Any]:
    """Calls and legs of one carrier: figures by phase and reader."""
    found: dict[str, dict[str, list[float]]] = {}
    missed: dict[str, int] = {}

    def take(phase: str, spoken: list[Spoken], readers: list[Reader]) -> None:
        for reader in readers:
            words, whole, gone = late_ms(spoken, reader)
            kept = found.setdefault(f"{phase}, {reader.name}", {"words": [], "lines": [], "told": []})
            kept["words"] += words
            kept["lines"] += whole
            kept["told"] += reader.told_ms
            missed[phase] = missed.get(phase, 0) + gone

    master = secrets.token_bytes(32)
    keys = KeyRing(master)
    with contextlib.ExitStack() as stack:
        data, other, ports = (stack.enter_context(data_directory()) for _ in range(3))
        postgres = stack.enter_context(EmbeddedPostgres.start(data / "postgres"))
        settings = {
            "VOICEBOT_STT": options.stt,
            "VOICEBOT_TTS": "espeak",
            "DATABASE_URL": postgres.url,
            "VOICEBOT_MASTER_KEY": master.hex(),
            **stack.enter_context(nats(carrier, ports)),
        }
        first = stack.enter_context(voicebot(data, **settings))
        second = stack.enter_context(voicebot(other, **settings))
        urls = (first.url, second.url)
        database = await Database.open(postgres.url)
        for _ in range(options.rounds):
            kept: list[Reader] = []
            about: list[str] = []

            @contextlib.asynccontextmanager
            async def while_talking(
                call_sid: str, kept: list[Reader] = kept, about: list[str] = about
            ) -> AsyncIterator[None]:
                about.append(await conversation_of(first.url, call_sid))
                async with reading(urls, about[0]) as readers:
                    kept.extend(readers)
                    yield

            take("caller with the bot", await phone(first, lines, while_talking), kept)
            bridged, legs = await bridge(database, keys)
            async with reading(urls, bridged) as readers:
                begin_s = time.monotonic() + 0.3
                halves = (lines[::2], lines[1::2])
                spoken = await asyncio.gather(
                    *(
                        play(first.url, who, token, sid, half, begin_s + n * 1.7)
                        for n, ((who, sid, token), half) in enumerate(zip(legs, halves, strict=True))
                    )
                )
            take("both legs at once", [one for leg in spoken for one in leg], readers)
        await database.close()
    return {"carrier": carrier, "late_ms": found, "missed": missed}


async def bridge(database: Database, keys: KeyRing) -> tuple[str, list[tuple[str, str, str]]]:
    """A conversation that a person has, as a transfer leaves it; who, CallSid and token of its two legs."""
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        made = await conversations.create(
            tx,
            channel=Channel.PHONE,
            call_sid="CA" + secrets.token_hex(16),
            caller=None,
            called=None,
            state={},
        )
        await conversations.set_status(tx, made, "handoff")
        legs: list[tuple[str, str, str]] = []
        for who in ("caller", "agent"):
            sid = "CA" + secrets.token_hex(16)
            legs.append((who, sid, await tokens.issue_leg(tx, made, who, sid)))
    return made, legs


HEAD = ["ms", "words p50", "words p95", "words", "lines p50", "lines p95", "told p50", "told p95"]


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One row per carrier, phase and reader."""
    out: list[list[str]] = []
    results = result["results"]
    for one in results:
        for name, kept in one["late_ms"].items():
            if name.endswith("other node, events"):
                label = f"{name} over {'NATS' if one['carrier'] == 'nats' else 'Postgres'}"
            elif one is results[0]:
                label = name
            else:
                continue
            words, lines, told = kept["words"], kept["lines"], kept["told"]
            out.append(
                [
                    label,
                    report.show(report.quantile(words, 0.5)),
                    report.show(report.quantile(words, 0.95)),
                    str(len(words)),
                    report.show(report.quantile(lines, 0.5)),
                    report.show(report.quantile(lines, 0.95)),
                    report.show(report.quantile(told, 0.5), 1),
                    report.show(report.quantile(told, 0.95), 1),
                ]
            )
    return out


def of_calls(rounds: int) -> dict[str, Any]:
    """The figures of so many calls by each carrier, with the demo's recogniser."""
    return asyncio.run(
        run(argparse.Namespace(rounds=rounds, stt=DEMO, voice="awb", carriers="postgres,nats"))
    )


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """All of it."""
    lines = await aligned(options.stt, options.voice)
    results = [await measure(carrier, lines, options) for carrier in options.carriers.split(",")]
    return {"bench": "live", "stt": options.stt, "voice": options.voice, "results": results}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--stt", default=DEMO)
    parser.add_argument("--voice", default="awb")
    parser.add_argument("--carriers", default="postgres,nats")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    result = asyncio.run(run(options))
    if not options.json:
        report.print_table("Words spoken to words at the reader", HEAD, rows(result))
        for one in result["results"]:
            print(f"{one['carrier']}: words that never came, all readers: {one['missed']}")
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
