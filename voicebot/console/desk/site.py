"""The desk's site: sign-in, and the pages behind it. NiceGUI on FastAPI; it holds the state of its pages."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Annotated, Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from nicegui import ui
from pydantic import SecretStr

from voicebot.console.desk import parts
from voicebot.console.desk.call_page import HandoffPage
from voicebot.console.desk.client import ApiError, DeskApi
from voicebot.console.desk.conversation_pages import ConversationPage, ConversationsPage
from voicebot.console.desk.corrections_page import CorrectionPage, CorrectionsPage
from voicebot.console.desk.door import OwnDoor
from voicebot.console.desk.follow_ups_page import FollowUpsPage
from voicebot.console.desk.frame import frame
from voicebot.console.desk.insight_export import add_export
from voicebot.console.desk.insight_page import CasesPage, InsightPage
from voicebot.console.desk.look import STYLE
from voicebot.console.desk.own_sources import OwnSources
from voicebot.console.desk.player_page import PlayerPage
from voicebot.console.desk.player_sound import add_sound
from voicebot.console.desk.queue_page import QueuePage
from voicebot.console.desk.recordings_page import RecordingsPage
from voicebot.console.desk.sessions import COOKIE, LASTS, Session, Sessions
from voicebot.console.desk.visit import Visit
from voicebot.console.readers import agent_key
from voicebot.handoff.people import Agent
from voicebot.handoff.roster import Agents

log = structlog.get_logger(__name__)

Now = Callable[[], datetime]
Given = dict[str, str]
"""What a page's path names, such as ``handoff_id``."""

HERE_EVERY_S = 10.0
"""A third of the time after which the nodes take an agent to be gone."""

RECONNECT_S = 30.0
"""A page whose line drops for so long is still there, with all that was typed into it."""


READY_WITHIN_S = 30.0
"""A page that waits for the nodes for longer says so instead (each of its requests waits 10 s at most)."""


@dataclass(frozen=True)
class DeskPage:
    """A page behind the sign-in. ``draw`` gets the visit and what the path names."""

    path: str
    title: str
    draw: Callable[[Visit, Given], Awaitable[None]]
    supervisors: bool = False


PAGES = (
    DeskPage("/desk", "Queue", lambda visit, _: QueuePage(visit).show()),
    DeskPage("/desk/follow-ups", "Follow-ups", lambda visit, _: FollowUpsPage(visit).show()),
    DeskPage("/desk/conversations", "Conversations", lambda visit, _: ConversationsPage(visit).show()),
    DeskPage(
        "/desk/corrections", "Corrections", lambda visit, _: CorrectionsPage(visit).show(), supervisors=True
    ),
    DeskPage(
        "/desk/handoffs/{handoff_id}",
        "Hand-over",
        lambda visit, given: HandoffPage(visit, given["handoff_id"]).show(),
    ),
    DeskPage(
        "/desk/conversations/{conversation_id}",
        "Conversation",
        lambda visit, given: ConversationPage(visit, given["conversation_id"]).show(),
    ),
    DeskPage(
        "/desk/corrections/{correction_id}",
        "Correction",
        lambda visit, given: CorrectionPage(visit, given["correction_id"]).show(),
        supervisors=True,
    ),
    DeskPage("/recordings", "Recordings", lambda visit, _: RecordingsPage(visit).show()),
    DeskPage(
        "/recordings/{conversation_id}",
        "Recording",
        lambda visit, given: PlayerPage(visit, given["conversation_id"]).show(),
    ),
    DeskPage("/insight", "Insight", lambda visit, _: InsightPage(visit).show()),
    DeskPage("/insight/conversations", "Figures", lambda visit, _: CasesPage(visit).show(), supervisors=True),
)
"""All of them; a page more is a line more (and one in `frame.PLACES`, if the bar leads there)."""


class Desk:
    """What the pages need.

    Args:
        people: who may sign in, and in which role.
        api: of the nodes.
        token: the API's; an agent's key is made of it. None: whoever is at this machine picks an agent.
        secret: signs the sessions.
        https: whether people reach the desk by HTTPS only: then so do its cookies.

    Attributes:
        present: who is at the desk, as the nodes said last.
        pausing: whose switch stands at "paused".
        renewed: sessions of pages that signed in again, by the page's ticket.
    """

    def __init__(
        self,
        people: Agents,
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
        self.present: list[dict[str, Any]] = []
        self.pausing: set[str] = set()
        self.renewed: dict[str, Session] = {}
        self.visits: list[Visit] = []
        self._ended: dict[str, datetime] = {}
        self._token = token

    @property
    def open_here(self) -> bool:
        """No key is asked for."""
        return self._token is None

    def session(self, request: Request) -> Session | None:
        """The session that a request shows, if it goes on."""
        session = self.sessions.read(request.cookies.get(COOKIE), self.now())
        return session if session is not None and self.goes_on(session) else None

    def signed_in(self, request: Request) -> Agent | None:
        """Who asks; who was taken off the list is nobody, whatever cookie they have."""
        session = self.session(request)
        return self.people.agent(session.agent) if session is not None else None

    def goes_on(self, session: Session) -> bool:
        """Whether a session is neither over nor signed out."""
        return self.now() < session.until and session.id not in self._ended

    def end(self, session: Session) -> None:
        """Signed out: no page that is still open acts for it."""
        self._ended = {one: until for one, until in self._ended.items() if until > self.now()}
        self._ended[session.id] = session.until

    def sign_in(self, name: str, key: str) -> Agent | None:
        """The agent who gave this name and key; None: wrong, and not said which."""
        agent = self.people.agent(name)
        right = "" if agent is None or self._token is None else agent_key(self._token, agent.id)
        if self._token is not None and not secrets.compare_digest(key.encode(), (right or "-").encode()):
            return None
        return agent

    async def be_here(self, agent: str, api: DeskApi, *, paused: bool | None = None) -> None:
        """Tells the nodes that an agent is at the desk.

        Raises:
            ApiError: nobody was told.
        """
        said: dict[str, Any] = {} if paused is None else {"paused": paused}
        self.present = await api.post(agent, "/api/desk/presence", said)
        self.pausing = {one["agent"] for one in self.present if not one["takes_callers"]}

    async def keep_presence(self) -> None:
        """Says again and again who has a page open, until cancelled."""
        while True:
            for agent in {visit.agent.id for visit in self.visits if visit.closed() is None}:
                try:
                    await self.be_here(agent, self.api)
                except ApiError as error:
                    log.warning("desk.presence_not_told", agent=agent, status=error.status)
            await asyncio.sleep(HERE_EVERY_S)


def desk_site(desk: Desk) -> FastAPI:
    """The site. One a process: NiceGUI's pages are the process's."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        presence = asyncio.create_task(desk.keep_presence(), name="desk presence")
        yield
        presence.cancel()
        with suppress(asyncio.CancelledError):
            await presence
        await desk.api.close()

    site = FastAPI(title="voicebot desk", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    site.add_middleware(OwnSources)
    if desk.open_here:
        site.add_middleware(OwnDoor)

    @site.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @site.get("/desk/sign-in")
    async def ask(to: str = "") -> HTMLResponse:
        return HTMLResponse(_sign_in_page(desk, to))

    @site.post("/desk/sign-in")
    async def sign_in(
        request: Request,
        name: Annotated[str, Form(max_length=80)] = "",
        key: Annotated[str, Form(max_length=200)] = "",
        to: Annotated[str, Form(max_length=2000)] = "",
        ticket: Annotated[str, Form(max_length=80)] = "",
    ) -> Response:
        agent = desk.sign_in(name.strip(), key.strip())
        if agent is None:
            wrong = "That name and key do not belong together."
            return HTMLResponse(_sign_in_page(desk, to, wrong), status_code=403)
        before = desk.session(request)
        if before is not None:  # of this browser: its cookie is replaced, and worth nothing any more
            desk.end(before)
        cookie = desk.sessions.issue(agent.id, desk.now())
        session = desk.sessions.read(cookie, desk.now())
        page = next((visit for visit in desk.visits if visit.ticket == ticket), None)
        if session is not None and page is not None and page.agent.id == agent.id:
            desk.renewed[ticket] = session
        if session is not None and before is not None:
            for visit in desk.visits:
                visit.goes_on(before, session)
        answer = RedirectResponse(_within(to), status_code=303)
        answer.set_cookie(
            COOKIE,
            cookie,
            max_age=int(LASTS.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=desk.https,
        )
        return answer

    @site.post("/desk/sign-out")
    async def sign_out(request: Request) -> Response:
        session = desk.session(request)
        if session is not None:
            desk.end(session)
            with suppress(ApiError):  # not told, the nodes notice within half a minute
                await desk.api.post(session.agent, "/api/desk/presence", {"here": False})
        answer = RedirectResponse("/desk/sign-in", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    @site.get("/")
    async def home() -> Response:
        return RedirectResponse("/desk")

    for page in PAGES:
        _add(desk, page)
    add_export(site, desk)
    add_sound(site, desk)

    @ui.page("/desk/{rest:path}")
    async def nowhere(request: Request) -> Response:
        return HTMLResponse(_nowhere(), status_code=404)

    ui.run_with(
        site,
        title="voicebot desk",
        dark=None,
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=RECONNECT_S,
        message_history_length=300,  # of a page, for a line that drops: more than comes in `RECONNECT_S`
        binding_refresh_interval=None,  # nothing is bound: no loop ten times a second
    )
    _ = (healthz, ask, sign_in, sign_out, home, nowhere)  # used by the site
    return site


def _add(desk: Desk, page: DeskPage) -> None:
    async def show(request: Request) -> Response | None:
        session = desk.session(request)
        agent = desk.people.agent(session.agent) if session is not None else None
        if agent is None or session is None:
            asked_for = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/desk/sign-in?to={quote(asked_for)}")
        visit = Visit(desk, agent, session)
        desk.visits.append(visit)
        ui.context.client.on_delete(lambda: desk.visits.remove(visit))
        if agent.id not in {one["agent"] for one in desk.present}:
            with suppress(ApiError):  # said again within seconds
                await desk.be_here(agent.id, desk.api)
        frame(visit, page.path)
        if page.supervisors and not visit.supervisor:
            for_supervisors(f"{page.title} are looked after by supervisors.", agent.role)
            return None
        await page.draw(visit, {name: str(value) for name, value in request.path_params.items()})
        return None

    title = f"{page.title} - voicebot desk"
    ui.page(page.path, title=title, response_timeout=READY_WITHIN_S)(show)


def for_supervisors(what: str, role: str) -> None:
    """A page that is not the reader's, with the role that it takes."""
    with parts.box("main", "desk", id="main"):
        parts.text("h1", "For supervisors")
        parts.text("p", f"{what} You are signed in as {role}; the role stands in business/people.yaml.")
        parts.link("Back to the queue", "/desk")


def _within(to: str) -> str:
    """Where to go after signing in: a page of this site, else the queue."""
    return to if to.startswith(("/desk", "/insight", "/recordings")) and "\\" not in to else "/desk"


def _plain_page(title: str, body: str) -> str:
    """Plain HTML: it works before any script does."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} - voicebot desk</title><style>{STYLE}</style></head>"
        f'<body class="plain"><main class="desk narrow">{body}</main></body></html>'
    )


def _nowhere() -> str:
    return _plain_page(
        "No such page",
        "<h1>There is no such page</h1><p>It may have been moved, or the address is not whole.</p>"
        '<p><a class="act first" href="/desk">To the queue</a></p>',
    )


def _sign_in_page(desk: Desk, to: str, wrong: str = "") -> str:
    if desk.open_here:
        names = "".join(f"<option>{escape(agent.id)}</option>" for agent in desk.people.agents)
        fields = (
            '<label class="field" for="name"><span>Who are you?</span></label>'
            f'<select id="name" name="name">{names}</select>'
        )
    else:
        fields = (
            '<label class="field" for="name"><span>Name</span></label>'
            '<input id="name" name="name" autocomplete="username" required autofocus>'
            '<label class="field" for="key"><span>Key</span></label>'
            '<input id="key" name="key" type="password" autocomplete="current-password" required>'
        )
    problem = f'<p class="alarm" role="alert">{escape(wrong)}</p>' if wrong else ""
    return _plain_page(
        "Sign in",
        f'<p class="brand">voicebot desk</p><h1>Sign in to the desk</h1>{problem}'
        f'<form class="card stack" method="post" action="/desk/sign-in">{fields}'
        f'<input type="hidden" name="to" value="{escape(_within(to))}">'
        '<button class="act first" type="submit">Sign in</button></form>',
    )
