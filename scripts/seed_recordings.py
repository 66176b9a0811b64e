"""Puts the sample calls into a server's data as if they had been made there: to look at them in the player.

    .venv/bin/python -m scripts.seed_recordings --data-dir .voicebot [SAMPLE...]

The server may run or not. Each sample becomes a conversation with its turns, sealed under a key of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from voicebot.audio.recording.format import (
    AUDIO_SUFFIX,
    EVENTS_SUFFIX,
    RECORD_HEAD,
    Header,
    Kind,
    Seal,
    magic_of,
)
from voicebot.audio.recording.format import read_header as header_of
from voicebot.core.conversation import Channel
from voicebot.core.settings import load_settings
from voicebot.core.store import tool_calls
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.proof.replay.finding import KEY_FILE, read_key

SAMPLES = Path(__file__).resolve().parent.parent / "recordings" / "samples"


def reseal(sample: Path, to: Path, key: bytes, conversation_id: str) -> list[dict[str, Any]]:
    """The same recording under another key: record by record as it is.

    Args:
        sample: path without suffix; its key lies beside it.
        to: where, without suffix.
        key: the new one.
        conversation_id: whose it shall be.

    Returns:
        Its events.
    """
    old = read_key(sample.with_name(KEY_FILE))
    to.parent.mkdir(parents=True, exist_ok=True)
    audio = Header.new("audio", conversation_id, key)
    with (
        sample.with_name(sample.name + AUDIO_SUFFIX).open("rb") as source,
        to.with_name(to.name + AUDIO_SUFFIX).open("wb") as file,
    ):
        opening, sealing = Seal(old, header_of(source)), Seal(key, audio)
        file.write(magic_of(audio))
        while head := source.read(RECORD_HEAD.size):
            length, kind = RECORD_HEAD.unpack(head)
            sealed = sealing.close(Kind(kind), opening.open(kind, source.read(length)))
            file.write(RECORD_HEAD.pack(len(sealed), kind) + sealed)
    told = Header.new("events", conversation_id, key)
    found: list[dict[str, Any]] = []
    with (
        sample.with_name(sample.name + EVENTS_SUFFIX).open("rb") as source,
        to.with_name(to.name + EVENTS_SUFFIX).open("wb") as file,
    ):
        opening, sealing = Seal(old, Header.from_json(source.readline())), Seal(key, told)
        file.write(told.to_json() + b"\n")
        for line in source:
            kind, _, sealed = line.rstrip(b"\n").partition(b" ")
            plain = opening.open(int(kind), base64.b64decode(sealed))
            if int(kind) == Kind.EVENT:
                found.append(json.loads(plain))
            again = base64.b64encode(sealing.close(Kind(int(kind)), plain))
            file.write(kind + b" " + again + b"\n")
    return found


async def seed(
    database: Database,
    keys: KeyRing,
    data_dir: Path,
    sample: str,
    *,
    ago: timedelta = timedelta(),
    channel: Channel = Channel.PHONE,
) -> str:
    """One sample as a call that is over; its conversation's id."""
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        conversation = await conversations.create(
            tx, channel=channel, call_sid=None, caller=None, called=None, state=states.new_state()
        )
        snapshot = await conversations.load(tx, conversation)
        key = (await keys.cipher(tx, snapshot.subject_id)).derive("recording")
        events = await asyncio.to_thread(
            reseal, SAMPLES / sample, data_dir / "recordings" / conversation / "001", key, conversation
        )
        heard = {event["turn"]: event for event in events if event["type"] == "turn.heard"}
        turn = 0
        for event in (one for one in events if one["type"] == "turn.committed"):
            turn, over = event["turn"], heard.get(event["turn"])
            said = [
                one["text"]
                for one in events
                if one["type"] == "speaking.ClauseStarted" and one["turn"] == turn and one.get("text")
            ]
            decision = event["decision"]
            await conversations.save_turn(
                tx,
                conversation,
                turn=turn,
                transaction_id=f"{conversation}:{turn}",
                input=event["input"],
                decision=decision,
                spoken=" ".join(said),
            )
            for read in decision["tools"]:
                result, error = read.get("result"), read.get("error")
                call = tool_calls.Call(
                    tool=read["tool"],
                    effect="read",
                    status="answered" if error is None else "failed",
                    reason=error,
                    inputs=read.get("arguments") or {},
                    outputs=result,
                    duration_ms=3.0,
                )
                await tool_calls.write(tx, keys, call, conversation_id=conversation, turn=turn)
            if over is not None:
                await conversations.close_turn(
                    tx, conversation, turn=turn, heard=over["heard"], timings=over["timings"]
                )
        last_ms = max((event["at_ms"] or 0) for event in events)
        await tx.execute("UPDATE conversations SET turn = %s WHERE id = %s", (turn, conversation))
        await conversations.finish(tx, conversation, reason="caller_hung_up")
        ended = datetime.now(UTC) - ago
        await tx.execute(
            "UPDATE conversations SET created_at = %s, ended_at = %s WHERE id = %s",
            (ended - timedelta(milliseconds=last_ms), ended, conversation),
        )
    return conversation


async def _all(url: str, keys: KeyRing, data_dir: Path, samples: list[str]) -> None:
    database = await Database.open(url)
    try:
        for n, sample in enumerate(reversed(samples)):
            made = await seed(database, keys, data_dir, sample, ago=timedelta(minutes=7 * (len(samples) - n)))
            print(f"{sample}: {made}")
    finally:
        await database.close()


def main() -> None:
    """Seeds what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--data-dir", type=Path, default=Path(os.environ.get("VOICEBOT_DATA_DIR", ".voicebot"))
    )
    parser.add_argument("samples", nargs="*", default=sorted(one.stem for one in SAMPLES.glob("*.yaml")))
    given = parser.parse_args()
    settings = load_settings(data_dir=given.data_dir)
    postgres = EmbeddedPostgres.attach(settings.data_dir)
    try:
        asyncio.run(_all(postgres.url, KeyRing.from_settings(settings), settings.data_dir, given.samples))
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()
