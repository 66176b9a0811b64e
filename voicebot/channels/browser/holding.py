"""A browser's caller waits on the line for a person at a desk: no telephone can be rung for them.

Only who was promised a person waits: the bot does it while somebody who can help is at a desk, and where
somebody is in danger. A person takes them; or nobody does in time, and the bot has them again and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from voicebot.channels.legs import CallOutcome, Leg
from voicebot.core.conversation import TransferFailed

log = structlog.get_logger(__name__)

WAIT_S = 180.0
LOOK_S = 1.0
PROMISED = frozenset({"handed_over", "taken_at_desk"})
"""After anything else (a failure) the bot has said goodbye."""
_PIECE = 8000
"""A second of the hold sound at a time."""
_AHEAD = 0.98  # sleeping is never short: else it would have holes

RunCall = Callable[[Leg], Awaitable[CallOutcome]]


class Holding:
    """Runs calls as ``run`` does, and has those wait that it gave to a person.

    Args:
        run: with the bot, or with an agent while one has the caller (`TalkHub.runner`).
        taken: whether an agent has asked for the caller of a conversation.
        waits: whether the caller waited for a person when their connection was lost.
        given_back: puts down that the bot has them again; False: an agent has asked meanwhile.
        music: the hold sound: mu-law, 8 kHz.
        wait_s: how long nobody may come.
    """

    def __init__(
        self,
        run: RunCall,
        taken: Callable[[str], Awaitable[bool]],
        waits: Callable[[str], Awaitable[bool]],
        given_back: Callable[[str], Awaitable[bool]],
        music: bytes,
        wait_s: float = WAIT_S,
    ) -> None:
        self._run = run
        self._taken = taken
        self._waits = waits
        self._given_back = given_back
        self._music = music
        self._wait_s = wait_s

    async def __call__(self, session: Leg) -> CallOutcome:
        """Until the call's media is over, or nothing more is to be said."""
        waited = session.resumed and await self._waits(session.conversation_id)
        outcome = CallOutcome("handoff", "handed_over") if waited else await self._run(session)
        while outcome.kind == "handoff" and outcome.reason in PROMISED and session.end is None:
            if not await self._somebody_comes(session):
                if session.end is not None:
                    return outcome
                if await self._given_back(session.conversation_id):
                    session.returned, session.resumed = TransferFailed(reason="no_answer"), True
            outcome = await self._run(session)
        return outcome

    async def _somebody_comes(self, session: Leg) -> bool:
        """Plays the hold sound until a talk is asked for. False: in vain, or the caller left."""
        log.info("browser_call_holds", conversation=session.conversation_id)
        reading = asyncio.create_task(_discard(session))
        playing = asyncio.create_task(self._play(session))
        try:
            async with asyncio.timeout(self._wait_s):
                while session.end is None:
                    if await self._taken(session.conversation_id):
                        return True
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            log.info("browser_call_held_in_vain", conversation=session.conversation_id)
        finally:
            for task in (reading, playing):
                task.cancel()
            await asyncio.gather(reading, playing, return_exceptions=True)
            await session.clear()
        return False

    async def _play(self, session: Leg) -> None:
        at = 0
        while session.end is None:
            await session.media(self._music[at : at + _PIECE])
            at = (at + _PIECE) % len(self._music)
            await asyncio.sleep(_PIECE / 8000 * _AHEAD)


async def _discard(session: Leg) -> None:
    """What is said to nobody; it must not wait for the one who comes."""
    async for _ in session.messages():
        pass
