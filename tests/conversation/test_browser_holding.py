"""Who was promised a person in a browser waits on the line for one, hears it, and is not forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from virtual_time import virtual

from voicebot.channels.browser.holding import WAIT_S, Holding
from voicebot.channels.legs import CallOutcome, EndKind, Leg, Media, SessionEnd
from voicebot.core.conversation import TransferFailed

MUSIC = b"\x55" * 16_000
PERSON = CallOutcome("handoff", "handed_over")


class Line:
    """A leg whose caller speaks all the time."""

    conversation_id = "cv_1"

    def __init__(self) -> None:
        self.end: SessionEnd | None = None
        self.returned: TransferFailed | None = None
        self.resumed = False
        self.sent: list[bytes] = []
        self.cleared = 0
        self.read = 0

    async def messages(self) -> AsyncIterator[Media]:
        while True:
            await asyncio.sleep(0.02)
            self.read += 1
            yield Media("wb_1", b"\xff" * 160, 0, None, None, "inbound")

    async def media(self, ulaw: bytes) -> None:
        self.sent.append(ulaw)

    async def clear(self) -> None:
        self.cleared += 1


class Calls:
    """The bot, or an agent: gives the outcomes one after the other. ``taken_at``: when an agent asks.

    ``waited``: the caller was on hold when their connection was lost.
    """

    waited = False

    def __init__(self, *outcomes: CallOutcome, taken_at: float = float("inf")) -> None:
        self.outcomes = list(outcomes)
        self.taken_at = taken_at
        self.runs = 0
        self.back: list[str] = []

    async def __call__(self, session: Leg) -> CallOutcome:
        self.runs += 1
        return self.outcomes.pop(0)

    async def taken(self, conversation_id: str) -> bool:
        return asyncio.get_running_loop().time() >= self.taken_at

    async def waits(self, conversation_id: str) -> bool:
        return self.waited

    async def given_back(self, conversation_id: str) -> bool:
        self.back.append(conversation_id)
        return not await self.taken(conversation_id)


async def held(calls: Calls, line: Line) -> CallOutcome:
    return await Holding(calls, calls.taken, calls.waits, calls.given_back, MUSIC)(cast(Any, line))


@virtual
async def test_somebody_comes_and_the_line_goes_on_without_the_sound_of_waiting() -> None:
    now = asyncio.get_running_loop().time()
    calls, line = Calls(PERSON, CallOutcome("ended", "agent_done"), taken_at=now + 20), Line()
    assert (await held(calls, line)).reason == "agent_done"
    assert calls.runs == 2
    assert 20 <= asyncio.get_running_loop().time() - now < 22
    assert 18 <= len(line.sent) <= 23
    assert set(b"".join(line.sent)) == {0x55}
    assert line.cleared == 1
    assert line.read > 900, "what was said to nobody does not wait for the one who comes"


@virtual
async def test_nobody_comes_and_the_bot_has_them_again_and_knows_why() -> None:
    now = asyncio.get_running_loop().time()
    calls, line = Calls(PERSON, CallOutcome("ended", "goodbye")), Line()
    assert (await held(calls, line)).reason == "goodbye"
    assert asyncio.get_running_loop().time() - now > WAIT_S - 1
    assert (calls.back, line.cleared) == (["cv_1"], 1)
    assert (line.returned, line.resumed) == (TransferFailed(reason="no_answer"), True)


@virtual
async def test_who_leaves_is_waited_for_no_longer_and_who_was_not_given_away_never_waits() -> None:
    calls, line = Calls(PERSON), Line()
    asyncio.get_running_loop().call_later(5, setattr, line, "end", SessionEnd(EndKind.STOP))
    assert await held(calls, line) == PERSON
    sent = len(line.sent)
    assert sent <= 7
    for kind, reason in (("ended", "goodbye"), ("lost", "broken"), ("handoff", "database_down")):
        outcome = CallOutcome(cast(Any, kind), reason)
        fresh = Line()
        assert await held(Calls(outcome), fresh) == outcome
        assert fresh.sent == []


@virtual
async def test_who_waited_when_the_connection_broke_waits_on_and_does_not_begin_again_with_the_bot() -> None:
    now = asyncio.get_running_loop().time()
    calls, line = Calls(CallOutcome("ended", "agent_done"), taken_at=now + 5), Line()
    calls.waited = line.resumed = True
    assert (await held(calls, line)).reason == "agent_done"
    assert asyncio.get_running_loop().time() - now >= 5
    assert (calls.runs, len(line.sent) > 3) == (1, True)
    calls, line = Calls(CallOutcome("ended", "goodbye")), Line()
    line.resumed = True
    assert (await held(calls, line)).reason == "goodbye"
    assert line.sent == [], "the bot had them, and has them again"
