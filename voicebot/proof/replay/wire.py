"""A recorded caller on the local Twilio: a recording in real time over the real wire."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from voicebot.channels.legs import Dtmf, Media
from voicebot.core.conversation import TurnTimings
from voicebot.proof.replay.leg import STAYS_MS
from voicebot.proof.replay.run import RecordedCall
from voicebot.proof.replay.taken import messages_of
from voicebot.proof.replay.turns import ReplayTurn
from voicebot.proof.simulation import LocalTwilio
from voicebot.proof.simulation.call import LocalCall
from voicebot.proof.simulation.ear import FRAME_MS

_SETTLE_S = 5.0


class RecordedEar:
    """`Ear` that says what was recorded, from when the server's media stream began.

    Twilio's own timestamps begin there too, so that every sound has the place that it had.
    """

    def __init__(self, call: RecordedCall) -> None:
        session = call.sessions[0]
        came = messages_of(session)
        self._sound = {m.timestamp_ms // FRAME_MS: m.ulaw for _, m in came if isinstance(m, Media)}
        self._frames = max(self._sound, default=0) + 1
        self._keys = deque((at_ms, m.digit) for at_ms, m in came if isinstance(m, Dtmf))
        self._at = 0
        self._call: LocalCall | None = None

    def hold(self, call: LocalCall) -> None:
        """Takes the phone of this call."""
        self._call = call

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        """See `Ear`: a recorded caller does not listen."""

    def next_frame(self, at_ms: int) -> bytes | None:
        """See `Ear`."""
        call = self._call
        if call is None or call.stream is None or not call.stream.live:
            return None
        number, self._at = self._at, self._at + 1
        while self._keys and self._keys[0][0] <= number * FRAME_MS:
            call.press_key(self._keys.popleft()[1])
        if number * FRAME_MS > self._frames * FRAME_MS + STAYS_MS:
            call.hang_up()
        return self._sound.get(number)


async def phone(call: RecordedCall, twilio: LocalTwilio, url: str) -> LocalCall:
    """Phones a server with the recording; returns when the call is over."""
    ear = RecordedEar(call)
    made = await twilio.phone(f"{url}/twilio/voice", ear=ear, status_callback=f"{url}/twilio/status")
    ear.hold(made)
    try:
        await made.wait_ended()
        await made.settle(_SETTLE_S)
    finally:
        made.hang_up()
    await asyncio.sleep(0)
    return made


def turns_of(conversation: dict[str, Any]) -> list[ReplayTurn]:
    """A conversation as ``/api/conversations/{id}`` gives it."""
    turns: list[ReplayTurn] = []
    for one in conversation["turns"]:
        timings = TurnTimings.model_validate(one["timings"] or {})
        heard = one["heard"] or {}
        ended = timings.turn_ended_ms or timings.committed_ms or 0
        turn = ReplayTurn(one["turn"], ended, one["input"], one["decision"])
        turn.heard, turn.complete, turn.timings = heard.get("text", ""), heard.get("complete"), timings
        turns.append(turn)
    return turns
