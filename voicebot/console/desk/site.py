"""The desk's site: sign-in, and the pages behind it. NiceGUI on FastAPI; it holds the state of its pages."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from html import escape
from typing import Annotated

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from nicegui import ui
from pydantic import SecretStr

from voicebot.console.desk import parts
from voicebot.console.desk.call_page import HandoffPage, LivePage
from voicebot.console.desk.client import DeskApi
from voicebot.console.desk.look import STYLE
from voicebot.console.desk.queue_page import QueuePage
from voicebot.console.desk.sessions import COOKIE, LASTS, Sessions
from voicebot.console.readers import agent_key
from voicebot.handoff.people import Agent, People

Now = Callable[[], datetime]


class Desk:
    """What the pages need.

    Args:
        people: who may sign in, and in which role.
        api: of the nodes.
        token: the API's; an agent's key is made of it. None: whoever is at this machine picks an agent.
        secret: signs the sessions.
        https: whether people reach the desk by HTTPS only: then so do its cookies.
    """

    def __init__(
        self,
        people: People,
        api: DeskApi,
        token: SecretStr | None,
        secret: bytes,
        *,
        https: bool = False,
        now: Now = lambda: datetime.now(UTC),
    ) -> None:
        self.people = people
        self.api = api
        self.sessions = Sessions(secret)
        self.https = https
        self.now = now
        self._token = token

    @property
    def open_here(self) -> bool:
        """No key is asked for."""
        return self._token is None

    def signed_in(self, request: Request) -> Agent | None:
        """Who asks; who was taken off the list is nobody, whatever cookie they have."""
        session = self.sessions.read(request.cookies.get(COOKIE), self.now())
        return self.people.agent(session.agent) if session is not None else None

    def sign_in(self, name: str, key: str) -> Agent | None:
        """The agent who gave this name and key; None: wrong, and not said which."""
        agent = self.people.agent(name)
        right = "" if agent is None or self._token is None else agent_key(self._token, agent.id)
        if self._token is not None and not secrets.compare_digest(key.encode(), (right or "-").encode()):
            return None
        return agent


def desk_site(desk: Desk) -> FastAPI:
    """The site. One a process: NiceGUI's pages are the process's."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        await desk.api.close()

    site = FastAPI(title="voicebot desk", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    @site.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @site.get("/desk/sign-in")
    async def ask() -> HTMLResponse:
        return HTMLResponse(_sign_in_page(desk))

    @site.post("/desk/sign-in")
    async def sign_in(
        name: Annotated[str, Form(max_length=80)] = "", key: Annotated[str, Form(max_length=200)] = ""
    ) -> Response:
        agent = desk.sign_in(name.strip(), key.strip())
        if agent is None:
            wrong = "That name and key do not belong together."
            return HTMLResponse(_sign_in_page(desk, wrong), status_code=403)
        answer = RedirectResponse("/desk", status_code=303)
        answer.set_cookie(
            COOKIE,
            desk.sessions.issue(agent.id, desk.now()),
            max_age=int(LASTS.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=desk.https,
        )
        return answer

    @site.post("/desk/sign-out")
    async def sign_out() -> Response:
        answer = RedirectResponse("/desk/sign-in", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    @site.get("/")
    async def home() -> Response:
        return RedirectResponse("/desk")

    @ui.page("/desk", title="Queue - voicebot desk")
    async def queue(request: Request) -> Response | None:
        agent = desk.signed_in(request)
        if agent is None:
            return RedirectResponse("/desk/sign-in")
        _top(agent)
        await QueuePage(desk.api, agent.id, supervisor=agent.role == "supervisor").show()
        return None

    @ui.page("/desk/handoffs/{handoff_id}", title="Hand-over - voicebot desk")
    async def handoff(request: Request, handoff_id: str) -> Response | None:
        agent = desk.signed_in(request)
        if agent is None:
            return RedirectResponse("/desk/sign-in")
        _top(agent)
        await HandoffPage(desk.api, agent.id, handoff_id, supervisor=agent.role == "supervisor").show()
        return None

    @ui.page("/desk/conversations/{conversation_id}", title="Conversation - voicebot desk")
    async def conversation(request: Request, conversation_id: str) -> Response | None:
        agent = desk.signed_in(request)
        if agent is None:
            return RedirectResponse("/desk/sign-in")
        _top(agent)
        if agent.role != "supervisor":
            with parts.box("main", "desk", id="main"):
                parts.text("h1", "For supervisors")
                parts.text("p", "Calls that nobody has handed over are listened to by supervisors only.")
                parts.link("Back to the queue", "/desk")
            return None
        await LivePage(desk.api, agent.id, conversation_id).show()
        return None

    ui.run_with(site, title="voicebot desk", dark=None, tailwind=False, show_welcome_message=False)
    return site


def _top(agent: Agent) -> None:
    ui.add_css(STYLE)
    with parts.box("header", "desk-top"):
        parts.link("Skip to the page", "#main", "skip")
        parts.link("Queue", "/desk")
        parts.text("span", f"{agent.id}, {agent.role}", "who")
        with parts.box("form", method="post", action="/desk/sign-out"):
            parts.text("button", "Sign out", "act").props["type"] = "submit"


def _sign_in_page(desk: Desk, wrong: str = "") -> str:
    """Plain HTML: it works before any script does."""
    if desk.open_here:
        names = "".join(f"<option>{escape(agent.id)}</option>" for agent in desk.people.agents)
        fields = (
            f'<p><label for="name">Who are you?</label><select id="name" name="name">{names}</select></p>'
        )
    else:
        fields = (
            '<p><label for="name">Name</label>'
            '<input id="name" name="name" autocomplete="username" required></p>'
            '<p><label for="key">Key</label><input id="key" name="key" type="password"'
            ' autocomplete="current-password" required></p>'
        )
    problem = f'<p class="alarm" role="alert">{escape(wrong)}</p>' if wrong else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Sign in - voicebot desk</title><style>{STYLE}</style></head><body>"
        f'<main class="desk" style="max-width:26rem"><h1>Sign in to the desk</h1>{problem}'
        f'<form class="card" method="post" action="/desk/sign-in">{fields}'
        '<p><button class="act first" type="submit">Sign in</button></p></form></main></body></html>'
    )
