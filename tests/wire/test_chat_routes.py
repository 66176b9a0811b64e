"""The doors of the chat: who gets in, what is refused before it costs anything, one answer on both doors."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
import websockets
from fastapi import FastAPI
from structlog.testing import capture_logs

from voicebot.channels.chat import router
from voicebot.channels.chat.access import ChatAccess
from voicebot.channels.chat.errors import ChatOver, ChatUnavailable, UnknownChat
from voicebot.channels.chat.limits import BEGINNINGS, MAX_ADDRESSES, MESSAGES, Limit, Rate, of_one_customer
from voicebot.channels.chat.message import MAX_BYTES, MAX_CHARS, clean
from voicebot.channels.chat.reply import (
    ChatDecision,
    ChatEvent,
    ChatReply,
    ChatSoFar,
    ClauseWritten,
    DecisionMade,
    TurnDone,
    TurnStarted,
)
from voicebot.channels.chat.router import chat_router
from voicebot.channels.chat.watchers import Watchers
from voicebot.channels.node import NodeState
from voicebot.core.conversation import Action, Route
from voicebot.core.settings import Settings, SettingsError, load_settings

ID = "cv_" + "a" * 32
DECISION = ChatDecision(
    intent="opening_hours", confidence=0.9, sentiment=0.0, tier=0, route=Route.GROUNDED, action=Action.ANSWER,
    sources=(), tools=(),
)  # fmt: skip


class Echo:
    """Answers with what it was told; "down", "over" and "unknown" fail as the real one does."""

    def __init__(self) -> None:
        self.heard: list[tuple[str | None, str, str | None]] = []
        self.left = 0
        self.watchers = Watchers()

    async def say(self, conversation_id: str | None, text: str, phone: str | None = None) -> ChatReply:
        async for event in self.stream(conversation_id, text, phone):
            if isinstance(event, TurnDone):
                return event.reply
        raise AssertionError

    async def stream(
        self, conversation_id: str | None, text: str, phone: str | None = None
    ) -> AsyncGenerator[ChatEvent]:
        words = clean(text)
        self.heard.append((conversation_id, words, phone))
        match words:
            case "down":
                raise ChatUnavailable("send it again")
            case "over":
                raise ChatOver
            case "unknown":
                raise UnknownChat
            case _:
                pass
        try:
            yield TurnStarted(conversation_id=ID, turn=1)
            yield DecisionMade(conversation_id=ID, turn=1, decision=DECISION)
            for word in words.split():
                yield ClauseWritten(conversation_id=ID, turn=1, text=word)
                await asyncio.sleep(0)
            reply = ChatReply(conversation_id=ID, turn=1, replies=(words,), decision=DECISION, handoff=None)
            yield TurnDone(conversation_id=ID, turn=1, reply=reply)
        except GeneratorExit:
            self.left += 1
            raise

    async def so_far(self, conversation_id: str, after: int) -> ChatSoFar:
        if conversation_id != ID:
            raise UnknownChat
        return ChatSoFar(conversation_id=ID, has_it="colleague", lines=())


@dataclass
class Door:
    """A running server: an HTTP client, the socket's address, what the service heard, the node."""

    http: httpx.AsyncClient
    ws: str
    chat: Echo
    node: NodeState

    async def post(self, body: Any = None, **headers: str) -> httpx.Response:
        given = {"conversation_id": None, "text": "hello"} if body is None else body
        return await self.http.post("/chat", json=given, headers=headers)


@asynccontextmanager
async def door(*, local: bool = False, clock: Any = None, **settings: Any) -> AsyncIterator[Door]:
    """The routes on a real socket."""
    chat, node, app = Echo(), NodeState("n1", 1), FastAPI()
    access = ChatAccess(
        Settings(_env_file=None, **settings), insecure_local=local, clock=clock or (lambda: 0.0)
    )  # pyright: ignore[reportCallIssue]
    app.include_router(chat_router(chat, access, node, idle_s=60))  # pyright: ignore[reportArgumentType]
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_config=None, lifespan="off", ws="websockets-sansio", proxy_headers=False
        )
        server = uvicorn.Server(config)
        server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:
            await asyncio.sleep(0)
        host = f"127.0.0.1:{sock.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as http:
                yield Door(http, f"ws://{host}/chat", chat, node)
        finally:
            server.should_exit = server.force_exit = True
            await serving


async def events(socket: websockets.ClientConnection) -> list[dict[str, Any]]:
    """What comes until a message is answered or refused."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] not in {"turn.done", "error"}:
        found.append(json.loads(await socket.recv()))
    return found


async def test_both_doors_give_the_same_answer():
    async with door(local=True) as at:
        answer = (await at.post({"conversation_id": None, "text": "good day", "customer_phone": None})).json()
        assert set(answer) == {"conversation_id", "turn", "replies", "decision", "handoff", "colleague"}
        assert set(answer["decision"]) == {
            "intent", "confidence", "sentiment", "tier", "route", "action", "sources", "tools",
        }  # fmt: skip
        async with websockets.connect(at.ws) as socket:
            await socket.send(json.dumps({"conversation_id": ID, "text": "good day"}))
            got = await events(socket)
        kinds = [event["type"] for event in got]
        assert kinds == ["turn.started", "decision", "clause", "clause", "turn.done"]
        assert got[-1]["reply"] == answer
        assert at.chat.heard == [(None, "good day", None), (ID, "good day", None)]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"conversation_id": None}, "text"),
        ({"text": 7}, "text"),
        ({"text": "hi", "conversation_id": 7}, "conversation_id"),
        ({"text": "hi", "name": "Ann"}, "name: no such field"),
        ({"text": ""}, "text: is empty"),
        ({"text": "x" * (MAX_CHARS + 1)}, str(MAX_CHARS)),
        ([], "message"),
        ("hi", "message"),
    ],
)
async def test_a_message_that_does_not_fit_is_refused_by_name_on_both_doors(body: Any, named: str):
    async with door(local=True) as at:
        answer = await at.post(body)
        assert answer.status_code == 422
        assert named in answer.json()["detail"]
        async with websockets.connect(at.ws) as socket:
            await socket.send(json.dumps(body))
            (fault,) = await events(socket)
            assert fault["detail"] == answer.json()["detail"]
            await socket.send(json.dumps({"text": "hello"}))  # and the socket is still open
            assert (await events(socket))[-1]["type"] == "turn.done"


async def test_what_is_no_json_or_too_large_is_refused_before_it_is_read():
    async with door(local=True) as at:
        plain = await at.http.post("/chat", content=b"{}", headers={"Content-Type": "text/plain"})
        assert plain.status_code == 415  # a form of another page could send that
        kind = {"Content-Type": "application/json"}
        broken = await at.http.post("/chat", content=b'{"text": \xff\xfe', headers=kind)
        assert (broken.status_code, broken.json()["code"]) == (422, "message_refused")
        large = await at.http.post("/chat", content=b" " * (MAX_BYTES + 1), headers=kind)
        assert large.status_code == 413

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" " * 1024

        assert (await at.http.post("/chat", content=endless(), headers=kind)).status_code == 413
        async with websockets.connect(at.ws) as socket:
            await socket.send(b"\x00\x01")
            assert "binary" in (await events(socket))[0]["detail"]
        assert at.chat.heard == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
async def test_another_method_is_refused_in_the_form_of_every_refusal(method: str):
    async with door(local=True) as at:
        answer = await at.http.request(method, "/chat")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, OPTIONS")
        if method != "HEAD":
            fault = answer.json()
            assert (fault["type"], fault["code"]) == ("error", "method_not_allowed")
            assert "POST a message" in fault["detail"]


async def test_a_number_too_long_to_read_is_not_called_something_else():
    """It is JSON: what is wrong is that it stands where a text belongs."""
    async with door(local=True) as at:
        kind = {"Content-Type": "application/json"}
        answer = await at.http.post("/chat", content=b'{"text": ' + b"9" * 5000 + b"}", headers=kind)
        assert answer.status_code == 422
        assert "a string in quotes" in answer.json()["detail"]
        assert "999" not in answer.json()["detail"]


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("down", 503, "unavailable"),
        ("over", 410, "conversation_ended"),
        ("unknown", 404, "unknown_conversation"),
    ],
)
async def test_each_failure_says_what_to_do(text: str, status: int, code: str):
    async with door(local=True) as at:
        answer = await at.post({"text": text})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["detail"]
        assert ("Retry-After" in answer.headers) == (status == 503)


async def test_what_comes_late_reaches_the_sockets_of_that_conversation_only():
    late = ClauseWritten(conversation_id=ID, turn=9, text="approved")
    async with door(local=True) as at:
        async with websockets.connect(at.ws) as socket, websockets.connect(at.ws) as other:
            await socket.send(json.dumps({"text": "hello"}))
            await events(socket)
            await other.send(json.dumps({"text": "unknown"}))
            await events(other)
            assert at.chat.watchers.reach(ID)
            at.chat.watchers.tell(ID, late)
            assert json.loads(await socket.recv()) == late.model_dump()
            await other.send(json.dumps({"text": "unknown"}))
            assert [event["type"] for event in await events(other)] == ["error"]
        while at.chat.watchers.reach(ID):
            await asyncio.sleep(0)


async def test_a_page_that_was_loaded_again_goes_on_without_writing():
    late = ClauseWritten(conversation_id=ID, turn=9, text="approved")
    async with door(local=True) as at, websockets.connect(at.ws) as socket:
        await socket.send(json.dumps({"follow": ID, "after": 7}))
        so_far = json.loads(await socket.recv())
        assert so_far == (await at.http.post("/chat/follow", json={"follow": ID})).json()
        assert so_far["has_it"] == "colleague"
        assert [one.after for one in at.chat.watchers.of(ID)] == [7]
        at.chat.watchers.tell(ID, late)
        assert json.loads(await socket.recv())["text"] == "approved"
        for wrong, named in (
            ({"follow": "cv_1"}, "no such"),
            ({"follow": ID, "text": "x"}, "known are follow"),
        ):
            await socket.send(json.dumps(wrong))
            assert named in json.loads(await socket.recv())["detail"]
        assert at.chat.heard == []


async def test_closing_the_socket_stops_the_writing():
    async with door(local=True) as at:
        async with websockets.connect(at.ws) as socket:
            await socket.send(json.dumps({"text": "word " * 390}))
            await socket.recv()
        while not at.chat.left:
            await asyncio.sleep(0)
        assert at.chat.left == 1


async def test_it_is_closed_unless_opened_or_asked_by_a_program_of_ours():
    async with door(api_token="secret") as at:
        refused = await at.post()
        assert (refused.status_code, refused.json()["code"]) == (403, "closed")
        assert "VOICEBOT_CHAT=open" in refused.json()["detail"]
        with pytest.raises(websockets.InvalidStatus) as denied:
            await websockets.connect(at.ws)
        assert denied.value.response.status_code == 403
        assert (await at.post(Authorization="Bearer wrong")).status_code == 403
        assert (await at.post(Authorization="Bearer secret")).status_code == 200
    async with door(chat="open") as at:
        assert (await at.post()).status_code == 200


async def test_insecure_local_is_for_programs_of_this_machine_only():
    async with door(local=True) as at:
        assert (await at.post()).status_code == 200
        assert (await at.post(Origin="http://localhost:3000")).status_code == 200
        elsewhere = (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"X-Forwarded-For": "203.0.113.9"},
            {"Host": "voice.example.com"},
        )
        for headers in elsewhere:
            assert (await at.post(**headers)).status_code == 403, headers
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(at.ws, origin="https://evil.example")  # pyright: ignore[reportArgumentType]


async def test_pages_of_others_need_to_be_named():
    allowed = "https://shop.example"
    async with door(chat="open", chat_origins=f"{allowed}, https://two.example") as at:
        answer = await at.post(Origin=allowed)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == allowed
        asked = await at.http.options("/chat", headers={"Origin": allowed})
        assert (asked.status_code, asked.headers["Access-Control-Allow-Headers"]) == (204, "content-type")
        assert (await at.post(Origin="https://evil.example")).status_code == 403
        own = str(at.http.base_url).rstrip("/")
        assert (await at.post(Origin=own)).status_code == 200


async def test_one_address_may_not_flood_it_nor_try_ids():
    now = [0.0]
    async with door(chat="open", clock=lambda: now[0]) as at:
        for _ in range(BEGINNINGS.burst):
            assert (await at.post()).status_code == 200
        crowded = await at.post()
        assert (crowded.status_code, crowded.headers["Retry-After"]) == (429, "30")
        trying = {"conversation_id": ID, "text": "hello"}
        tried = [(await at.post(trying)).status_code for _ in range(MESSAGES.burst)]
        assert tried.count(200) == MESSAGES.burst - BEGINNINGS.burst - 1
        now[0] = 2.0
        assert (await at.post(trying)).status_code == 200


async def test_a_refusal_names_the_conversation_but_no_text_of_anybody():
    async with door(chat="open") as at:
        with capture_logs() as lines:
            for known in (ID, "My name is Ada"):
                body = {"conversation_id": known, "text": "hello"}
                while (await at.post(body)).status_code != 429:
                    pass
    refused = [line["conversation"] for line in lines if line["event"] == "chat.refused"]
    assert refused == [ID, None]


async def test_one_address_may_not_take_all_sockets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(router, "MAX_SOCKETS_EACH", 2)
    async with door(chat="open", proxies=1) as at:

        async def opened(address: str) -> websockets.ClientConnection:
            return await websockets.connect(at.ws, additional_headers={"X-Forwarded-For": address})

        sockets = [await opened("203.0.113.1") for _ in range(2)]
        with pytest.raises(websockets.InvalidStatus) as crowded:
            await opened("203.0.113.1")
        assert crowded.value.response.status_code == 429
        sockets.append(await opened("203.0.113.2"))
        for socket in sockets:
            await socket.close()
        async with asyncio.timeout(30):  # until the server has seen that they are gone
            while True:
                try:
                    await (await opened("203.0.113.1")).close()
                    return
                except websockets.InvalidStatus:
                    await asyncio.sleep(0)


async def test_behind_our_proxies_customers_are_told_apart_and_cannot_pretend():
    async with door(chat="open", proxies=1) as at:
        for _ in range(BEGINNINGS.burst):
            await at.post(**{"X-Forwarded-For": "198.51.100.7, 203.0.113.1"})  # the left one is invented
        again = await at.post(**{"X-Forwarded-For": "198.51.100.8, 203.0.113.1"})
        assert again.status_code == 429
        assert (await at.post(**{"X-Forwarded-For": "203.0.113.2"})).status_code == 200


async def test_switched_off_or_draining_it_says_so():
    async with door(local=True) as at:
        at.node.off = True
        assert "switched off" in (await at.post()).json()["detail"]
        at.node.off, at.node.accepting = False, False
        assert (await at.post()).status_code == 503
        assert (await at.post({"conversation_id": ID, "text": "hello"})).status_code == 200
        async with websockets.connect(at.ws) as socket:
            await socket.send(json.dumps({"conversation_id": ID, "text": "hello"}))
            await events(socket)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013


def test_limits_know_whole_networks_and_forget_the_oldest():
    assert of_one_customer("2001:db8::1") == of_one_customer("2001:db8::ffff")
    assert of_one_customer("2001:db8:0:1::1") != of_one_customer("2001:db8::1")
    assert of_one_customer("::ffff:192.0.2.1") == of_one_customer("192.0.2.1")
    limit = Limit(Rate(1, 1.0), lambda: 0.0)
    assert limit.take("first") == 0
    assert limit.take("first") == 1
    for n in range(MAX_ADDRESSES):
        limit.take(str(n))
    assert limit.take("first") == 0


@pytest.mark.parametrize(
    ("name", "value"), [("chat", "on"), ("chat_origins", "shop.example"), ("chat_idle_s", 5), ("proxies", 9)]
)
def test_a_setting_that_cannot_be_is_refused(name: str, value: Any, tmp_path: Any, monkeypatch: Any):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=name):
        load_settings(**{name: value})


def test_words_keep_what_holds_them_together_and_lose_what_nobody_sees():
    assert clean("  a\n\tb\x00c \u200bd ") == "a bc d"
    assert clean("e\u0301") == "\u00e9"
    assert clean("\U0001f469\u200d\U0001f467") == "\U0001f469\u200d\U0001f467"
    assert clean("\u0646\u200c\u0647") == "\u0646\u200c\u0647"
