"""One call in virtual time, with the real pipeline, dialogue and database: what replays and samples share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from voicebot.audio.engines.types import Transcriber, TurnJudge
from voicebot.audio.hearing.vad import shared_silero
from voicebot.audio.recording.writer import Tape
from voicebot.channels.phone.call import PhoneCall, PhoneKit
from voicebot.channels.phone.run import Parts, run_call
from voicebot.channels.twilio.media import CallOutcome
from voicebot.core.bus import Bus
from voicebot.core.conversation import Channel
from voicebot.core.settings import Settings
from voicebot.core.store import outbox
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.choice import connect
from voicebot.dialogue.connectors.connector import Connector
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.dialogue.state import new_state
from voicebot.handoff.desk import StoredHandoffs
from voicebot.handoff.outbound import Outbound
from voicebot.handoff.people import People
from voicebot.handoff.presence import Presence
from voicebot.proof.replay.engines import ReadyPhrases, Voice, VoicedSpeech
from voicebot.proof.replay.leg import Party, VirtualLeg
from voicebot.proof.replay.pace import Pace
from voicebot.proof.replay.paced import PacedDatabase


@dataclass(frozen=True)
class Engines:
    """Of one call: hearing, the turn's judge, and the voice."""

    transcriber: Transcriber
    judge: TurnJudge
    voice: Voice


@dataclass(frozen=True)
class Session:
    """One media session to be run: who speaks, where it is noted, and (later) how it went."""

    party: Party
    tape: Tape
    resumed: bool = False


@dataclass(frozen=True)
class Scene:
    """What a call is run with.

    ``connector`` and ``writers``: instead of the deployment's. ``meet`` sees each session's call begin.
    """

    url: str
    deployment: Deployment
    settings: Settings
    parts: Parts
    pace: Pace
    started_at: datetime
    caller: str | None
    off: frozenset[str]
    engines: Callable[[Callable[[], int]], Engines]
    connector: Callable[[Connector], Connector] | None = None
    writers: Writers | None = None
    meet: Callable[[PhoneCall, VirtualLeg], None] = lambda call, leg: None


@dataclass(frozen=True)
class Held:
    """How a call went: its outcome, and the events that its conversation has in the database."""

    conversation_id: str
    outcomes: tuple[CallOutcome, ...]
    stored: tuple[dict[str, Any], ...]
    virtual_s: float


async def hold(scene: Scene, sessions: tuple[Session, ...]) -> Held:
    """Runs the sessions of one call, one after the other. On an `InlineLoop`, alone.

    Raises:
        DatabaseDown: the scratch database is away.
        SettingsError: a language model cannot be used as configured.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    def now() -> datetime:
        return scene.started_at + timedelta(seconds=loop.time() - began_s)

    async with AsyncExitStack() as stack:
        database = await PacedDatabase.open(scene.url, timeout_s=30.0)
        stack.push_async_callback(database.close)
        keys = KeyRing(secrets.token_bytes(32))
        people = People.read(scene.deployment.folder)
        connector = None
        if scene.connector is not None:
            connector = scene.connector(
                connect(scene.deployment.connection, database, scene.deployment.queries)
            )
        dialogue = await Orchestrator.create(
            database=database,
            keys=keys,
            deployment=scene.deployment,
            settings=scene.settings,
            handoffs=StoredHandoffs.of(keys, scene.deployment.folder),
            now=now,
            off=lambda: scene.off,
            staff=Presence(people, Outbound.read(scene.deployment.folder, people)),
            connector=connector,
            writers=scene.writers,
        )
        stack.push_async_callback(dialogue.close)
        conversations = Conversations(keys)
        async with database.transaction() as tx:
            conversation = await conversations.create(
                tx,
                channel=Channel.PHONE,
                call_sid=VirtualLeg.call_sid,
                caller=scene.caller,
                called=None,
                state=new_state(),
            )
        outcomes = [
            await _session(scene, one, dialogue, database, conversations, conversation) for one in sessions
        ]
        async with database.transaction() as tx:
            stored = [
                event.model_dump(mode="json") for event in await outbox.events_of(tx, keys, conversation)
            ]
        return Held(conversation, tuple(outcomes), tuple(stored), loop.time() - began_s)


async def _session(
    scene: Scene,
    session: Session,
    dialogue: Orchestrator,
    database: Database,
    conversations: Conversations,
    conversation: str,
) -> CallOutcome:
    loop = asyncio.get_running_loop()
    async with database.transaction() as tx:
        epoch = await conversations.new_epoch(tx, conversation)
    leg = VirtualLeg(session.party, conversation, resumed=session.resumed, epoch=epoch)
    calls: list[PhoneCall] = []
    engines = scene.engines(lambda: calls[0].now_ms() if calls else 0)

    def recorder(_: str) -> Awaitable[Tape]:
        return _ready(session.tape)

    def parts(call: PhoneCall) -> Any:
        calls.append(call)
        scene.meet(call, leg)
        return scene.parts(call)

    kit = PhoneKit(
        dialogue=dialogue,
        phrases=scene.deployment.phrases,
        transcriber=engines.transcriber,
        speech=VoicedSpeech(engines.voice, scene.pace),
        judge=engines.judge,
        vad=shared_silero().voice,
        phrase_cache=ReadyPhrases(engines.voice),
        bus=Bus(),
        recorder=recorder,
        silence_s=scene.settings.silence_s,
        speculation=scene.settings.speculation == "on",
    )
    line = asyncio.create_task(leg.run())
    try:
        outcome = await run_call(kit, parts, leg, set(), clock=loop.time)
        await leg.close()
        return outcome
    finally:
        line.cancel()
        await asyncio.wait({line})
        if not line.cancelled() and (error := line.exception()) is not None:
            raise error


async def _ready(tape: Tape) -> Tape:
    return tape
