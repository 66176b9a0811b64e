"""The self-test's last scene: the call waits alone in a conference while a copy of its sound is taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from xml.sax.saxutils import escape

from voicebot.channels.twilio.probe import PREFIX
from voicebot.channels.twilio.rest import TwilioError
from voicebot.channels.twilio.selftest_run import Check, Run

AFTERWARDS = "9"
"""The path of the document that the call is given when it leaves the room."""

_LABEL = "selftest"
_LISTENS_S = 1.0


def write_room(run: Run, path: str) -> None:
    """The document that takes the call into the room, and the one after it."""
    at = run.probe.at
    url = escape(at.websocket(f"{PREFIX}/media/copy"))
    status = escape(at.http(f"{PREFIX}/room-status"))
    left = escape(at.http(f"{PREFIX}/room-left"))
    run.probe.twiml[path] = (
        f'<Response><Start><Stream url="{url}" name="copy" track="inbound_track"/></Start>'
        f'<Dial action="{left}"><Conference participantLabel="{_LABEL}" startConferenceOnEnter="false" '
        f'beep="false" waitUrl="" statusCallback="{status}" statusCallbackEvent="start end join leave">'
        f"{_room(run)}</Conference></Dial></Response>"
    )
    run.probe.twiml[AFTERWARDS] = '<Response><Pause length="30"/></Response>'


def _room(run: Run) -> str:
    return f"vb-selftest-{id(run):x}"


async def in_a_room(run: Run) -> AsyncIterator[Check]:
    """Joining, who is listed, the copy in the room, and leaving it by REST."""
    since_s = run.probe.of("8")[-1].at_s if run.probe.of("8") else time.monotonic()
    joined = await run.probe.request("room-status", within_s=run.patience_s, since_s=since_s)
    if joined is None:
        yield Check("joining a room", "differs", f"no callback within {run.patience_s:.0f} s")
    else:
        number = joined.form.get("SequenceNumber", "?")
        what = f"{joined.form.get('StatusCallbackEvent')} number {number}"
        yield Check("joining a room", "ok", f"told of {what} after {joined.at_s - since_s:.2f} s")
    yield await _listed(run)
    yield await _copied(run)
    yield await _left(run)


async def _listed(run: Run) -> Check:
    """The server asks this when it is not sure who is there."""
    try:
        labels = await run.rest.labels_in(_room(run))
    except TwilioError as error:
        return Check("room with one leg", "differs", f"not to be had: {error}")
    return Check("room with one leg", "ok" if _LABEL in labels else "differs", f"REST lists {sorted(labels)}")


async def _copied(run: Run) -> Check:
    socket = await run.probe.socket("copy", within_s=run.patience_s)
    if socket is None:
        return Check("copy in a room", "not_tested", "its stream did not come up")
    before = len(socket.of("media"))
    await asyncio.sleep(_LISTENS_S)
    came = len(socket.of("media")) - before
    return Check("copy in a room", "ok", f"{came} frames in {_LISTENS_S:.0f} s of waiting")


async def _left(run: Run) -> Check:
    began_s = time.monotonic()
    try:
        await run.rest.update_call(run.call_sid, url=run.probe.at.http(f"{PREFIX}/{AFTERWARDS}"))
    except TwilioError as error:
        return Check("leaving a room", "differs", str(error))
    asked = await run.probe.request(AFTERWARDS, within_s=run.patience_s, since_s=began_s)
    dead = await run.probe.request("room-left", within_s=0.5, since_s=began_s)
    events = [s.form.get("StatusCallbackEvent", "?") for s in run.probe.of("room-status", began_s)]
    saw = "no new TwiML was asked for" if asked is None else f"new TwiML after {asked.at_s - began_s:.2f} s"
    action = "not asked" if dead is None else f"asked with {dead.form.get('DialCallStatus')}"
    return Check(
        "leaving a room", "differs" if asked is None else "ok", f"{saw}; action {action}; told of {events}"
    )
