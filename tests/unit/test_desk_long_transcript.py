"""A page on which a conversation goes on and on keeps its last lines, and nothing of those that left."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from nicegui import Client, core, ui
from nicegui.page import page

from voicebot.console.desk.client import DeskApi
from voicebot.console.desk.transcript import MOST_LINES, Transcript


class Api:
    """The server as a page sees it: lines two a turn, and what was noted on turns."""

    def __init__(self, lines: int, noted: list[int]) -> None:
        self._lines = lines
        self._noted = noted
        self.early: list[weakref.ref[ui.element]] = []

    async def get(self, agent: str, path: str) -> list[dict[str, Any]]:
        note = {"kind": "note", "value": "other", "who": "ben", "text": "look"}
        return [{**note, "turn": turn} for turn in self._noted]

    async def follow(self, agent: str, conversation: str, after: int) -> AsyncIterator[dict[str, Any]]:
        for n in range(1, self._lines + 1):
            who = "caller" if n % 2 else "bot"
            yield {"id": n, "type": "line", "who": who, "turn": (n + 1) // 2, "text": f"line {n}"}
            if n == 20:
                self.early = [weakref.ref(one) for one in ui.context.client.elements.values()]


@pytest.fixture(autouse=True)
async def runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What draws runs on the loop of a server."""
    monkeypatch.setattr(core, "loop", asyncio.get_running_loop())


async def drawn(api: Api) -> tuple[Client, Transcript]:
    """The page once all lines have come."""
    client = Client(page("/"))
    with client:
        shown = Transcript(cast("DeskApi", api), "ada", "cv_1")
        await shown.run()
    return client, shown


def said(client: Client) -> list[str]:
    """The lines on the page, top to bottom."""
    found = [cast("Any", one).content for one in client.elements.values() if hasattr(one, "content")]
    return [one.split('class="words">')[1].split("<")[0] for one in found if 'class="words">' in one]


def notes(client: Client) -> list[str]:
    """The words of the lines that carry a note."""
    noted = [one for one in client.elements.values() if "noted" in one.classes]
    lines = [next(iter(one.ancestors())) for one in noted]
    return [said_in(line) for line in lines]


def said_in(line: ui.element) -> str:
    """The words of one line."""
    (spans,) = [one for one in line.default_slot.children if hasattr(one, "content")]
    return cast("Any", spans).content.split('class="words">')[1].split("<")[0]


@pytest.mark.parametrize("lines", [MOST_LINES - 1, MOST_LINES, MOST_LINES + 1, MOST_LINES + 251])
async def test_the_last_lines_stay(lines: int) -> None:
    client, _ = await drawn(Api(lines, []))
    assert said(client) == [f"line {n}" for n in range(max(1, lines - MOST_LINES + 1), lines + 1)]


async def test_nothing_holds_a_line_that_left() -> None:
    """Neither the page nor the notes, which know every line that can be noted on."""
    stays, left = Api(100, [3]), Api(MOST_LINES + 100, [3])
    for api, alive in ((stays, True), (left, False)):
        client, shown = await drawn(api)
        gc.collect()
        rows = [one() for one in api.early if one() is not None and "said" in cast("Any", one()).classes]
        assert (len(rows) == 20) is alive
        assert bool(rows) is alive
        del client, shown, rows


async def test_a_turn_half_of_which_has_left_keeps_its_note() -> None:
    """Its last line is the one that carries it, and leaves last."""
    client, _ = await drawn(Api(MOST_LINES + 1, [1, 2]))
    assert notes(client) == ["line 2", "line 4"]
    client, _ = await drawn(Api(MOST_LINES + 2, [1, 2]))
    assert notes(client) == ["line 4"]
