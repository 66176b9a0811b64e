"""What a page shows when what it is about cannot be had: why, which role it takes, and the way on."""

from __future__ import annotations

from nicegui import ui

from voicebot.console.desk import parts
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.visit import Visit

_AGAIN_S = 3.0
_TITLES = {
    403: "For supervisors",
    404: "There is no such page",
    410: "What was here was erased",
    422: "There is no such page",
}


def draw_trouble(visit: Visit, error: ApiError, path: str) -> None:
    """Into the open element. Where only the server was away, the page comes once ``path`` answers."""
    parts.text("h1", _TITLES.get(error.status, "The server does not answer"))
    parts.text("p", _sentence(visit, error), "card")
    parts.link("To the queue", "/desk")
    if error.status in _TITLES:
        return

    async def again() -> None:
        try:
            await visit.api.get(visit.agent.id, path)
        except ApiError as still:
            if still.status not in _TITLES:
                return
        ui.navigate.reload()

    ui.timer(_AGAIN_S, again)


def _sentence(visit: Visit, error: ApiError) -> str:
    if error.status == 403:
        return f"{error}. You are signed in as {visit.agent.role}."
    if error.status in (404, 422):
        return "It may have been deleted, or the address is not whole."
    return str(error)
