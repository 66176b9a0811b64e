"""What follows when ``<Dial>`` to a person is over."""

from __future__ import annotations

import structlog

from voicebot.channels.twilio import twiml
from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.closing import Closing
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.signature import Form
from voicebot.core.store.database import DatabaseDown

log = structlog.get_logger(__name__)

_SPOKE = frozenset({"completed", "answered"})


async def after_dial(
    services: TwilioServices, closing: Closing, form: Form, call_sid: str, at: Addresses
) -> str:
    """TwiML for the caller: goodbye, or an apology if nobody answered.

    Twilio asks the action of a ``<Dial>`` even when the call was redirected meanwhile, and throws
    the answer away: a conversation that is the bot's again is left alone.
    """
    outcome = form.get("DialCallStatus", "")
    try:
        async with services.database.transaction() as tx:
            known = await services.conversations.by_call(tx, call_sid)
            status = (await services.conversations.load(tx, known)).status if known is not None else None
    except DatabaseDown:
        log.warning("transfer_over_without_database", call_sid=call_sid)
        known, status = None, None
    if status == "live":
        return twiml.empty()
    spoke = outcome in _SPOKE
    if known is not None and status == "handoff":
        await closing.end(call_sid, "person_took_over" if spoke else "person_not_reached", known)
    log.info("transfer_over", conversation=known, call_sid=call_sid, dial_status=outcome[:16])
    return twiml.hangup() if spoke else twiml.apology(at)
