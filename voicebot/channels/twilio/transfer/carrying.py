"""Does at Twilio what a transfer has ordered, and says what came of it.

A dial is made once: its effect is claimed before, and whatever is not known for sure afterwards (no answer,
5xx, a node that died) is looked for before anything is dialled again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.reception import Reception, Request
from voicebot.channels.twilio.rest import TwilioError, TwilioRefusedError, TwilioRest, TwilioUnreachableError
from voicebot.channels.twilio.resumption import Answer
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.transfer.documents import agent_label, caller_label, path
from voicebot.channels.twilio.transfer.transfers import Transfers
from voicebot.core.store import audit, handoffs, transfers
from voicebot.core.store.transfers import LEASE_S, Claimed
from voicebot.handoff.transfer.effects import Do, Effect, still_wanted
from voicebot.handoff.transfer.machine import RING_S
from voicebot.handoff.transfer.signs import (
    LEG_OVER,
    CallerLeft,
    CallerSeen,
    Dialled,
    DialRefused,
    DialUnknown,
    LegIs,
    LegStatus,
    LookedFor,
    RoomSeen,
    SentBack,
    Sign,
)
from voicebot.handoff.transfer.states import Transfer
from voicebot.handoff.transferring import load, load_effect

log = structlog.get_logger(__name__)

TRIES = 8
"""How often something is tried whose outcome no sign would tell."""

_MARGIN = timedelta(seconds=30)
"""Between Twilio's clock and ours, and for a dial that took its time."""

LEG_EVENTS = ("initiated", "ringing", "answered", "completed")
_STATUSES: dict[str, LegStatus] = {
    "queued": "queued",
    "initiated": "initiated",
    "ringing": "ringing",
    "in-progress": "in-progress",
    **{status: status for status in LEG_OVER},  # pyright: ignore[reportAssignmentType]  # all are of the set
}


def leg_status(said: str) -> LegStatus | None:
    """A leg's status in Twilio's words; None for a word it did not have when this was written."""
    return _STATUSES.get(said)


class Carrying:
    """Carries effects out. One per node.

    Args:
        services: the channel's.
        ours: the node's transfers.
        reception: gives the caller's call its documents.
        brought_back: told of a call that was given back to the bot.
        ended: writes the end of a caller's call of which only Twilio's REST API has told.
    """

    def __init__(
        self,
        services: TwilioServices,
        ours: Transfers,
        reception: Reception,
        brought_back: Callable[[str, Addresses], None],
        ended: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._services = services
        self._ours = ours
        self._reception = reception
        self._brought_back = brought_back
        self._ended = ended
        self._own: str | None = None

    async def carry_out(self, claimed: Claimed) -> None:
        """One effect, from the look at whether it is still wanted to what came of it.

        Raises:
            DatabaseDown: what came of it is not written; the effect is claimed again when its lease ends.
        """
        effect = load_effect(claimed.body)
        async with self._services.database.transaction() as tx:
            transfer = load((await transfers.get(tx, claimed.transfer_id)).body)
            if not still_wanted(transfer, effect):
                await transfers.settle(tx, claimed, void=True)
                return
        try:
            async with asyncio.timeout(LEASE_S - 2):
                signs = await self._do(transfer, effect, claimed.claims)
        except TimeoutError:
            signs = _unknown(effect)
        if signs is None and claimed.claims < TRIES:
            return  # its lease ends, and it is tried again
        gone = [sign for sign in signs or () if _says_caller_is_gone(sign)]
        if gone:  # the end of the conversation, and with it of its transfer
            await self._ended(transfer.call, "caller_hung_up")
        async with self._services.database.transaction() as tx:
            for sign in signs or ():
                await self._ours.transferring.take(tx, claimed.transfer_id, sign)
            await transfers.settle(tx, claimed)
        self._ours.wake()
        self._services.poke()

    async def _do(self, transfer: Transfer, effect: Effect, claims: int) -> tuple[Sign, ...] | None:
        """What came of it; None: try again later."""
        rest = self._services.rest
        if rest is None:
            log.error("transfer_without_rest", conversation=transfer.conversation)
            return _impossible(effect)
        match effect.do:
            case Do.DIAL:
                return await self._dial(rest, transfer, effect, claims)
            case Do.LOOK_FOR_LEG:
                return await self._look_for_leg(rest, transfer, effect)
            case Do.LOOK_AT_LEG:
                assert effect.leg is not None
                status = await self._status(rest, effect.leg)
                return () if status is None else (LegIs(effect.attempt, effect.leg, status),)
            case Do.LOOK_AT_ROOM:
                return await self._look_at_room(rest, transfer)
            case Do.LOOK_AT_CALLER:
                status = await self._status(rest, transfer.call)
                return () if status is None else (CallerSeen(on_line=status not in LEG_OVER),)
            case Do.SEND_IN:
                return await self._send(rest, transfer, ())
            case Do.SEND_BACK:
                return await self._send(rest, transfer, (SentBack(ok=True),), (SentBack(ok=False),))
            case Do.HANG_UP:
                assert effect.leg is not None
                return await self._hang_up(rest, effect.leg)

    # --- the person's leg ------------------------------------------------------------------

    async def _dial(
        self, rest: TwilioRest, transfer: Transfer, effect: Effect, claims: int
    ) -> tuple[Sign, ...]:
        attempt = effect.attempt
        if claims > 1:  # who claimed it before may have dialled: look first
            return (DialUnknown(attempt),)
        to, at = self._number(effect.destination), self._ours.addresses
        ours = await self._from(rest, transfer)
        if to is None or at is None or not ours:
            reason = "not_listed" if to is None else "no_public_url" if at is None else "no_number"
            async with self._services.database.transaction() as tx:
                facts = {"transfer": transfer.id, "destination": effect.destination}
                await audit.refusal(
                    tx,
                    what="transfer.destination",
                    reason=reason,
                    facts=facts,
                    conversation_id=transfer.conversation,
                )
            log.error("transfer_not_dialled", conversation=transfer.conversation, reason=reason)
            return (DialRefused(attempt),)
        await self._prepare(transfer)
        async with self._services.database.transaction() as tx:
            facts = {"transfer": transfer.id, "destination": effect.destination, "attempt": attempt}
            await audit.record(
                tx,
                action="transfer.dialled",
                actor="server",
                facts=facts,
                conversation_id=transfer.conversation,
            )
        for from_ in ours:
            try:
                call = await rest.create_call(
                    to=to,
                    from_=from_,
                    url=at.http(path(transfer.id, "brief", attempt)),
                    status_callback=at.http(path(transfer.id, "leg", attempt)),
                    status_events=LEG_EVENTS,
                    Timeout=str(RING_S),
                )
            except TwilioRefusedError as error:
                log.warning("transfer_dial_refused", status=error.status, code=error.code)
                if error.status >= _SERVER_ERROR:
                    return (DialUnknown(attempt),)
                if error.code not in _NOT_OUR_NUMBER:
                    break
            except TwilioUnreachableError:
                log.warning("transfer_dial_unknown", conversation=transfer.conversation)
                return (DialUnknown(attempt),)
            else:
                return (Dialled(attempt, call.sid),)
        return (DialRefused(attempt),)

    async def _look_for_leg(self, rest: TwilioRest, transfer: Transfer, effect: Effect) -> tuple[Sign, ...]:
        """A call to the same number since then that is no other transfer's; of several, none is believed."""
        to, ours = self._number(effect.destination), await self._from(rest, transfer)
        if to is None:
            return (LookedFor(effect.attempt, None),)
        try:
            made = [one for from_ in ours for one in await rest.calls_to(to, from_)]
        except TwilioError as error:
            log.warning("transfer_look_failed", error=type(error).__name__)
            return (LookedFor(effect.attempt, None, blind=True),)
        since = transfer.dialled_at - _MARGIN
        recent = {one.sid: one.status for one in made if one.created is not None and one.created >= since}
        async with self._services.database.transaction() as tx:
            known = await transfers.known_legs(tx, list(recent))
        mine = [sid for sid in recent if sid not in known]
        if len(mine) != 1:
            return (LookedFor(effect.attempt, None),)
        status = leg_status(recent[mine[0]])
        found = LookedFor(effect.attempt, mine[0])
        return (found,) if status is None else (found, LegIs(effect.attempt, mine[0], status))

    async def _hang_up(self, rest: TwilioRest, leg: str) -> tuple[Sign, ...] | None:
        try:
            await rest.update_call(leg, status="completed")
        except TwilioRefusedError as error:
            if error.call_is_over:
                return ()
            log.warning("transfer_leg_not_ended", status=error.status, code=error.code)
            return None if error.status >= _SERVER_ERROR else ()
        except TwilioUnreachableError:
            return None
        return ()

    def _number(self, destination: str | None) -> str | None:
        """The number of a destination as the list has it now. There is no other way to a number."""
        people = self._ours.transferring.people
        return next((one.number for one in people.destinations_ if one.name == destination), None)

    async def _from(self, rest: TwilioRest, transfer: Transfer) -> list[str]:
        """The number that the caller has called, and the first of the account: a call may have come to us by
        a number that is not the account's.
        """
        async with self._services.database.transaction() as tx:
            called = (await self._services.conversations.load(tx, transfer.conversation)).called
        if self._own is None:
            try:
                numbers = await rest.numbers()
            except TwilioError:
                log.warning("transfer_own_number_unknown")
            else:
                self._own = numbers[0].phone_number if numbers else None
        return list(dict.fromkeys(number for number in (called, self._own) if number is not None))

    async def _prepare(self, transfer: Transfer) -> None:
        """Has the briefing rendered while the phone rings."""
        words = await briefing_words(self._services, self._ours, transfer.id)
        self._ours.words.prepare(transfer.id, words)

    # --- the caller's ----------------------------------------------------------------------

    async def _send(
        self,
        rest: TwilioRest,
        transfer: Transfer,
        done: tuple[Sign, ...],
        failed: tuple[Sign, ...] = (),
    ) -> tuple[Sign, ...]:
        """Gives the caller's call by REST what it would be given if it asked."""
        at = self._ours.addresses
        if at is None:
            log.error("transfer_caller_not_sent", remedy="set VOICEBOT_PUBLIC_URL")
            return failed
        given, text = await self._reception.twiml(Request(transfer.call, pushed=True), at)
        try:
            await rest.update_call(transfer.call, twiml=text)
        except TwilioRefusedError as error:
            log.warning("transfer_caller_not_sent", status=error.status, code=error.code)
            return (CallerLeft(),) if error.call_is_over else failed
        except TwilioUnreachableError:
            log.warning("transfer_caller_not_sent", conversation=transfer.conversation)
            return failed
        if given is Answer.CONNECT:
            self._brought_back(transfer.call, at)
        return done

    async def _look_at_room(self, rest: TwilioRest, transfer: Transfer) -> tuple[Sign, ...]:
        try:
            labels = await rest.labels_in(transfer.room)
        except TwilioError as error:
            log.warning("transfer_look_failed", error=type(error).__name__)
            return ()
        caller, agent = caller_label(transfer.entry), agent_label(transfer.attempt)
        return (RoomSeen(caller=caller in labels, agent=agent in labels),)

    async def _status(self, rest: TwilioRest, call_sid: str) -> LegStatus | None:
        try:
            return leg_status((await rest.call(call_sid)).status)
        except TwilioRefusedError as error:
            return "completed" if error.call_is_over else None
        except TwilioUnreachableError:
            return None


_SERVER_ERROR = 500
_NOT_OUR_NUMBER = frozenset({21210, 21212})
"""The caller number of a dial is not the account's, or no number (a SIP address): nothing was dialled."""


def _says_caller_is_gone(sign: Sign) -> bool:
    return isinstance(sign, CallerLeft) or (isinstance(sign, CallerSeen) and not sign.on_line)


async def briefing_words(services: TwilioServices, ours: Transfers, transfer_id: str) -> str:
    """What a person is told of a transfer's handoff before they take it.

    Raises:
        UnknownTransfer: there is none.
        DatabaseDown: Postgres does not answer.
    """
    async with services.database.transaction() as tx:
        row = await transfers.get(tx, transfer_id)
        handoff = await handoffs.get(tx, services.keys, row.handoff_id)
    return ours.brief(handoff["payload"])


def _unknown(effect: Effect) -> tuple[Sign, ...] | None:
    if effect.do is Do.DIAL:
        return (DialUnknown(effect.attempt),)
    if effect.do is Do.LOOK_FOR_LEG:
        return (LookedFor(effect.attempt, None, blind=True),)
    return (SentBack(ok=False),) if effect.do is Do.SEND_BACK else None


def _impossible(effect: Effect) -> tuple[Sign, ...]:
    """There is no REST API: nobody can be dialled, or looked for."""
    if effect.do is Do.DIAL:
        return (DialRefused(effect.attempt),)
    if effect.do is Do.LOOK_FOR_LEG:
        return (LookedFor(effect.attempt, None, blind=True),)
    return (SentBack(ok=False),) if effect.do is Do.SEND_BACK else ()
