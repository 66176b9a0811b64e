"""A real server with its real recogniser, and callers whose line is bad: music, a fax, no pauses, disorder.

All at once on one server, over real sockets. Nothing is acted upon that nobody said, who is there is asked or
answered, and who is understood is answered.
"""

from __future__ import annotations

import asyncio
import base64
import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.media_client import MediaClient, line
from tests.serving import Serving, serving
from voicebot.audio.mulaw import decode, encode
from voicebot.proof.simulation import sounds

MUSIC, FAX, TALKER, DISORDER, HONEST = (f"CA{n:032x}" for n in range(901, 906))
QUIET = b"\xff" * 160


@dataclass
class Disorderly(MediaClient):
    """Every third frame is overtaken by the next, every fifth comes twice, one in forty never."""

    dice: random.Random = field(default_factory=lambda: random.Random(4))
    held: tuple[str, int, dict[str, Any]] | None = None

    async def _message(self, event: str, sequence: int, **body: object) -> None:
        if event != "media":
            await super()._message(event, sequence, **body)
            return
        if sequence % 40 == 0:
            return
        if self.held is None and sequence % 3 == 0:
            self.held = (event, sequence, body)
            return
        await super()._message(event, sequence, **body)
        if sequence % 5 == 0:
            await super()._message(event, sequence, **body)
        if self.held is not None:
            (_, late, content), self.held = self.held, None
            await super()._message(event, late, **content)


@dataclass
class Bursting(MediaClient):
    """Can bring many seconds of audio at once, as after a gap of the network."""

    ahead: int = 0

    async def bursts(self, ulaw: bytes) -> None:
        """All of it now; what comes later stands behind it on the media clock."""
        base = len(self.heard_frames) + self.ahead
        self.ahead += len(ulaw) // 160 + 1
        for at in range(0, len(ulaw), 160):
            chunk = base + at // 160 + 1
            media = {
                "track": "inbound",
                "chunk": str(chunk),
                "timestamp": str(chunk * 20),
                "payload": base64.b64encode(ulaw[at : at + 160]).decode(),
            }
            await super()._message("media", chunk, media=media)

    async def _message(self, event: str, sequence: int, **body: Any) -> None:
        if event == "media" and self.ahead:
            timestamp = int(body["media"]["timestamp"]) + (self.ahead + 1) * 20
            body["media"] = {**body["media"], "timestamp": str(timestamp)}
        await super()._message(event, sequence, **body)


def without_pauses(seconds: float) -> bytes:
    """Sentence after sentence, 60 ms between them."""
    said: list[np.ndarray] = []
    for name in ("returns_b", "shipping", "warranty", "where_is_order"):
        pcm = decode(line("slt", name))
        loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 400)
        said += [pcm[loud[0] : loud[-1]], np.zeros(480, np.int16)]
    return encode(np.resize(np.concatenate(said), int(seconds * 8000)))


async def hears_out(server: Serving, sid: str, noise: bytes) -> float:
    """A noise from the first moment on; seconds of the bot that were heard."""
    async with MediaClient(server.url, sid) as caller:
        caller.say(noise)
        await asyncio.sleep(len(noise) / 8000)
        return sum(caller.heard_frames) * 0.02


async def never_pauses(server: Serving) -> float:
    """From the first moment on, the first twelve seconds in a burst; how long the bot spoke over them."""
    async with Bursting(server.url, TALKER) as caller:
        said = without_pauses(100.0)
        caller.say(said[12 * 8000 :])  # before the burst: what is spoken meanwhile stands behind it
        await caller.bursts(said[: 12 * 8000])
        await asyncio.sleep(12)
        begin = len(caller.heard_frames)
        await asyncio.sleep(12)
        with suppress(TimeoutError):  # on a busy machine the answer takes longer
            async with asyncio.timeout(40):
                while sum(caller.heard_frames[begin:]) * 0.02 < 1.0:
                    await asyncio.sleep(0.1)
        return sum(caller.heard_frames[begin:]) * 0.02


async def asks(server: Serving, caller: MediaClient) -> None:
    async with caller:
        await caller.spoken_to(1.0, within_s=90)
        await caller.quiet(1.0, within_s=90)
        await server.answers(caller, line("slt", "opening_hours"))
        await caller.quiet(1.0, within_s=90)
        await server.answers(caller, line("slt", "returns_b"))


async def test_bad_lines_together(tmp_path: Path) -> None:
    music = encode(sounds.hold_music(15_000, level_dbfs=-18))
    fax = encode(sounds.fax_calling(15_000))
    with serving("--insecure-local", data_dir=tmp_path / "data") as server:
        over_music, over_fax, over_talker, _, _ = await asyncio.gather(
            hears_out(server, MUSIC, music),
            hears_out(server, FAX, fax),
            never_pauses(server),
            asks(server, Disorderly(server.url, DISORDER)),
            asks(server, MediaClient(server.url, HONEST)),
        )
        for sid, heard_s in ((MUSIC, over_music), (FAX, over_fax)):
            found = (await server.conversation(sid))["turns"]
            assert "utterance" not in [turn["input"]["kind"] for turn in found], found
            assert found[0]["heard"]["complete"], "the greeting was heard to its end"
            assert heard_s >= 3.0
        for sid in (DISORDER, HONEST):
            found = (await server.conversation(sid))["turns"]
            said = [turn for turn in found if turn["input"]["kind"] == "utterance"]
            assert [turn["decision"]["intent"] for turn in said] == ["opening_hours", "return_policy"]
        talker = (await server.conversation(TALKER))["turns"]
        said = [turn for turn in talker if turn["input"]["kind"] in {"utterance", "not_heard"}]
        assert said
        assert said[0]["input"]["kind"] == "utterance", said[0]
        assert said[0]["timings"]["turn_ended_ms"] >= 29_000
        assert len(said[0]["input"]["text"].split()) >= 30, "all of the words"
        assert over_talker >= 1.0
        printed = "".join(server.lines)
        assert "Traceback" not in printed
