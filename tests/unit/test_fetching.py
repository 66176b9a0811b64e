"""Who waits is fetched in turn, and nobody who was answered meanwhile: a new document would cut them off."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from voicebot.channels.node import NodeState
from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.fetching import AGAIN_S, Fetching

AT = Addresses.at("https://voice.example.com")


class SlowRest:
    """Twilio's REST, answering when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = asyncio.Event()

    async def update_call(self, call_sid: str, **_: Any) -> None:
        self.asked.append(call_sid)
        await self.answers.wait()


def waiting(rest: object, *calls: str) -> tuple[Fetching, NodeState, list[float]]:
    """A node with room, calls that wait, and its clock."""
    node, now = NodeState("n1", max_calls=5), [0.0]
    node.tell()
    services = SimpleNamespace(rest=rest, node=node, clock=lambda: now[0])
    fetching = Fetching(cast("Any", services))
    for since, call in enumerate(calls):
        node.machine.wait(call, float(since))
        fetching.waits(call, AT, since)
    return fetching, node, now


async def test_who_was_answered_while_rest_took_its_time_is_left_alone() -> None:
    rest = SlowRest()
    fetching, node, _ = waiting(rest, "CA1", "CA2", "CA3")
    looking = asyncio.create_task(fetching.tick())
    while not rest.asked:
        await asyncio.sleep(0)
    fetching.gone("CA2")  # its music ended: it asked this node by itself, and has been connected
    node.machine.redeem("CA3")  # it asked another node
    rest.answers.set()
    await looking
    assert rest.asked == ["CA1"]


async def test_who_does_not_ask_is_fetched_again_after_a_while() -> None:
    rest = SlowRest()
    rest.answers.set()
    fetching, _, now = waiting(rest, "CA1")
    for at_s in (0.0, AGAIN_S - 0.1, AGAIN_S):
        now[0] = at_s
        await fetching.tick()
    assert rest.asked == ["CA1", "CA1"]


async def test_without_credentials_nobody_is_kept_who_has_gone() -> None:
    fetching, node, _ = waiting(None, "CA1", "CA2")
    node.machine.redeem("CA1")
    await fetching.tick()
    assert list(fetching._here) == ["CA2"]
