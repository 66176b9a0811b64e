"""What a person and a caller say to each other after the bot stepped back: one stream a leg.

A leg of the conference carries a ``<Start><Stream>`` of its own whose only track is what Twilio receives
from that party, so hold audio, briefing and beeps, which are played *to* it, never reach a recogniser.
https://www.twilio.com/docs/voice/twiml/stream
"""

from __future__ import annotations

import hashlib

from twilio.twiml.voice_response import Start, Stream

from voicebot.channels.twilio.addresses import Addresses
from voicebot.core.store.tokens import Leg

LEG_PARAMETER = "leg"
"""The ``<Parameter>`` that tells a leg's stream from the bot's own."""


def leg_stream(at: Addresses, leg: Leg, token: str) -> Start:
    """The verb that forks what is heard from one leg; Twilio goes on to the next verb at once.

    Goes before ``<Dial><Conference>`` in the document of that leg. Its name is of this token, so a call
    that is transferred twice never has two streams of one name. No status callback: a fork that dies leaves
    the call as it is.

    Args:
        at: where Twilio reaches this server.
        leg: whose voice it is.
        token: from `tokens.issue_leg`, for this leg's CallSid.
    """
    mark = hashlib.sha256(token.encode()).hexdigest()[:12]
    stream = Stream(url=at.stream, name=f"{leg}-{mark}", track="inbound_track")
    stream.parameter(name="token", value=token)
    stream.parameter(name=LEG_PARAMETER, value=leg)
    start = Start()
    start.append(stream)
    return start


def leg_stream_twiml(at: Addresses, leg: Leg, token: str) -> str:
    """`leg_stream` as text: one ``<Start>`` element, without the XML declaration."""
    return leg_stream(at, leg, token).to_xml(xml_declaration=False)
