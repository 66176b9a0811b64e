"""A call without media is never left in silence, and in doubt it reaches a person."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from voicebot.channels.twilio.media import CallOutcome, EndKind, SessionEnd
from voicebot.channels.twilio.resumption import (
    ASKING_S,
    CONNECT_WAIT_S,
    GRACE_S,
    MAX_PUSHES,
    MAX_SESSIONS,
    MAX_UNMET,
    NO_WORD_S,
    PAYING_WAIT_S,
    QUEUE_S,
    Answer,
    Asked,
    CallState,
    Lost,
    Rescue,
    Standing,
    Step,
    answer,
    rescue,
)
from voicebot.channels.twilio.settlement import Settlement, settle

PERSON = Answer.APOLOGISE_AND_DIAL


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Asked("unknown", new=True), Answer.CONNECT),
        (Asked("unknown", new=True, room=False), PERSON),
        (Asked("unknown", new=True, room=False, when_full="busy"), Answer.BUSY),
        (Asked("unknown", new=True, room=False, when_full="queue"), Answer.QUEUE),
        (Asked("unknown", new=True, room=False, when_full="queue", queued_s=QUEUE_S - 1), Answer.QUEUE),
        (Asked("unknown", new=True, room=False, when_full="queue", queued_s=QUEUE_S), PERSON),
        (Asked("unknown", new=True, room=False, when_full="busy", queued_s=5), PERSON),  # taken already
        (Asked("unknown", new=True, room=True, when_full="queue", queued_s=30), Answer.CONNECT),
        (Asked("unknown", new=True, room=False, when_full="queue", bot_on=False), PERSON),
        (Asked("unknown", new=True, room=False, when_full="queue", failed=True), PERSON),
        (Asked("unknown", room=False, when_full="busy"), PERSON),
        (Asked("live", new=True, room=False, when_full="busy"), Answer.CONNECT),
        (Asked("unknown", new=True, bot_on=False), PERSON),
        (Asked("unknown", new=True, database=False), PERSON),
        (Asked("unknown", new=True, failed=True), PERSON),
        (Asked("unknown"), PERSON),
        (Asked("live"), Answer.CONNECT),
        (Asked("live", new=True), Answer.CONNECT),
        (Asked("live", room=False), Answer.CONNECT),
        (Asked("live", bot_on=False), PERSON),
        (Asked("live", failed=True), PERSON),
        (Asked("live", sessions=MAX_SESSIONS - 1), Answer.CONNECT),
        (Asked("live", sessions=MAX_SESSIONS), PERSON),
        (Asked("live", unmet=MAX_UNMET - 1), Answer.CONNECT),
        (Asked("live", unmet=MAX_UNMET), PERSON),
        (Asked("handoff"), Answer.DIAL),
        (Asked("handoff", database=False), Answer.DIAL),
        (Asked("ended"), Answer.HANG_UP),
        (Asked("ended", failed=True), Answer.HANG_UP),
        (Asked("unknown", database=False, decided="ended"), Answer.HANG_UP),
        (Asked("unknown", database=False, decided="handoff"), Answer.DIAL),
        (Asked("live", decided="handoff"), Answer.DIAL),
        (Asked("live", decided="ended"), Answer.HANG_UP),
        (Asked("live", paying=True), Answer.PAY),
        (Asked("live", paying=True, sessions=MAX_SESSIONS), Answer.PAY),
        (Asked("live", paying=True, failed=True), PERSON),
        (Asked("live", paying=True, bot_on=False), PERSON),
        (Asked("ended", paying=True), Answer.HANG_UP),
    ],
)
def test_what_twiml_a_call_gets(facts: Asked, expected: Answer) -> None:
    """One row per situation."""
    assert answer(facts) is expected


def test_the_bot_only_takes_a_call_it_may_take() -> None:
    """Over all facts: CONNECT needs the database, the switch, and a conversation that is the bot's."""
    flags = (False, True)
    for standing, database, bot_on, new, room, failed in product(
        get_args(Standing), flags, flags, flags, flags, flags
    ):
        facts = Asked(standing, database, bot_on, new, room, failed=failed)
        if answer(facts) is Answer.CONNECT:
            assert database
            assert bot_on
            assert not failed
            assert standing == "live" or (standing == "unknown" and new and room)


LOST = Lost(standing="live", step="media", waited_s=GRACE_S)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        # the next verb or the status callback may still come by itself
        (replace(LOST, waited_s=0.0), Rescue.WAIT),
        # then Twilio is asked whether the call still runs
        (LOST, Rescue.ASK),
        (replace(LOST, call="in_progress"), Rescue.PUSH),
        (replace(LOST, call="over"), Rescue.FINISH),
        (replace(LOST, call="over", waited_s=0.0), Rescue.FINISH),
        # a handoff or an end whose verb never ran is pushed as well
        (replace(LOST, standing="handoff", call="in_progress"), Rescue.PUSH),
        (replace(LOST, standing="ended", call="in_progress"), Rescue.PUSH),
        # somebody has the call
        (replace(LOST, socket="flowing"), Rescue.NOTHING),
        (replace(LOST, socket="elsewhere"), Rescue.NOTHING),
        (replace(LOST, step="forwarded"), Rescue.NOTHING),
        (replace(LOST, step="forwarded", call="in_progress"), Rescue.NOTHING),
        # a socket that is open but silent is no socket
        (replace(LOST, socket="quiet", call="in_progress"), Rescue.PUSH),
        # TwiML that connects was given: longer patience, unless Twilio says the stream failed
        (replace(LOST, step="connecting", waited_s=CONNECT_WAIT_S - 1), Rescue.WAIT),
        (replace(LOST, step="connecting", waited_s=CONNECT_WAIT_S), Rescue.ASK),
        (replace(LOST, step="connecting", failed=True), Rescue.ASK),
        (replace(LOST, step="connecting", failed=True, waited_s=0.0), Rescue.WAIT),
        # a card is being taken: nobody calls the caller away from it; then it is looked at
        (replace(LOST, step="paying", waited_s=PAYING_WAIT_S - 1), Rescue.WAIT),
        (replace(LOST, step="paying", waited_s=PAYING_WAIT_S), Rescue.ASK),
        (replace(LOST, step="paying", waited_s=PAYING_WAIT_S, call="in_progress"), Rescue.PUSH),
        (replace(LOST, step="paying", waited_s=0.0, call="over"), Rescue.FINISH),
        # it is not tried for ever
        (replace(LOST, call="in_progress", pushes=MAX_PUSHES), Rescue.NOTHING),
        # Twilio's REST API does not answer
        (replace(LOST, waited_s=ASKING_S - 1), Rescue.ASK),
        (replace(LOST, waited_s=ASKING_S), Rescue.FINISH),
        # no credentials
        (replace(LOST, can_ask=False), Rescue.WAIT),
        (replace(LOST, can_ask=False, waited_s=NO_WORD_S), Rescue.FINISH),
        (replace(LOST, can_ask=False, standing="ended"), Rescue.NOTHING),
        (replace(LOST, can_ask=False, standing="handoff", waited_s=NO_WORD_S), Rescue.NOTHING),
    ],
)
def test_what_is_done_for_a_call_that_has_not_asked(facts: Lost, expected: Rescue) -> None:
    """One row per situation."""
    assert rescue(facts)[0] is expected


def test_waiting_ends() -> None:
    """Over all facts: a wait has a length, and after it the same facts ask for something else."""
    steps, states = get_args(Step), get_args(CallState)
    sockets = ("none", "flowing", "quiet", "elsewhere")
    for standing, step, call, socket, can_ask, failed in product(
        get_args(Standing), steps, states, sockets, (False, True), (False, True)
    ):
        facts = Lost(standing, step, 0.0, socket, call, can_ask, failed=failed)
        for _ in range(4):
            what, wait_s = rescue(facts)
            if what is not Rescue.WAIT:
                break
            assert wait_s > 0
            facts = replace(facts, waited_s=facts.waited_s + wait_s)
        else:
            pytest.fail(f"waits for ever: {facts}")


AWAY = CallOutcome("away", "payment")
ENDED, HANDOFF, LOST_OUTCOME = (
    CallOutcome("ended", "goodbye"),
    CallOutcome("handoff", "asked_for_person"),
    CallOutcome("lost", "socket_over"),
)


@pytest.mark.parametrize(
    ("kind", "outcome", "local", "expected"),
    [
        (None, ENDED, False, Settlement.ENDED),
        (None, HANDOFF, False, Settlement.HANDOFF),
        (None, LOST_OUTCOME, False, Settlement.OPEN),
        (None, None, False, Settlement.OPEN),
        (EndKind.STOP, LOST_OUTCOME, False, Settlement.OPEN),
        (EndKind.STOP, CallOutcome("ended", "stop"), False, Settlement.OPEN),
        (EndKind.STOP, HANDOFF, False, Settlement.HANDOFF),
        (EndKind.STOP, LOST_OUTCOME, True, Settlement.ENDED),
        (EndKind.BROKEN, LOST_OUTCOME, False, Settlement.OPEN),
        (EndKind.BROKEN, LOST_OUTCOME, True, Settlement.OPEN),
        (EndKind.BROKEN, ENDED, False, Settlement.ENDED),
        (EndKind.BROKEN, HANDOFF, False, Settlement.HANDOFF),
        (EndKind.PEER_CLOSED, LOST_OUTCOME, False, Settlement.OPEN),
        (EndKind.REFUSED, LOST_OUTCOME, False, Settlement.OPEN),
        (EndKind.CALL_OVER, LOST_OUTCOME, False, Settlement.ENDED),
        (EndKind.CALL_OVER, None, False, Settlement.ENDED),
        (EndKind.TAKEN_OVER, ENDED, False, Settlement.NOT_OURS),
        (EndKind.TAKEN_OVER, None, False, Settlement.NOT_OURS),
        (EndKind.CLOSED, ENDED, False, Settlement.ENDED),
        (None, AWAY, False, Settlement.AWAY),
        (None, AWAY, True, Settlement.ENDED),  # nobody asks for TwiML there
        (EndKind.STOP, AWAY, False, Settlement.OPEN),
        (EndKind.BROKEN, AWAY, False, Settlement.AWAY),
    ],
)
def test_what_the_end_of_a_session_means(
    kind: EndKind | None, outcome: CallOutcome | None, local: bool, expected: Settlement
) -> None:
    """The pipeline's word and the socket's end, together."""
    end = SessionEnd(kind) if kind is not None else None
    assert settle(end, outcome, local=local)[0] is expected
