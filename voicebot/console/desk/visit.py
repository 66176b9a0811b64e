"""One open page of one agent: what it may do now, and what it says when something is amiss."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from nicegui import ui
from nicegui.events import GenericEventArguments

from voicebot.console.desk import parts
from voicebot.handoff.people import Agent

if TYPE_CHECKING:
    from voicebot.console.desk.sessions import Session
    from voicebot.console.desk.site import Desk

LOOK_S = 2.0
"""A session that is over, a pause and a lost server are shown this soon."""

_AWAY = "The server does not answer. Calls go on without this page, which tries again by itself."
_BACK = "The server answers again."
_BACK_S = 4.0


class Visit:
    """Made for every page that is opened. Implements `voicebot.console.desk.client.Gate`.

    Attributes:
        agent: whose page it is, as listed when it was opened.
        api: the REST API as this page may use it.
        ticket: names this page in the form that signs in again.
    """

    def __init__(self, desk: Desk, agent: Agent, session: Session) -> None:
        self.desk = desk
        self.agent = agent
        self.api = desk.api.through(self)
        self.ticket = secrets.token_urlsafe(16)
        self._session = session
        self._reached = True
        self._back_for_s = 0.0
        self._asked = False

    @property
    def supervisor(self) -> bool:
        """Whether the agent is one."""
        return self.agent.role == "supervisor"

    def closed(self) -> str | None:
        """Why nothing is done in the agent's name now."""
        if self.desk.people.agent(self.agent.id) is None:
            return "You are not on the list of agents any more. Ask whoever keeps business/people.yaml."
        if not self.desk.goes_on(self._session):
            return "Your session is over. Sign in again to go on; what you typed is still here."
        return None

    def goes_on(self, before: Session, session: Session) -> None:
        """Who had this page open under ``before`` has signed in anew in the same browser: as the same agent,
        or the page asks who they are.
        """
        if self._session.id == before.id and session.agent == self.agent.id:
            self._session = session

    def reached(self, reached: bool) -> None:
        """The server was there, or not."""
        if reached != self._reached:
            self._reached = reached
            self._back_for_s = _BACK_S if reached else 0.0

    def show(self) -> None:
        """Draws what is seen when something is amiss, and keeps looking."""
        self._line = parts.text("p", "", "line", role="status")
        with parts.box("dialog", "ask", aria_label="sign in again", id="again") as self._dialog:
            parts.text("h2", "Sign in again")
            self._why = parts.text("p", "")
            self._form = self._sign_in_form()
            parts.link("To the page for signing in", "/desk/sign-in")
        self._dialog.on("cancel", js_handler="(e) => e.preventDefault()")
        ui.timer(LOOK_S, self._look)

    def _sign_in_form(self) -> ui.element:
        form = parts.box("form", "stack")
        with form:
            parts.box("input", type="hidden", name="name", value=self.agent.id)
            parts.box("input", type="hidden", name="ticket", value=self.ticket)
            if not self.desk.open_here:
                with parts.box("label", "field"):
                    parts.text("span", f"Key of {self.agent.id}")
                    key = parts.box("input", type="password", name="key", autocomplete="current-password")
                    key.props["required"] = True
            self._wrong = parts.alert()
            parts.submit("Sign in")
        form.on(
            "submit",
            self._tried,
            js_handler="(e) => { e.preventDefault(); voicebotDesk.signIn(e.target).then(emit) }",
        )
        return form

    def _tried(self, event: GenericEventArguments) -> None:
        session = self.desk.renewed.pop(self.ticket, None)
        if session is None or event.args is not True:
            self._wrong.text = "That key is not yours. Try again."
            return
        self._wrong.text = ""
        self._session = session
        self._look()

    def _look(self) -> None:
        closed = self.closed()
        if (closed is not None) != self._asked:
            self._asked = closed is not None
            self._why.text = closed or ""
            self._form.set_visibility(self.desk.people.agent(self.agent.id) is not None)
            self._dialog.client.run_javascript(
                f"voicebotDesk.ask(document.getElementById('again'), {str(self._asked).lower()})"
            )
        self._back_for_s = max(0.0, self._back_for_s - LOOK_S)
        self._line.text = _AWAY if not self._reached else _BACK if self._back_for_s > 0 else ""
        self._line.classes(replace=f"line {'bad' if not self._reached else 'well'}")
