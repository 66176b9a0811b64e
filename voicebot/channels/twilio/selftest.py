"""Checks on a real number what no Twilio document promises: ``voicebot twilio selftest NUMBER``.

One call, a handful of scenes; each opens a media stream of its own, does one thing to it and
writes down what Twilio did. The server is built to work whichever way these points turn out;
a check ``differs`` only where it would not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.connect import find_number, normal_number, public_addresses, rest_of
from voicebot.channels.twilio.probe import PREFIX, Probe, ProbeError
from voicebot.channels.twilio.rest import (
    Number,
    TwilioError,
    TwilioRefusedError,
    TwilioUnreachableError,
)
from voicebot.channels.twilio.selftest_run import Check, Run
from voicebot.channels.twilio.selftest_script import scenes, write_script
from voicebot.core.settings import Settings

__all__ = ["Check", "SelftestError", "selftest"]

RING_S = 120.0
"""Time for somebody to phone, or to pick up."""

PATIENCE_S = 15.0
"""How long Twilio may take to go on after a socket is gone, before we call it silence."""


class SelftestError(TwilioError):
    """The self-test could not run; the message says why."""


async def selftest(
    settings: Settings,
    number: str,
    *,
    to: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    patience_s: float = PATIENCE_S,
    ring: Callable[[Addresses], Awaitable[None]] | None = None,
) -> AsyncIterator[Check]:
    """Runs the checks, one after the other, in one call.

    The server must be stopped: the self-test answers at its public address in its place.

    Args:
        settings: public URL and credentials.
        number: one of the account's numbers, E.164.
        to: a phone that is rung; whoever answers holds the line and presses keys when asked. None: the
            number's voice URL is pointed at the self-test until it is over, and somebody phones it.
        host: address to listen on.
        port: where the public URL leads.
        patience_s: how long Twilio may stay silent after a socket is gone.
        ring: makes the phone call when ``to`` is None; None: a person does.

    Raises:
        ConnectError, SelftestError: something is missing, or no call came about.
        TwilioError: Twilio refused.
    """
    at = public_addresses(settings)
    token = settings.twilio_auth_token
    rest = rest_of(settings)
    assert token is not None  # rest_of has seen to it
    probe = Probe(at, token.get_secret_value())
    run = Run(probe, rest, patience_s)
    async with rest:
        own = await find_number(rest, normal_number(number))
        try:
            async with probe.serving(host, port):
                write_script(run)
                async with _call(run, own, to) as ringing:
                    if ring is not None:
                        await ring(at)
                    elif ringing is not None:
                        yield ringing
                    await _call_is_there(run)
                    async for check in scenes(run):
                        yield check
        except ProbeError as error:
            raise SelftestError(str(error)) from error


@asynccontextmanager
async def _call(run: Run, own: Number, to: str | None) -> AsyncGenerator[Check | None]:
    """Brings the call about, and puts everything back afterwards."""
    at = run.probe.at
    if to is not None:
        placed = await run.rest.create_call(
            to=normal_number(to),
            from_=own.phone_number,
            url=at.http(f"{PREFIX}/voice"),
            status_callback=at.http(f"{PREFIX}/status"),
            status_events=("initiated", "ringing", "answered", "completed"),
        )
        run.call_sid = placed.sid
        try:
            yield None
        finally:
            await _hang_up(run)
        return
    await run.rest.set_webhooks(
        own.sid,
        VoiceUrl=at.http(f"{PREFIX}/voice"),
        StatusCallback=at.http(f"{PREFIX}/status"),
    )
    try:
        yield Check("call", "ok", f"phone {own.phone_number} now, within {RING_S:.0f} s, and hold the line")
    finally:
        await _hang_up(run)
        await run.rest.set_webhooks(own.sid, VoiceUrl=own.voice_url, StatusCallback=own.status_callback)


async def _hang_up(run: Run) -> None:
    if run.call_sid:
        with suppress(TwilioRefusedError, TwilioUnreachableError):  # over already, or nothing to be done
            await run.rest.update_call(run.call_sid, status="completed")


async def _call_is_there(run: Run) -> None:
    asked = await run.probe.request("voice", within_s=RING_S)
    if asked is None:
        raise SelftestError(
            f"no call reached {run.probe.at.http(PREFIX)}/voice within {RING_S:.0f} s: does the public URL"
            " lead to the self-test's port, and did somebody answer?"
        )
    run.call_sid = asked.form.get("CallSid", run.call_sid)
