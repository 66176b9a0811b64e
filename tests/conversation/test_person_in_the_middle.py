"""Whoever wants a person need not hear the bot out: words or a key end the answer, and the turn is theirs."""

from __future__ import annotations

from pathlib import Path

from test_phone_overlaps import ANSWER, a_call
from virtual_time import virtual

from voicebot.core.conversation import Keys
from voicebot.safety.triggers.wishes import by_key, says_so


@virtual
async def test_words_that_ask_for_a_person_take_the_turn(tmp_path: Path) -> None:
    async with a_call(tmp_path, "let me talk to somebody please") as caller:
        await caller.is_quiet(400)
        await caller.speaks(900)
        await caller.is_quiet(700)
        (turn,) = caller.dialogue.turns
        assert says_so(turn.text)
        assert caller.verdicts == ["interruption"]
        (spoken,) = caller.dialogue.spoken
        assert spoken.text != ANSWER


@virtual
async def test_key_zero_silences_the_bot_and_is_a_turn_of_its_own(tmp_path: Path) -> None:
    """Silent at once; a turn as soon as no second key follows."""
    async with a_call(tmp_path) as caller:
        await caller.is_quiet(400)
        caller.press("0")
        await caller.is_quiet(200)
        assert caller.silent_ms > 100
        await caller.is_quiet(700)
        (turn,) = caller.dialogue.turns
        assert isinstance(turn, Keys)
        assert by_key(turn.digits) is not None
