"""``/api/recordings``: calls that are over, each on one timeline with its muted sound, its replay, its marks.

The sound that leaves a node is the muted copy's, whoever asks: where something personal was said there is
silence. Agents see and hear what they may read (`reading.check_may_read`); why a call is worth listening to,
and replays, are for supervisors and programs. Every look and every listening stands in the access log.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Depends, Request
from starlette.requests import HTTPConnection

from voicebot.console.player.detail import add_detail
from voicebot.console.player.golden import add_golden
from voicebot.console.player.listed import add_list
from voicebot.console.player.opening import Player
from voicebot.console.player.replayed import add_replay
from voicebot.console.player.review import add_review
from voicebot.console.player.sound import add_sound
from voicebot.console.readers import Reader


def recordings_router(player: Player, reader: Callable[[HTTPConnection], Reader]) -> APIRouter:
    """All endpoints."""

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api/recordings", dependencies=[Depends(identify)], tags=["recordings"])
    for add in (add_list, add_review, add_detail, add_sound, add_replay, add_golden):
        add(router, player)
    return router
