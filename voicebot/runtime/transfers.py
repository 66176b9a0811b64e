"""Warm transfers of a node: the deployment's lines in the bot's voice; briefings are rendered when needed."""

from __future__ import annotations

import json
from typing import Any

import structlog
from pydantic import ValidationError

from voicebot.audio.engines.types import RATE_HZ, EngineDown, Speech
from voicebot.audio.speaking.encoder import UlawEncoder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.audio.speaking.wavefile import SpokenAudio, to_wav
from voicebot.channels.twilio.transfer.transfers import Transfers
from voicebot.channels.twilio.transfer.words import Words
from voicebot.core.settings import Settings
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.generation.clauses import split
from voicebot.dialogue.phrases import Phrases
from voicebot.handoff.payload import Payload
from voicebot.handoff.people import People
from voicebot.handoff.summary import briefing
from voicebot.handoff.transferring import Transferring

log = structlog.get_logger(__name__)

_PAUSE = b"\xff" * 1600
"""Between two clauses, 200 ms."""

UNREADABLE = "You have a caller."
"""Said of a handoff that another version of the server has stored."""


def make_transfers(
    settings: Settings,
    keys: KeyRing,
    people: People,
    phrases: Phrases,
    cache: PhraseCache,
    speech: Speech,
    *,
    forks: bool,
) -> Transfers:
    """What a node needs to put callers through.

    Args:
        settings: public URL; whether there is a number to dial without more ado.
        keys: seals events.
        people: who may be dialled.
        phrases: the deployment's lines.
        cache: their sound.
        speech: makes the sound of a briefing.
        forks: what is said in the room is listened to.
    """

    async def kept(text: str) -> bytes | None:
        parts = [await cache.get(speech.voice_id, clause) for clause in split(text)]
        if not parts or any(part is None for part in parts):
            return None
        return to_wav(SpokenAudio(_PAUSE.join(part.ulaw for part in parts if part is not None)))

    async def render(text: str) -> bytes | None:
        sound: list[bytes] = []
        try:
            for clause in split(text):
                ulaw = UlawEncoder()
                sound.append(
                    b"".join(
                        [ulaw.encode(one.audio) async for one in speech.say("transfer", clause, RATE_HZ)]
                    )
                )
        except EngineDown:
            log.warning("briefing_without_engine")
            return None
        return to_wav(SpokenAudio(_PAUSE.join(sound))) if any(sound) else None

    cold = settings.fallback_number is not None
    return Transfers(
        Transferring(keys, people, cold=cold),
        Words(phrases, kept, render),
        brief=brief,
        public_url=settings.public_url,
        forks=forks,
    )


def brief(payload: dict[str, Any]) -> str:
    """What a person is told of a handoff's payload."""
    try:
        return briefing(Payload.model_validate_json(json.dumps(payload)))
    except ValidationError:
        log.warning("briefing_of_unreadable_payload")
        return UNREADABLE
