"""Talks of a node: an agent at a desk has the caller. The deployment's lines in the bot's voice."""

from __future__ import annotations

import asyncio

import structlog

from voicebot.audio.engines.types import RATE_HZ, EngineDown, Speech
from voicebot.audio.speaking.encoder import UlawEncoder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.talk.hub import StepBack
from voicebot.channels.talk.sounds import KEYS, Line, Sounds
from voicebot.dialogue.generation.clauses import split
from voicebot.dialogue.phrases import Phrases

log = structlog.get_logger(__name__)

RENDER_S = 1.5
"""A line that was not rendered at start is waited for so long; then the hold sound has to do."""

STEPS_BACK = "taken_at_desk"


def sounds(phrases: Phrases, cache: PhraseCache, speech: Speech) -> Sounds:
    """What callers hear of us during a talk: from the phrase cache, else from the engine."""

    async def line(name: Line) -> bytes:
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(RENDER_S):
                for clause in split(phrases.text(KEYS[name])):
                    kept = await cache.get(speech.voice_id, clause)
                    parts.append(kept.ulaw if kept is not None else await _rendered(speech, clause))
        except (EngineDown, TimeoutError):
            log.warning("talk_line_not_spoken", line=name)
        return b"".join(parts)

    return Sounds(line)


def stepping_back(calls: set[PhoneCall]) -> StepBack:
    """Has the bot of a call say that somebody takes it, and give it away."""

    async def step_back(conversation_id: str) -> None:
        for call in list(calls):
            if call.conversation_id == conversation_id:
                await call.hand_over(STEPS_BACK)

    return step_back


async def _rendered(speech: Speech, clause: str) -> bytes:
    ulaw = UlawEncoder()
    return b"".join([ulaw.encode(one.audio) async for one in speech.say("talk", clause, RATE_HZ)])
