"""Lets the streams of conference legs in, each with a key of its own, and runs them beside the calls."""

from __future__ import annotations

import structlog
from starlette.websockets import WebSocket

from voicebot.channels.twilio.attachment import TOKEN_REFUSALS
from voicebot.channels.twilio.leg_media import LEG_PARAMETER
from voicebot.channels.twilio.media import EndKind, MediaSession
from voicebot.channels.twilio.refusals import Refusal, Refused
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.stream_order import StreamOrder
from voicebot.channels.twilio.wire import Start
from voicebot.core import metrics
from voicebot.core.store import tokens
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.tokens import TokenRefused

log = structlog.get_logger(__name__)

LEGS_A_CALL = 2


class LegGate:
    """One per node. A leg is no call of the bot's: it takes no call's place, and its end ends no call."""

    def __init__(self, services: TwilioServices) -> None:
        self._services = services
        self._open = 0

    async def begin(self, socket: WebSocket, start: Start, order: StreamOrder) -> MediaSession:
        """Binds an accepted ``start`` to its conversation.

        Raises:
            Refused: no token, or one that opens nothing; the conversation is over; nobody listens here, or
                there is no room.
        """
        services = self._services
        token, leg = start.parameters.get("token"), start.parameters[LEG_PARAMETER]
        if not token:
            raise Refused(Refusal.TOKEN_MISSING, "a leg's stream has no <Parameter> named token")
        if services.run_leg is None:
            raise Refused(Refusal.OFF, "nobody listens to legs here")
        if self._open >= LEGS_A_CALL * services.node.max_calls:
            raise Refused(Refusal.NO_ROOM, "the node has all the legs it takes")
        try:
            async with services.database.transaction() as tx:
                conversation_id = await tokens.redeem_leg(tx, token, leg, start.call_sid)
                snapshot = await services.conversations.load(tx, conversation_id)
                if snapshot.status == "ended":
                    raise Refused(Refusal.CALL_OVER, "the conversation ended before the leg's stream began")
        except TokenRefused as refused:
            raise Refused(TOKEN_REFUSALS[refused.reason]) from None
        except DatabaseDown:
            raise Refused(Refusal.UNAVAILABLE, "database") from None
        return MediaSession(
            socket,
            start,
            order,
            conversation_id=conversation_id,
            resumed=False,
            epoch=snapshot.epoch,
            clock=services.clock,
        )

    async def run(self, session: MediaSession) -> None:
        """Listens until the leg is over; whatever happens, the socket is closed and nothing else."""
        assert self._services.run_leg is not None  # `begin` let it in
        leg = session.custom[LEG_PARAMETER]
        self._open += 1
        metrics.legs_active.labels(leg).inc()
        log.info("leg_started", conversation=session.conversation_id, leg=leg, call_sid=session.call_sid)
        try:
            await self._services.run_leg(session)
        except Exception:
            log.exception("leg_failed", conversation=session.conversation_id, leg=leg)
        finally:
            self._open -= 1
            metrics.legs_active.labels(leg).dec()
            await session.leave(EndKind.CLOSED)
            log.info(
                "leg_ended",
                conversation=session.conversation_id,
                leg=leg,
                end=session.end.kind.value if session.end is not None else None,
                missing_messages=session.missing_messages,
            )
