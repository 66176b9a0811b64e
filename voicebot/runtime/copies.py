"""Plain copies of a call for people to open: sound, transcript, events, timings, handoff and its payload.

Unencrypted on purpose, where the user asked for them. ``call.wav`` is the whole call as it was on the
caller's line; ``server.wav`` is the server's own recording of its part, opened with its key: that proves it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from voicebot.audio.recording.muting import moments
from voicebot.audio.recording.reader import Recording, read_recording
from voicebot.core.settings import Settings
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.core.transcript import LEG_LINE
from voicebot.proof.simulation import CallRecording

_NAMES = (
    "call.wav", "agent.wav", "server.wav", "transcript.json", "events.jsonl", "timings.json", "handoff.json",
    "payload.json",
)  # fmt: skip


async def open_recordings(settings: Settings, conversation_id: str) -> list[Recording]:
    """The recordings of a conversation, one per media session, oldest first.

    Raises:
        UnknownConversation: no such conversation.
        NotARecording, RecordingAltered, RecordingTruncated: a file is not what was written.
    """
    postgres = None
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
    else:
        postgres = EmbeddedPostgres.attach(settings.data_dir)
        url = postgres.url
    try:
        keys = KeyRing.from_settings(settings)
        database = await Database.open(url, max_size=1)
        try:
            async with database.transaction() as tx:
                snapshot = await Conversations(keys).load(tx, conversation_id)
                key = (await keys.cipher(tx, snapshot.subject_id)).derive("recording")
        finally:
            await database.close()
    finally:
        if postgres is not None:
            postgres.stop()
    folder = settings.data_dir / "recordings" / conversation_id
    return [read_recording(path, key) for path in sorted(folder.glob("*.vbrec"))]


def transcript_of(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    """What the caller said and heard of the bot, turn by turn; then what was said on the legs of a bridge."""
    lines: list[dict[str, Any]] = []
    for turn in conversation["turns"]:
        given, heard, decision = turn["input"], turn["heard"] or {}, turn["decision"]
        said = given.get("text") or (f"keys {given['digits']}" if given["kind"] == "keys" else "")
        if said:
            lines.append({"turn": turn["turn"], "who": "caller", "text": said})
        lines.append(
            {
                "turn": turn["turn"],
                "who": "bot",
                "text": heard.get("text", ""),
                "heard_whole": heard.get("complete"),
                "intent": decision["intent"],
                "action": decision["action"],
                "sources": [source["article"] for source in decision["sources"]],
                "tools": [tool["tool"] for tool in decision["tools"]],
            }
        )
    said = [event for event in conversation["events"] if event["type"] == LEG_LINE]
    return lines + [{"turn": None, "bridged": True, "at": one["time"], **one["data"]} for one in said]


def write_copies(
    folder: Path,
    *,
    conversation: dict[str, Any],
    handoff: dict[str, Any] | None,
    recording: Recording | None,
    call: CallRecording,
    agent: CallRecording | None,
    caller_timings: Any,
) -> list[Path]:
    """Writes one file for each that is there; returns those written.

    Args:
        folder: made if absent; older copies are replaced, and removed where this call has none.
        conversation: as ``/api/conversations/{id}`` gives it.
        handoff: as ``/api/handoffs`` gives it; None: the call had none. Its payload is a file of its own too.
        recording: the server's; None: not reachable from here.
        call: of the caller's line.
        agent: of the line of the person who took over; None: nobody did.
        caller_timings: what the caller measured, JSON able.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _NAMES:
        (folder / name).unlink(missing_ok=True)
    documents: dict[str, Any] = {
        "transcript.json": transcript_of(conversation),
        "timings.json": {
            "as_the_caller_heard": caller_timings,
            "waterfalls_ms": [
                {"turn": turn["turn"], "input": turn["input"]["kind"], **(turn["timings"] or {})}
                for turn in conversation["turns"]
            ],
        },
    }
    if handoff is not None:
        documents["handoff.json"] = {key: value for key, value in handoff.items() if key != "payload"}
        documents["payload.json"] = handoff["payload"]
    written: list[Path] = []
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        written.append(folder / name)
    told = moments(recording.events) if recording is not None else []
    events = [*conversation["events"], *told]
    with (folder / "events.jsonl").open("w") as file:
        file.writelines(json.dumps(event, ensure_ascii=False) + "\n" for event in events)
    written.append(folder / "events.jsonl")
    call.save(folder / "call.wav")
    written.append(folder / "call.wav")
    if agent is not None:
        agent.save(folder / "agent.wav")
        written.append(folder / "agent.wav")
    if recording is not None:
        recording.export_wav(folder / "server.wav")
        written.append(folder / "server.wav")
    return sorted(written)
