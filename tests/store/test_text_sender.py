"""What was ordered is sent once by Twilio, from the number that was called; nothing of it stays."""

from __future__ import annotations

from twilio_kit import PUBLIC_URL, twilio_channel

from voicebot.channels.twilio.rest import TwilioRest
from voicebot.channels.twilio.texts import TextSender
from voicebot.core.conversation import Channel
from voicebot.core.store import text_messages
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.proof.simulation import LocalTwilio

KEYS = KeyRing(bytes(range(32)))
TO = "+12025550000"


async def ordered(database: Database, called: str | None) -> str:
    """A conversation with one message in the queue."""
    async with database.transaction() as tx:
        conversation = await Conversations(KEYS).create(
            tx, channel=Channel.PHONE, call_sid=None, caller=TO, called=called, state=states.new_state()
        )
        await text_messages.order(
            tx, KEYS, conversation_id=conversation, key=f"{conversation}:1:code", to=TO, words="It is 493817."
        )
    return conversation


async def test_each_message_goes_out_once_from_the_number_that_was_called(database: Database) -> None:
    """A chat has none: the account's first number. The second look finds nothing to send."""
    async with LocalTwilio() as twilio:
        own = next(iter(twilio.numbers))
        first, second = await ordered(database, own), await ordered(database, None)
        async with TwilioRest(twilio.account_sid, twilio.auth_token, twilio.api_url) as rest:
            sender = TextSender(database, KEYS, rest)
            assert await sender.send_queued() == 2
            assert await sender.send_queued() == 0
        assert [(one.to, one.from_, one.body) for one in twilio.messages] == [(TO, own, "It is 493817.")] * 2
    async with database.transaction() as tx:
        for conversation in (first, second):
            [row] = await text_messages.of(tx, conversation)
            assert (row["status"], row["provider_id"][:2]) == ("sent", "SM")
        left = await (await tx.execute("SELECT sealed FROM text_messages")).fetchall()
    assert all(bytes(row["sealed"]) == b"" for row in left)


async def test_what_twilio_refuses_has_failed_with_a_reason(database: Database) -> None:
    """Other credentials: nothing is sent, nothing is tried again."""
    async with LocalTwilio() as twilio:
        conversation = await ordered(database, next(iter(twilio.numbers)))
        async with TwilioRest(twilio.account_sid, "0" * 32, twilio.api_url) as rest:
            assert await TextSender(database, KEYS, rest).send_queued() == 1
        assert twilio.messages == []
    async with database.transaction() as tx:
        [row] = await text_messages.of(tx, conversation)
    assert row["status"] == "failed"
    assert row["reason"].startswith("Twilio refused")


async def test_twilio_reports_what_did_not_arrive(database: Database) -> None:
    """Asked for with every message; only a signed report of that very message counts, and only once."""
    async with LocalTwilio() as twilio:
        conversation = await ordered(database, next(iter(twilio.numbers)))
        async with TwilioRest(twilio.account_sid, twilio.auth_token, twilio.api_url) as rest:
            forms: list[dict[str, str]] = []
            send = rest.send_message

            async def noted(**form: str) -> str:
                forms.append(form)
                return await send(**form)

            rest.send_message = noted  # type: ignore[method-assign,assignment]
            assert await TextSender(database, KEYS, rest, public_url=PUBLIC_URL).send_queued() == 1
    async with database.transaction() as tx:
        [row] = await text_messages.of(tx, conversation)
    path = f"/twilio/texts/{row['id']}"
    assert forms[0]["status_url"] == f"{PUBLIC_URL}{path}"

    async def status() -> tuple[str, str | None]:
        async with database.transaction() as tx:
            [one] = await text_messages.of(tx, conversation)
        return one["status"], one["reason"]

    async with twilio_channel(database, KEYS) as channel:
        report = {"MessageSid": row["provider_id"], "ErrorCode": "30003"}
        await channel.post(path, MessageStatus="delivered", **report)
        assert (
            await channel.post(path, token=None, MessageStatus="undelivered", **report)
        ).status_code == 403
        await channel.post(path, MessageStatus="undelivered", **{**report, "MessageSid": "SM" + "0" * 32})
        assert await status() == ("sent", None)
        answer = await channel.post(path, MessageStatus="undelivered", **report)
        assert answer.status_code == 204
        assert await status() == ("failed", "Twilio: undelivered 30003")
        await channel.post(path, MessageStatus="failed", **report)
        assert await status() == ("failed", "Twilio: undelivered 30003")
