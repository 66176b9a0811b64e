"""What stands around every page of the desk: where one can go, whether one takes callers, the shortcuts."""

from __future__ import annotations

from nicegui import ui

from voicebot.console.desk import parts
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.look import SCRIPT, STYLE
from voicebot.console.desk.visit import LOOK_S, Visit

PLACES: tuple[tuple[str, str, str, bool], ...] = (
    ("Queue", "/desk", "1", False),
    ("Follow-ups", "/desk/follow-ups", "2", False),
    ("Conversations", "/desk/conversations", "3", False),
    ("Corrections", "/desk/corrections", "4", True),
    ("Insight", "/insight", "5", False),
    ("Recordings", "/recordings", "6", False),
)
"""Name, path, shortcut, whether for supervisors only. A page more in the bar is a line more."""

KEYS = (
    ("?", "this list"),
    *((key, name) for name, _, key, _ in PLACES),
    ("j, k", "next row, row before"),
    ("a", "accept"),
    ("c", "use the suggested reply"),
    ("y, e, r", "approve, change, reject what waits longest"),
    ("x", "decline, give back"),
    ("d", "done"),
    ("n", "note on the last line"),
    ("t", "to the transcript"),
    ("w", "write to the customer of a chat"),
    ("v", "accept and talk, take the call over"),
    ("m", "mute"),
    ("h", "hang up"),
    ("b", "hand back to the bot"),
    ("p", "pause, take callers again"),
    ("Esc", "close a dialog"),
)


def frame(visit: Visit, path: str) -> None:
    """Draws the bar; ``path``: of this page."""
    ui.add_css(STYLE)
    ui.add_head_html(f"<script>{SCRIPT}</script>")
    ui.query("main.q-page").props("role=presentation")  # the page has a main part of its own
    with parts.box("header", "desk-top", role="banner"):
        parts.link("Skip to the page", "#main", "skip")
        parts.text("span", "voicebot desk", "brand")
        with parts.box("nav", "places", aria_label="pages"):
            for name, to, key, supervisors in PLACES:
                if supervisors and not visit.supervisor:
                    continue
                one = parts.link(name, to)
                parts.shortcut(one, key)
                if path == to:
                    one.props["aria-current"] = "page"
        with parts.box("div", "me"):
            _Pause(visit).show()
            parts.text("span", f"{visit.agent.id}, {visit.agent.role}", "who")
            keys = parts.text("button", "?", "act round", type="button", aria_label="keyboard shortcuts")
            keys.on("click", js_handler="() => voicebotDesk.showKeys()")
            with parts.box("form", method="post", action="/desk/sign-out"):
                parts.text("button", "Sign out", "act quiet", type="submit")
    _shortcuts()
    visit.show()


class _Pause:
    """Whether one takes callers: a switch; the desk tells the nodes."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._shown: bool | None = None

    def show(self) -> None:
        self._switch = parts.button("", self._turn, key="p", classes="pause")
        self._switch.props["role"] = "switch"
        self._switch.props["aria-label"] = "take callers"
        self._draw()
        ui.timer(LOOK_S, self._draw)

    def _draw(self) -> None:
        paused = self._visit.agent.id in self._visit.desk.pausing
        if paused == self._shown:
            return
        self._shown = paused
        self._switch.text = "Paused" if paused else "Taking callers"
        self._switch.props["aria-checked"] = "false" if paused else "true"
        self._switch.classes(add="off") if paused else self._switch.classes(remove="off")
        self._switch.update()

    async def _turn(self) -> None:
        paused = self._visit.agent.id in self._visit.desk.pausing
        try:
            await self._visit.desk.be_here(self._visit.agent.id, self._visit.api, paused=not paused)
        except ApiError:
            return  # the line at the bottom says that the server does not answer
        self._draw()


def _shortcuts() -> None:
    with parts.box("dialog", "ask", aria_label="keyboard shortcuts", id="keys"):
        parts.text("h2", "Keyboard shortcuts")
        with parts.box("dl", "keys"):
            for key, what in KEYS:
                with parts.box("dt"):
                    parts.text("kbd", key)
                parts.text("dd", what)
        with parts.box("label", "check"):
            on = parts.box("input", type="checkbox", id="keys-on")
            on.on("change", js_handler="(e) => voicebotDesk.setKeys(e.target.checked)")
            parts.text("span", "Single keys act (all but ?)")
        close = parts.text("button", "Close", "act first", type="button")
        close.on("click", js_handler='() => document.getElementById("keys").close()')
