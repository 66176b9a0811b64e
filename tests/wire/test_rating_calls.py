"""Callers are asked once how satisfied they were, and only the number is kept: real calls, local Twilio.

A server of its own, whose deployment asks on the phone. Four callers at once: by key, by voice, who hangs up
at the question, and who wants something else after all.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
import yaml

from tests.media_client import line
from tests.serving import REPOSITORY, Serving, serving
from voicebot.audio import mulaw
from voicebot.proof.simulation import LocalCall, LocalTwilio
from voicebot.proof.simulation.ear import FRAME_BYTES

WITHIN_S = 60.0
LOUD = 200.0
"""Mean absolute sample of a frame that holds speech."""


@pytest.fixture
def server(tmp_path: Path, fresh_database_url: str) -> Iterator[Serving]:
    folder = tmp_path
    asking = folder / "deployment"
    asking.mkdir()
    for name in ("pipelines", "tools", "models"):
        (asking / name).symlink_to(REPOSITORY / name)
    shutil.copytree(REPOSITORY / "business", asking / "business")
    policy = asking / "business" / "policy.yaml"
    text = policy.read_text()
    assert "csat: {channels: []}" in text
    policy.write_text(text.replace("csat: {channels: []}", "csat: {channels: [phone]}"))
    assert yaml.safe_load(policy.read_text())["csat"] == {"channels": ["phone"]}
    with serving(
        "--insecure-local",
        data_dir=folder / "data",
        VOICEBOT_DEPLOYMENT=str(asking),
        DATABASE_URL=fresh_database_url,
    ) as running:
        yield running


class Caller:
    """Says lines when told to, and counts what is heard."""

    def __init__(self) -> None:
        self.heard_s = 0.0
        self._mouth = b""

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        if np.abs(mulaw.decode(frame).astype(np.int32)).mean() > LOUD:
            self.heard_s += 0.02

    def next_frame(self, at_ms: int) -> bytes | None:
        if not self._mouth:
            return None
        frame, self._mouth = self._mouth[:FRAME_BYTES], self._mouth[FRAME_BYTES:]
        return frame.ljust(FRAME_BYTES, b"\xff")

    def say(self, name: str) -> None:
        self._mouth += line("rms", name)


class Phoning:
    """One call, and what the server makes of it."""

    def __init__(self, server: Serving, api: httpx.AsyncClient, call: LocalCall, ear: Caller) -> None:
        self.api, self.call, self.ear = api, call, ear
        self.id = ""

    async def turns(self) -> list[dict[str, Any]]:
        if not self.id:
            rows = (await self.api.get("/api/conversations", params={"limit": 50})).json()
            for row in rows:
                found = (await self.api.get(f"/api/conversations/{row['id']}")).json()
                if found["call_sid"] == self.call.call_sid:
                    self.id = row["id"]
        if not self.id:
            return []
        return (await self.api.get(f"/api/conversations/{self.id}")).json()["turns"]

    async def says(self, name: str, wanted: str) -> None:
        """Says a line until a turn with this row of the policy (or intent) came of it: again when it was not
        heard, as when the recogniser of a busy machine is late, and when it was lost and silence followed.
        """
        self.ear.say(name)
        asked_again = await self._asked_again()
        try:
            async with asyncio.timeout(2 * WITHIN_S):
                while not await self._came(wanted):
                    if (again := await self._asked_again()) > asked_again:
                        asked_again = again
                        await self.quiet()  # said too early it would speak over what comes of it
                        self.ear.say(name)
                    await asyncio.sleep(0.2)
        except TimeoutError:
            rows = [(one["input"], one["decision"]["policy_row"]) for one in await self.turns()]
            raise AssertionError(rows) from None

    async def _asked_again(self) -> int:
        """Turns in which the caller was unheard or silent."""
        rows = [turn["decision"]["policy_row"] for turn in await self.turns()]
        return sum(row.startswith(("not_heard/", "silence/")) for row in rows)

    async def _came(self, wanted: str) -> bool:
        decisions = [turn["decision"] for turn in await self.turns()]
        return any(wanted in (one["policy_row"], one["intent"]) for one in decisions)

    async def hears(self, seconds: float) -> None:
        begin = self.ear.heard_s
        async with asyncio.timeout(WITHIN_S):
            while self.ear.heard_s < begin + seconds:
                await asyncio.sleep(0.05)

    async def quiet(self) -> None:
        """Until nothing was heard for half a second."""
        before = -1.0
        async with asyncio.timeout(WITHIN_S):
            while self.ear.heard_s > before:
                before = self.ear.heard_s
                await asyncio.sleep(0.5)

    async def to_the_question(self) -> None:
        """Hears whom they talk to, is answered, says goodbye over it, and hears the scale."""
        await self.hears(5.0)
        await self.says("opening_hours", "opening_hours")
        await self.hears(2.0)
        await self.says("goodbye", "csat/ask")
        await self.hears(2.6)


async def phoned(server: Serving, twilio: LocalTwilio, api: httpx.AsyncClient) -> Phoning:
    ear = Caller()
    call = await twilio.phone(
        f"{server.url}/twilio/voice", ear=ear, status_callback=f"{server.url}/twilio/status"
    )
    return Phoning(server, api, call, ear)


async def test_by_key_by_voice_not_at_all_and_something_else_instead(
    server: Serving, fresh_database_url: str
) -> None:
    async with LocalTwilio() as twilio, httpx.AsyncClient(base_url=server.url, timeout=60) as api:

        async def by_key() -> str:
            one = await phoned(server, twilio, api)
            await one.to_the_question()
            await one.call.press("4")
            await one.call.wait_ended()
            assert [turn["decision"]["policy_row"] for turn in await one.turns()].count("csat/ask") == 1
            return one.id

        async def by_voice() -> str:
            one = await phoned(server, twilio, api)
            await one.to_the_question()
            await one.quiet()
            one.ear.say("rate_four")
            await one.call.wait_ended()
            return one.id

        async def hangs_up() -> str:
            one = await phoned(server, twilio, api)
            await one.to_the_question()
            one.call.hang_up()
            await one.call.wait_ended()
            return one.id

        async def wants_more() -> str:
            one = await phoned(server, twilio, api)
            await one.to_the_question()
            await one.says("returns", "return_policy")
            one.call.hang_up()
            await one.call.wait_ended()
            return one.id

        ids = await asyncio.gather(by_key(), by_voice(), hangs_up(), wants_more())
        assert [str(one) for call in twilio.calls for one in call.violations] == []
    with psycopg.connect(fresh_database_url) as db:
        kept = {row[0]: row[1:] for row in db.execute("SELECT conversation_id, score, how FROM csat")}
        assert kept == {ids[0]: (4, "keys"), ids[1]: (4, "voice")}
        columns = [row[0] for row in db.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'csat'"
        )]  # fmt: skip
        assert {*columns} == {"conversation_id", "score", "how", "turn", "at"}, "no word of it"
