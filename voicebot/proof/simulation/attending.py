"""``<Dial><Conference>``: one leg's time in a room, from the music before it to what it goes on with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .asides import fetch_aside
from .conference import Conference, NotJoined, Participant
from .reading import TwimlError
from .room import LeftBecause
from .verbs import HOLD_MUSIC, ConferenceRoom, Dial, Document, Jump
from .webhooks import Answer, WebhookError

if TYPE_CHECKING:
    from .call import LocalCall


@dataclass(frozen=True)
class Attendance:
    """What came of it. ``form``: for the ``action``; None: go on with the next verb."""

    form: dict[str, str] | None
    ends_call: bool = False
    """The leg has nothing to go on with: REST dialled it for the room."""


async def attend(
    call: LocalCall, verb: Dial, spec: ConferenceRoom, left_by: Callable[[], LeftBecause]
) -> Attendance:
    """Takes part until the leg or the room is over.

    ``left_by``: why the leg leaves, asked when this is cancelled.
    """
    try:
        participant, conference = await _join(call, spec)
    except NotJoined as refused:
        call.log.notify(refused.code, f"not joined: {refused}", protocol=refused.code != 13233)
        call.not_joined(spec.name)
        return Attendance({"DialCallStatus": "failed"} if refused.goes_on == "action" else None)
    star: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def spoke(frame: bytes) -> None:
        conference.spoke(call.call_sid, frame)

    def pressed(digit: str) -> None:
        if digit == "*" and verb.hangup_on_star and not star.done():
            star.set_result(None)

    line = call.line
    line.sound = participant.sound
    line.listeners.append(spoke)
    call.key_listeners.append(pressed)
    why: LeftBecause | None = None
    try:
        await asyncio.wait(
            {participant.gone, star}, timeout=verb.time_limit_s, return_when=asyncio.FIRST_COMPLETED
        )
        why = "participant_hung_up"
    finally:
        line.listeners.remove(spoke)
        call.key_listeners.remove(pressed)
        if line.sound is participant.sound:
            line.sound = None
        status = "completed" if call.leaving_for_good else call.status
        conference.leave(call.call_sid, why or left_by(), call_status=status)
    taken_out = participant.gone.result() in ("participant_updated_via_api", "conference_ended_via_api")
    ends = participant.by_rest or (taken_out and call.options.kicked_leg == "ends")
    return Attendance({"DialCallStatus": "answered"}, ends_call=ends)


async def _join(call: LocalCall, spec: ConferenceRoom) -> tuple[Participant, Conference]:
    conference = call.conference(spec.name)
    music = None
    if conference is None or conference.waits_with(spec):
        music = await _first_music(call, spec)
        conference = call.conference(spec.name)
    if conference is None:
        if spec.coach is not None:
            raise NotJoined(13240, "the leg to coach is in no conference")
        conference = call.open_conference(spec.name)
    return conference.join(call, spec, music), conference


async def _first_music(call: LocalCall, spec: ConferenceRoom) -> Document | None:
    """Asked for before joining: whose music cannot be had does not join."""
    if spec.wait is None or spec.wait is HOLD_MUSIC:
        return None

    async def ask(jump: Jump) -> Answer:
        return await call.request(jump, {}, purpose="music")

    try:
        return await fetch_aside(spec.wait, ask)
    except (WebhookError, TwimlError) as error:
        call.log.notify(error.code, str(error), protocol=isinstance(error, TwimlError))
        raise NotJoined(13233, f"waitUrl: {error}") from error
