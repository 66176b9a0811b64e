"""docs/transfer.md keeps up with the code: every state, every time it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.channels.twilio.transfer.documents import KEY_WAIT_S
from voicebot.core.store.transfers import LEASE_S
from voicebot.handoff.transfer import machine
from voicebot.handoff.transfer.states import State
from voicebot.handoff.transferring import MAX_TRANSFERS

PAGE = " ".join((Path(__file__).parents[2] / "docs" / "transfer.md").read_text().split())


@pytest.mark.parametrize("state", list(State))
def test_every_state_stands_in_the_table(state: State) -> None:
    """As the first thing of a row, alone or with others."""
    assert f"`{state.value}`" in PAGE


def test_figures() -> None:
    """Times and counts the page states are the ones in force."""
    for said in (
        f"{machine.RING_S} s each",
        f"has waited for {machine.GIVE_UP_S:.0f} s",
        f"nothing in {KEY_WAIT_S} s: asked again",
        f"was looked at for {machine.LOST_S:.0f} s",
        f"silent for {machine.NEWS_S:.0f} s is asked about",
        f"whose node is gone ends after {LEASE_S:.0f} s",
        f"not in the room {machine.FETCH_S:.0f} s after the turn",
    ):
        assert said in PAGE, said
    assert (machine.MAX_DESTINATIONS, MAX_TRANSFERS, machine.ASKS, machine.BACK_LIMIT_S) == (4, 3, 2, 300)
    for word in ("Up to four", "three times before", "no key twice", "for five minutes"):
        assert word in PAGE
