"""``/recordings/{id}``: one call on one timeline, to look at and to listen to; its replay beside it; marks.

The waveform, the timeline and the transcript are drawn in the browser (`player.js`) from what the nodes tell.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from typing import Any

from nicegui import background_tasks, ui
from nicegui.events import GenericEventArguments

from voicebot.console.desk import parts, replay_view, words
from voicebot.console.desk.client import ApiError
from voicebot.console.desk.look import PLAYER_SCRIPT, PLAYER_STYLE
from voicebot.console.desk.notes import Notes
from voicebot.console.desk.replay_view import Beside, Cell
from voicebot.console.desk.trouble import draw_trouble
from voicebot.console.desk.visit import Visit
from voicebot.console.player.worth import REASONS, WORDS

_AS = (("local", "As it hears today"), ("recorded", "As it was heard then"))
_AFTER = (("", "As it was"), ("continue", "It goes on"), ("hand_over", "To a person"), ("hang_up", "Goodbye"))
_SAID_S = 8.0
PLAYER_KEYS = (
    ("Space", "play, pause"),
    ("← →", "5 s back, on"),
    ("Shift + ← →", "to the turn before, to the next"),
    ("+ -", "nearer, further"),
)


class PlayerPage:
    """One call."""

    def __init__(self, visit: Visit, conversation_id: str) -> None:
        self._visit = visit
        self._agent = visit.agent.id
        self._id = conversation_id
        self._path = f"/api/recordings/{conversation_id}"
        self._wanted = ui.context.client.request.query_params.get("session", "")

    async def show(self) -> None:
        """Draws the page."""
        ui.add_css(PLAYER_STYLE)
        ui.add_head_html(f"<script>{PLAYER_SCRIPT}</script>")
        with parts.box("main", "desk recordings", id="main"):
            try:
                one = await self._visit.api.get(self._agent, self._path)
            except ApiError as error:
                draw_trouble(self._visit, error, self._path)
                return
            self._head(one)
            if one["kept"] != "here":
                text = (
                    "It was removed, or another machine took the call. Its words stand in the conversation."
                )
                parts.text("p", text, "card")
                return
            sessions = one["sessions"]
            chosen = next((s for s in sessions if s["name"] == self._wanted), sessions[0])
            if len(sessions) > 1:
                self._tabs(sessions, chosen)
            _faults(chosen)
            if chosen["error"] is not None:
                return
            await self._session(one, chosen)

    def _head(self, one: dict[str, Any]) -> None:
        about = words.plain(one["intent"] or "") or "a call"
        with parts.box("div", "headline"):
            with parts.box("div"):
                parts.text(
                    "h1", f"{about.capitalize()}, {words.moment(one['created_at']):%d %B %Y, %H:%M} UTC"
                )
                with parts.box("p", "tags"):
                    for text in _tags(one):
                        parts.text("span", text, "tag")
                    for reason in REASONS:
                        if reason in one["reasons"]:
                            parts.text("span", WORDS[reason], "tag alarm")
            with parts.box("div", "actions"):
                parts.link("Conversation", f"/desk/conversations/{self._id}", "act")
                parts.link("All recordings", "/recordings", "act")

    def _tabs(self, sessions: list[dict[str, Any]], chosen: dict[str, Any]) -> None:
        with parts.box("nav", "chips", aria_label="sessions"):
            for number, one in enumerate(sessions, 1):
                text = f"Session {number}: {one['ms'] / 1000:.0f} s"
                link = parts.link(text, f"/recordings/{self._id}?session={one['name']}", "chip")
                if one is chosen:
                    link.props["aria-current"] = "true"

    async def _session(self, one: dict[str, Any], chosen: dict[str, Any]) -> None:
        base = f"/recordings/{self._id}/sessions/{chosen['name']}"
        _player(base, chosen)
        with parts.box("div", "call listen"):
            with parts.card("Transcript", "transcript"):
                log = parts.box("div", "script", id="script", data_base=base)
            with parts.box("div"):
                Replay(self._visit, self._path).draw()
                _keys()
        notes = Notes(self._visit.api, self._agent, self._id, self._marked)
        notes.heed(log)
        Golden(self._visit, self._path).heed(log)
        await notes.read()

    def _marked(self, rows: list[dict[str, Any]]) -> None:
        said = [
            {
                "turn": row["turn"],
                "text": f"{words.note(row['value'])} ({row['who']})",
                "more": row["text"] or "",
            }
            for row in rows
            if row["kind"] == "note" and row["turn"] is not None
        ]
        ui.context.client.run_javascript(f"voicebotPlayer.marked({json.dumps(said)})")


def _tags(one: dict[str, Any]) -> list[str]:
    found = [one["channel"], words.lasted(one["created_at"], one["ended_at"]), words.ended(one["end_reason"])]
    if one["resolution"]:
        found.append(words.plain(one["resolution"]))
    if one["trigger"]:
        found.append(f"to a person: {words.plain(one['trigger'])}")
    if one["csat"] is not None:
        found.append(f"rated {one['csat']} of 5")
    return found


def _faults(chosen: dict[str, Any]) -> None:
    told = [chosen["error"]] if chosen["error"] else []
    told += [f"{one['text']} (at {one['at_ms'] / 1000:.1f} s)" for one in chosen["problems"]]
    if not told:
        return
    with parts.card("What is wrong with this recording", "faults", name="faults"):
        for text in told:
            parts.text("p", f"{text[:1].upper()}{text[1:]}")


def _player(base: str, chosen: dict[str, Any]) -> None:
    """The frame that `player.js` fills."""
    attributes = {"id": "player", "data_base": base, "data_ms": str(chosen["ms"])}
    attributes["data_sound"] = "1" if chosen["sound"] else ""
    with parts.box("section", "card player", aria_label="player", **attributes):
        with parts.box("div", "deck"):
            play = parts.text("button", "Play", "act first play", type="button", data_do="play")
            play.props["aria-keyshortcuts"] = "Space"
            for do, sign, label in (
                ("turn-back", "◀ Turn", "to the turn before"),
                ("back", "−5 s", "5 seconds back"),
                ("on", "+5 s", "5 seconds on"),
                ("turn-on", "Turn ▶", "to the next turn"),
            ):
                parts.text("button", sign, "act", type="button", data_do=do, aria_label=label)
            parts.text("output", "0:00.0", "clock", id="clock")
            with parts.box("label", "small-field"):
                parts.text("span", "Speed")
                with parts.box("select", id="speed"):
                    for rate in ("0.5", "0.75", "1", "1.25", "1.5", "2"):
                        option = parts.text("option", f"{rate}x", value=rate)
                        if rate == "1":
                            option.props["selected"] = True
            with parts.box("label", "small-field"):
                parts.text("span", "Hear")
                with parts.box("select", id="hear"):
                    for value, text in (("both", "both"), ("caller", "the caller"), ("bot", "the bot")):
                        parts.text("option", text, value=value)
            with parts.box("span", "zoom"):
                for do, sign, label in (
                    ("out", "−", "further"),
                    ("fit", "Whole", "the whole call"),
                    ("in", "+", "nearer"),
                ):
                    parts.text("button", sign, "act", type="button", data_do=do, aria_label=label)
            with parts.box("label", "tick"):
                follow = parts.box("input", type="checkbox", id="follow")
                follow.props["checked"] = True
                parts.text("span", "Follow")
        with parts.box("div", "lanes"):
            parts.box("div", "names", aria_hidden="true")
            with parts.box("div", "scroller", tabindex="0", role="slider", id="scroller") as scroller:
                scroller.props["aria-label"] = "place in the call; the transcript says what is where"
                with parts.box("div", "wide"):
                    parts.box("canvas", "", aria_hidden="true")
        parts.text("p", "", "tip", aria_hidden="true")
        parts.text("p", "", "alarm", role="alert", id="player-alarm")
        if chosen["sound"]:
            sound = parts.box("audio", "", id="sound", preload="metadata", src=f"{base}/sound")
            sound.props["aria-label"] = "the call, silent where something personal was said"


def _keys() -> None:
    with parts.card("By keyboard", "small"), parts.box("dl", "keys"):
        for key, what in PLAYER_KEYS:
            with parts.box("dt"):
                parts.text("kbd", key)
            parts.text("dd", what)


class Golden:
    """A turn as a golden case: one dialog for all of them."""

    def __init__(self, visit: Visit, path: str) -> None:
        self._visit = visit
        self._path = path
        self._turn: int | None = None
        with parts.box("dialog", "ask", aria_label="golden case", id="golden") as self._dialog:
            parts.text("h2", "Propose as a golden case")
            soft = "What should have come of this turn? It counts when somebody else has accepted it."
            parts.text("p", soft, "soft")
            self._quote = parts.text("blockquote", "", "soft")
            with parts.form(self._send, "stack"):
                with parts.box("label", "field"):
                    parts.text("span", "Intent")
                    parts.box("input", name="intent", maxlength="80", pattern="[a-z0-9_]*")
                parts.choice("after", "And then?", _AFTER)
                with parts.box("label", "field"):
                    parts.text("span", "It must say (a phrase)")
                    parts.box("input", name="says", maxlength="200")
                with parts.box("label", "field"):
                    parts.text("span", "It must never say (a phrase)")
                    parts.box("input", name="never_says", maxlength="200")
                parts.area("why", "Why")
                self._wrong = parts.alert()
                with parts.box("div", "actions"):
                    parts.submit("Propose")
                    cancel = parts.text("button", "Cancel", "act", type="button")
                    cancel.on("click", js_handler="(e) => e.target.closest('dialog').close()")
        self._notice = parts.text("p", "", "notice", role="status")

    def heed(self, log: ui.element) -> None:
        """Opens the dialog for the turn whose button was pressed within ``log``."""
        log.on(
            "click",
            self._ask,
            js_handler="(e) => { const b = e.target.closest('[data-golden]');"
            " if (b) emit([Number(b.dataset.golden), b.dataset.intent, b.dataset.quote]) }",
        )

    def _ask(self, event: GenericEventArguments) -> None:
        turn, intent, quote = event.args
        self._turn = int(turn)
        self._quote.text = str(quote)[:200]
        self._wrong.text = self._notice.text = ""
        fill = f"document.querySelector('#golden [name=intent]').value = {json.dumps(str(intent))}"
        self._dialog.client.run_javascript(
            "document.querySelector('#golden form').reset(); document.querySelector('#golden [name=after]')"
            f".checked = true; {fill}; voicebotDesk.ask(document.getElementById('golden'), true)"
        )

    async def _send(self, given: parts.Filled) -> None:
        if self._turn is None:
            return
        expect: dict[str, Any] = {name: given[name] for name in ("intent", "after") if given.get(name)}
        expect |= {name: [given[name]] for name in ("says", "never_says") if given.get(name)}
        body: dict[str, Any] = {"expect": expect} | ({"why": given["why"]} if given.get("why") else {})
        try:
            await self._visit.api.post(self._agent, f"{self._path}/turns/{self._turn}/golden", body)
        except ApiError as error:
            self._wrong.text = f"Not proposed: {error}"
            return
        self._notice.text = "Proposed. It stands under Corrections until somebody else has reviewed it."
        self._dialog.client.run_javascript("document.getElementById('golden').close()")
        ui.timer(_SAID_S, self._hush, once=True)

    def _hush(self) -> None:
        self._notice.text = ""

    @property
    def _agent(self) -> str:
        return self._visit.agent.id


class Replay:
    """The call through today's code, beside the call as it was. It ends when the page goes."""

    def __init__(self, visit: Visit, path: str) -> None:
        self._visit = visit
        self._path = path
        self._task: asyncio.Task[None] | None = None

    def draw(self) -> None:
        """The card; where it is not for this agent, who it is for."""
        with parts.card("Through today's code", "again", name="replay"):
            if not self._visit.supervisor:
                parts.text("p", "Supervisors can run the call again and compare.", "soft")
                return
            soft = "The same caller, heard and answered by the bot as it is now. Nothing is changed anywhere."
            parts.text("p", soft, "soft")
            with parts.form(self._begin, "stack"):
                parts.choice("engines", "The caller's words", _AS, chosen="local")
                with parts.box("div", "actions"):
                    self._run = parts.submit("Run again")
                    self._cancel = parts.button("Cancel", self._stop)
            self._bar = parts.box("progress", "", max="1", aria_label="progress of the replay")
            self._said = parts.text("p", "", "", role="status")
            self._found = parts.box("div", "beside")
        self._running(False)
        ui.context.client.on_delete(self._end)

    def _running(self, running: bool) -> None:
        self._cancel.set_visibility(running)
        self._bar.set_visibility(running)
        self._run.set_visibility(not running)

    async def _begin(self, given: parts.Filled) -> None:
        if self._task is None or self._task.done():
            self._found.clear()
            self._task = background_tasks.create(self._follow(given.get("engines") or "local"), name="replay")

    async def _stop(self) -> None:
        self._end()
        self._running(False)
        self._said.text = "Cancelled."

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _follow(self, engines: str) -> None:
        self._running(True)
        self._said.text = "It is being prepared: a database of its own, the bot's models."
        self._bar.props.pop("value", None)
        self._bar.update()
        try:
            told = self._visit.api.events(
                self._visit.agent.id, f"{self._path}/replay?engines={engines}", "POST"
            )
            async with aclosing(told):
                async for one in told:
                    self._tell(one)
        except ApiError as error:
            self._said.text = f"Not run: {error}"
        finally:
            with suppress(RuntimeError):  # the page may be gone
                self._running(False)

    def _tell(self, one: dict[str, Any]) -> None:
        match one["type"]:
            case "progress" if one["at_ms"] is not None:
                self._bar.props["value"] = f"{one['at_ms'] / max(1, one['of_ms']):.3f}"
                self._bar.update()
                self._said.text = f"{one['at_ms'] / 1000:.0f} of {one['of_ms'] / 1000:.0f} s of the call"
            case "failed":
                self._said.text = f"It could not be run: {one['why']}"
            case "report":
                self._said.text = replay_view.summary(one["call"])
                self._show(one["call"])
            case _:
                pass

    def _show(self, call: dict[str, Any]) -> None:
        with self._found:
            for note in (*(one["text"] for one in call["problems"]), *call["notes"]):
                parts.text("p", f"{note[:1].upper()}{note[1:]}.", "soft small")
            for one in replay_view.beside(call):
                _turn_beside(one)


def _turn_beside(one: Beside) -> None:
    with parts.box("details", "pair differs" if one.differs else "pair") as made:
        if one.differs:
            made.props["open"] = True
        told = {"then": "only then", "now": "only now"}.get(one.only) or (
            "differs" if one.differs else "same"
        )
        with parts.box("summary"):
            parts.text("span", f"Turn {one.number}")
            parts.text("span", told, "tag alarm" if one.differs else "tag good")
        if one.at_ms is not None:
            parts.text("button", "Listen", "act tiny", type="button", data_seek=str(max(0, one.at_ms - 3000)))
        with parts.box("table"):
            with parts.box("thead"), parts.box("tr"):
                for title in ("", "Then", "Now"):
                    parts.text("th", title, scope="col")
            with parts.box("tbody"):
                for cell in one.cells:
                    _cell(cell)


def _cell(cell: Cell) -> None:
    with parts.box("tr", "differs" if cell.differs else ""):
        parts.text("th", cell.name, scope="row")
        if not cell.pieces:
            parts.text("td", cell.was)
            parts.text("td", cell.now)
            return
        for gone in (True, False):
            with parts.box("td", "diff"):
                for piece in cell.pieces:
                    if piece.kind == ("new" if gone else "gone"):
                        continue
                    tag = "span" if piece.kind == "same" else "del" if gone else "ins"
                    parts.text(tag, f"{piece.text} ")
