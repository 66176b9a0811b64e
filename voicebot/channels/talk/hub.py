"""The talks of a node: which of its calls a desk has, which the bot has, and where a desk's line belongs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Literal

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from voicebot.channels.legs import CallOutcome, Leg
from voicebot.channels.talk.bridge import BRIEF, Bridge, TalkKit
from voicebot.channels.talk.line import OVER, TAKEN_UP, DeskLine
from voicebot.core.conversation import TransferFailed
from voicebot.core.store import talks as stored
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.leases import Leases
from voicebot.core.store.talks import Talk
from voicebot.handoff.talk import COMING_S

log = structlog.get_logger(__name__)

EVERY_S = 0.5
"""How soon the bot steps back for a talk that another node was asked for; a desk's line wakes us at once."""
LOOK_S = 0.2
"""How often a desk's line that waits for its caller looks where they are."""
_OPEN_S = 3.0
GOODBYE_S = 0.3
"""From our socket to the caller's ear."""
_RELAYED = ("authorization", "x-voicebot-agent")

RunCall = Callable[[Leg], Awaitable[CallOutcome]]
StepBack = Callable[[str], Awaitable[None]]


class TalkHub:
    """One per node.

    Args:
        kit: lent to each talk.
        leases: which node has which call.
        step_back: has the bot say a sentence and give the call of a conversation away.
    """

    def __init__(self, kit: TalkKit, leases: Leases, step_back: StepBack) -> None:
        self._kit = kit
        self._leases = leases
        self._step_back = step_back
        self._bridges: dict[str, Bridge] = {}
        self._bots: dict[str, bool] = {}
        self._woken = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def bridges(self) -> list[Bridge]:
        """Those that run here now."""
        return list(self._bridges.values())

    def wake(self) -> None:
        """A talk was asked for, or has ended: look now."""
        self._woken.set()
        for bridge in self._bridges.values():
            bridge.wake()

    async def asked_for(self, conversation_id: str) -> bool:
        """Whether an agent has, or waits for, the caller of a conversation. Without a database: no."""
        with suppress(DatabaseDown):
            async with self._kit.database.reading() as tx:
                return await stored.open_of(tx, conversation_id) is not None
        return False

    async def waits(self, conversation_id: str) -> bool:
        """Whether the caller of a conversation waits for a person. Without a database: no."""
        with suppress(DatabaseDown):
            async with self._kit.database.reading() as tx:
                return await self._kit.talks.waits(tx, conversation_id)
        return False

    async def given_back(self, conversation_id: str) -> bool:
        """Nobody came for a caller who waits on the line: the bot has them again.

        Returns:
            False: somebody has asked for them just now. Without a database the bot has them, too.
        """
        with suppress(DatabaseDown):
            async with self._kit.database.transaction() as tx:
                return await self._kit.talks.nobody_came(tx, conversation_id)
        return True

    def runner(self, bot: RunCall) -> RunCall:
        """Runs calls: with ``bot``, or with an agent for as long as one has them; on one socket, in turns."""

        async def run(session: Leg) -> CallOutcome:
            while True:
                talk, after = await self._who(session)
                if after == "goodbye":
                    await self._goodbye(session)
                    return CallOutcome("ended", BRIEF)
                if talk is not None:
                    outcome = await self._talk(session, talk)
                    if outcome is not None:
                        return outcome
                    session.resumed = True
                    continue
                session.returned = after or session.returned
                outcome, stepped_back = await self._bot(session, bot)
                if session.end is not None or outcome.kind not in {"handoff", "ended"}:
                    return outcome
                if not stepped_back:
                    talk, _ = await self._who(session, looks=True)
                    if talk is None:
                        return outcome
                session.returned, session.resumed = None, True

        return run

    async def keep(self) -> None:
        """Background work until cancelled: has the bot step back where a desk has taken its caller."""
        while True:
            self._woken.clear()
            with suppress(DatabaseDown):
                await self.round()
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._woken.wait()

    async def round(self) -> None:
        """One look at the calls that the bot has here, and at callers who do not come."""
        mine = [conversation for conversation, stepped in self._bots.items() if not stepped]
        async with self._kit.database.reading() as tx:
            taken = await stored.open_among(tx, mine)
            late = await stored.not_come(tx, COMING_S)
        for conversation in taken:
            if self._bots.get(conversation) is False:
                self._bots[conversation] = True
                await self._step_back(conversation)
        for talk_id in late:
            async with self._kit.database.transaction() as tx:
                await self._kit.talks.end(tx, talk_id, "queue", "caller_not_reached", who="server")
            self._kit.poke()

    async def serve(self, desk: DeskLine, talk_id: str, headers: Mapping[str, str]) -> None:
        """A desk's line, from the first frame to the last: here, or on the node that has the caller.

        Args:
            desk: accepted, and known to be whose talk it is.
            talk_id: ``tk_...``.
            headers: of its request: another node asks for the same proof.
        """
        running = asyncio.create_task(desk.run())
        away = False
        try:
            while not desk.closed.is_set():
                try:
                    async with self._kit.database.reading() as tx:
                        talk = await stored.get(tx, talk_id)
                        at = await self._leases.holder(tx, talk.conversation_id)
                except DatabaseDown:
                    await asyncio.sleep(EVERY_S)
                    continue
                bridge = self._bridges.get(talk.conversation_id)
                if talk.over:
                    desk.tell(type="over", ending=talk.ending)
                    desk.end(OVER)
                    await running
                    return
                if bridge is not None and bridge.talk.id == talk_id and not bridge.over.is_set():
                    await bridge.serve(desk)
                    away = bridge.talk.began_at is not None  # it has said so, if the caller's socket is gone
                elif at is not None and at != self._leases.address:
                    code = await _relay(desk, at, talk_id, headers)
                    if code == TAKEN_UP:
                        desk.end(TAKEN_UP)  # not dialled anew: that would take it back
                        await running
                        return
                    away = away and code is None
                    away = _tell_away(desk, talk, away)
                    await self._pause(desk)
                else:
                    away = _tell_away(desk, talk, away)
                    self._woken.set()
                    await self._pause(desk)
        finally:
            desk.end()
            await running

    async def drain(self, until_s: float) -> None:
        """The node stops: talks may come to their end until then (`time.monotonic`); what is left goes on at
        another node.
        """
        overs = [asyncio.ensure_future(bridge.over.wait()) for bridge in self.bridges]
        if not overs:
            return
        _, late = await asyncio.wait(overs, timeout=max(0.0, until_s - time.monotonic()))
        for task in late:
            task.cancel()
        for bridge in self.bridges:
            bridge.leave()

    async def _pause(self, desk: DeskLine) -> None:
        """Until a bridge begins here, the line is gone, or it is time to look again."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._changed.wait()

    async def _who(
        self, session: Leg, *, looks: bool = False
    ) -> tuple[Talk | None, TransferFailed | Literal["goodbye"] | None]:
        """Who has the caller: a talk; or the bot, with what a talk has left to be done.

        Without a database it is the bot. ``looks``: nothing is taken to have been told by that.
        """
        kit = self._kit
        try:
            async with kit.database.transaction() as tx:
                talk = await stored.open_of(tx, session.conversation_id)
                if talk is not None:
                    await kit.talks.media_back(tx, talk)
                    return talk, None
                return None, None if looks else await kit.talks.after(tx, session.conversation_id)
        except DatabaseDown:
            log.warning("talk_not_known_without_database", conversation=session.conversation_id)
            return None, None

    async def _bot(self, session: Leg, bot: RunCall) -> tuple[CallOutcome, bool]:
        """How the bot's part ended, and whether it has stepped back for a talk."""
        self._bots[session.conversation_id] = False
        try:
            outcome = await bot(session)
            return outcome, self._bots.get(session.conversation_id, False)
        finally:
            self._bots.pop(session.conversation_id, None)

    async def _goodbye(self, session: Leg) -> None:
        """The agent hung up before the caller was with them."""
        ulaw = await self._kit.sounds.line("goodbye")
        await session.media(ulaw)
        await asyncio.sleep(len(ulaw) / 8000 + GOODBYE_S)

    async def _talk(self, session: Leg, talk: Talk) -> CallOutcome | None:
        recorder = await self._kit.recorder(session.conversation_id)
        bridge = self._bridges[session.conversation_id] = Bridge(self._kit, session, talk, recorder)
        self._changed.set()
        try:
            return await bridge.run()
        finally:
            if self._bridges.get(session.conversation_id) is bridge:
                del self._bridges[session.conversation_id]


def _tell_away(desk: DeskLine, talk: Talk, told: bool) -> bool:
    """No node has the caller just now: who spoke with them is told, once."""
    if talk.began_at is not None and not told:
        desk.tell(type="state", state="away")
    return talk.began_at is not None


async def _relay(desk: DeskLine, address: str, talk_id: str, headers: Mapping[str, str]) -> int | None:
    """Passes a line on to the node that has the caller, until either end is gone.

    Returns:
        The code with which that node closed it; None: it did not.
    """
    url = f"ws://{address.removeprefix('http://')}/api/talks/{talk_id}/audio"
    proof = {name: value for name, value in headers.items() if name.lower() in _RELAYED}
    try:
        async with connect(
            url,
            additional_headers=proof,
            open_timeout=_OPEN_S,
            compression=None,
            proxy=None,
            max_size=1 << 16,
        ) as other:
            waiting: asyncio.Queue[bytes | str] = asyncio.Queue(100)

            def put(one: bytes | str) -> None:
                with suppress(asyncio.QueueFull):
                    waiting.put_nowait(one)

            desk.on_sound = put
            desk.on_word = lambda word: put('{"type": "look"}' if word.get("type") == "look" else "{}")
            work = [
                asyncio.ensure_future(one)
                for one in (_down(other, desk), _up(other, waiting), desk.closed.wait())
            ]
            try:
                await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            finally:
                desk.on_sound = lambda ulaw: None
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
            return other.close_code
    except (OSError, TimeoutError, WebSocketException) as error:
        log.info("talk_relay_failed", talk=talk_id, error=type(error).__name__)
        return None


async def _down(other: ClientConnection, desk: DeskLine) -> None:
    async for came in other:
        if isinstance(came, bytes):
            desk.send(came)
        else:
            desk.pass_on(came)


async def _up(other: ClientConnection, waiting: asyncio.Queue[bytes | str]) -> None:
    while True:
        await other.send(await waiting.get())
