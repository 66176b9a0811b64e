"""Recordings that phone a server are compared with what it tells of that call; each stands for itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from rich.console import Console as Terminal
from twilio_kit import free_port, new_sid, serving

from voicebot.console.access import bearer_guard
from voicebot.console.api import Console, api_router
from voicebot.console.readers import anyone
from voicebot.core.bus import Bus
from voicebot.core.conversation import Channel
from voicebot.core.settings import load_settings
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.proof.replay.errors import NotReplayable, ReplayError
from voicebot.proof.replay.finding import KEY_FILE
from voicebot.proof.replay.run import Options
from voicebot.runtime import replaying
from voicebot.runtime.commands.replay import Asked, replay
from voicebot.runtime.replaying import conversation_of

SAMPLES = Path(__file__).parents[2] / "recordings" / "samples"
NAME = "01-greeting-and-hang-up"
TOKEN = "token-of-the-test"


async def test_the_call_is_found_however_many_others_phone_meanwhile(
    database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its CallSid, on whatever page of the list; one that the server does not know is none."""
    monkeypatch.setattr(replaying, "_PAGE", 2)
    made: dict[str, str] = {}
    for _ in range(5):
        async with database.transaction() as tx:
            call_sid = new_sid("CA")
            made[call_sid] = await Conversations(keys).create(
                tx, channel=Channel.PHONE, call_sid=call_sid, caller=None, called=None, state={}
            )
    app = FastAPI()
    guard = bearer_guard(SecretStr(TOKEN), insecure_local=False)
    app.include_router(api_router(Console(database, keys, Bus()), anyone(guard)))
    async with serving(app, free_port()) as url:
        for call_sid, conversation_id in made.items():
            found = await conversation_of(url, TOKEN, call_sid)
            assert found is not None
            assert found["id"] == conversation_id
        assert await conversation_of(url, TOKEN, new_sid("CA")) is None
        with pytest.raises(ReplayError, match="VOICEBOT_API_TOKEN"):
            await conversation_of(url, None, next(iter(made)))


def test_a_damaged_recording_ends_no_run_of_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told of and counts as failed; alone it is an error."""
    for name in ("one", "two"):
        for suffix in (".vbrec", ".vbevents"):
            shutil.copy(SAMPLES / f"{NAME}{suffix}", tmp_path / f"{name}{suffix}")
        path = tmp_path / f"{name}.vbrec"
        data = path.read_bytes()
        path.write_bytes(data[:7] + b"\x09" + data[8:])
    shutil.copy(SAMPLES / KEY_FILE, tmp_path / KEY_FILE)
    settings = load_settings(data_dir=tmp_path / "data")
    asked = Asked(Options(), as_json=True, real_time=True, url="http://127.0.0.1:9")
    paths = [str(tmp_path / name) for name in ("one", "two")]
    assert replay(paths, settings, asked, Terminal()) is False
    told = json.loads(capsys.readouterr().out)
    assert told["calls"] == []
    assert [*told["not_replayed"]] == paths
    assert all("version 9" in text for text in told["not_replayed"].values())
    with pytest.raises(NotReplayable, match="version 9"):
        replay(paths[:1], settings, asked, Terminal())
