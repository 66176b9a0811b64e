"""`voicebot twilio connect` and `selftest`: against the local Twilio, and every way they say no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from twilio_kit import free_port, settings_for, url_of

from voicebot.channels.twilio.connect import ConnectError, connect
from voicebot.channels.twilio.rest import TwilioRefusedError
from voicebot.channels.twilio.selftest import Check, SelftestError, selftest
from voicebot.core.settings import Settings
from voicebot.proof.simulation import DEFAULT_NUMBER, LocalTwilio, Options, Quiet, silent_person

SOMEONE = "+4930123456"


@pytest_asyncio.fixture
async def twilio() -> AsyncIterator[LocalTwilio]:
    async with LocalTwilio() as running:
        yield running


def settings_of(twilio: LocalTwilio, **values: Any) -> Settings:
    known: dict[str, Any] = {
        "public_url": "https://voice.example.com",
        "twilio_api": twilio.api_url,
        "twilio_account_sid": twilio.account_sid,
        "twilio_auth_token": twilio.auth_token,
    }
    return settings_for(**(known | values))


async def test_a_number_is_pointed_at_this_server(twilio: LocalTwilio) -> None:
    """Voice, fallback, status and SMS; what was there before is named."""
    own = twilio.numbers[DEFAULT_NUMBER]
    own.voice_url = "https://old.example.com/voice"
    lines = await connect(settings_of(twilio), "+1 (500) 555-0006")
    base = "https://voice.example.com/twilio"
    assert (own.voice_url, own.voice_method) == (f"{base}/voice", "POST")
    assert own.voice_fallback_url == f"{base}/resume"
    assert own.status_callback == f"{base}/status"
    assert own.sms_url == f"{base}/sms"
    assert f"voice URL: {base}/voice (was https://old.example.com/voice)" in lines
    assert f"SMS URL: {base}/sms (was not set)" in lines
    again = await connect(settings_of(twilio), DEFAULT_NUMBER)
    assert f"voice URL: {base}/voice (as before)" in again


async def test_a_fallback_of_ones_own(twilio: LocalTwilio) -> None:
    """A TwiML Bin that works when this machine is gone."""
    await connect(settings_of(twilio), DEFAULT_NUMBER, fallback_url="https://handler.example/EH1")
    assert twilio.numbers[DEFAULT_NUMBER].voice_fallback_url == "https://handler.example/EH1"


async def test_an_application_that_would_override_is_taken_off(twilio: LocalTwilio) -> None:
    """Twilio ignores the webhooks of a number that has one."""
    own = twilio.numbers[DEFAULT_NUMBER]
    own.voice_application_sid = "AP" + "1" * 32
    lines = await connect(settings_of(twilio), DEFAULT_NUMBER)
    assert own.voice_application_sid == ""
    assert any("voice application" in line for line in lines)


@pytest.mark.parametrize(
    ("values", "number", "says"),
    [
        ({"public_url": None}, DEFAULT_NUMBER, "VOICEBOT_PUBLIC_URL is not set"),
        ({"public_url": "http://voice.example.com"}, DEFAULT_NUMBER, "must be https"),
        ({"twilio_account_sid": None}, DEFAULT_NUMBER, "set TWILIO_ACCOUNT_SID"),
        ({"twilio_auth_token": None}, DEFAULT_NUMBER, "set TWILIO_AUTH_TOKEN"),
        ({}, "+4930987654", f"does not belong to account .*; it has \\{DEFAULT_NUMBER}"),
        ({}, "030 123456", "international form"),
    ],
)
async def test_what_is_missing_is_said(
    twilio: LocalTwilio, values: dict[str, Any], number: str, says: str
) -> None:
    """Before anything is changed."""
    with pytest.raises(ConnectError, match=says):
        await connect(settings_of(twilio, **values), number)
    assert twilio.numbers[DEFAULT_NUMBER].voice_url == ""


async def test_wrong_credentials(twilio: LocalTwilio) -> None:
    """Twilio's own words, and what to check."""
    with pytest.raises(TwilioRefusedError, match="check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"):
        await connect(settings_of(twilio, twilio_auth_token="f" * 32), DEFAULT_NUMBER)


async def test_a_number_on_a_trunk(twilio: LocalTwilio) -> None:
    """Its webhooks would never be asked."""
    twilio.numbers[DEFAULT_NUMBER].trunk_sid = "TK" + "1" * 32
    with pytest.raises(ConnectError, match="SIP trunk"):
        await connect(settings_of(twilio), DEFAULT_NUMBER)


async def checks(twilio: LocalTwilio, **more: Any) -> list[Check]:
    port = free_port()
    url = url_of(port)
    number = int(port.getsockname()[1])
    twilio.routes.add_plain(url)
    settings = settings_of(twilio, public_url=url)
    try:  # it does not listen, and keeps others from the number
        return [c async for c in selftest(settings, DEFAULT_NUMBER, port=number, patience_s=1.5, **more)]
    finally:
        port.close()


async def test_the_selftest_sees_how_twilio_behaves() -> None:
    """Whichever way Twilio goes is fine for the server, and the self-test tells which it is.

    Three Twilios at once, since each call takes its seconds.
    """
    await asyncio.gather(
        the_selftest_rings_a_phone("next_verb"),
        the_selftest_rings_a_phone("hang"),
        the_selftest_waits_for_a_caller(),
    )


async def the_selftest_rings_a_phone(broken_socket: Any) -> None:
    async with LocalTwilio(options=Options(broken_socket=broken_socket)) as twilio:
        twilio.people[SOMEONE] = silent_person()
        seen = {check.name: check for check in await checks(twilio, to=SOMEONE)}
    assert [c.line() for c in seen.values() if not c.ok] == []
    assert "over wss://127.0.0.1" in seen["upgrade signature"].saw
    assert "[160] bytes" in seen["frames"].saw
    assert "next verb after" in seen["our close (1000)"].saw
    assert "stop" in seen["redirect by REST"].saw
    assert seen["keys"].result == "not_tested"
    for point in ("broken socket", "refused upgrade"):
        assert ("silence" in seen[point].saw) is (broken_socket == "hang"), seen[point].line()
    assert "404" in seen["ending twice"].saw
    assert "['selftest']" in seen["room with one leg"].saw
    assert "asked with completed" in seen["leaving a room"].saw
    assert int(seen["copy in a room"].saw.split()[0]) > 10


async def the_selftest_waits_for_a_caller() -> None:
    """Without a phone to ring, somebody phones the number; its webhooks are as before afterwards."""
    async with LocalTwilio() as twilio:
        own = twilio.numbers[DEFAULT_NUMBER]
        own.voice_url = "https://old.example.com/voice"
        pressing: list[asyncio.Task[None]] = []

        async def phone_with_keys(_: object) -> None:
            call = await twilio.phone(ear=Quiet())

            async def press() -> None:
                while call.stream is None or call.stream.spec.name != "keys" or not call.stream.live:
                    await asyncio.sleep(0.02)
                await call.press("1*#")

            pressing.append(asyncio.create_task(press()))

        seen = {check.name: check for check in await checks(twilio, ring=phone_with_keys)}
        await asyncio.gather(*pressing)
        assert seen["keys"].line().startswith("ok")
        assert own.voice_url == "https://old.example.com/voice"


async def test_the_selftest_needs_the_servers_port(twilio: LocalTwilio) -> None:
    """The server still runs: it says to stop it."""
    port = free_port()
    port.listen()
    with pytest.raises(SelftestError, match="stop the server first"):
        async for _ in selftest(
            settings_of(twilio, public_url=url_of(port)), DEFAULT_NUMBER, port=int(port.getsockname()[1])
        ):
            pass
    port.close()
