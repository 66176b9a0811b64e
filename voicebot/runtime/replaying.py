"""``voicebot replay --real-time``: recorded callers phone a server, a running one or one that is started."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
from rich.console import Console

from voicebot.core.settings import Settings
from voicebot.core.store.embedded import erase
from voicebot.proof.replay.compare import differences
from voicebot.proof.replay.errors import NotReplayable, ReplayError
from voicebot.proof.replay.facts import facts_in
from voicebot.proof.replay.finding import find
from voicebot.proof.replay.run import RecordedCall, Replayed
from voicebot.proof.replay.show import as_dict, show
from voicebot.proof.replay.taken import kept_turns, missing_in
from voicebot.proof.replay.turns import turns_in
from voicebot.proof.replay.wire import phone, turns_of
from voicebot.proof.simulation import LocalTwilio, Talk, accepting, murmur
from voicebot.runtime.own_server import own_server
from voicebot.runtime.phone import PERSON

if TYPE_CHECKING:
    from voicebot.runtime.commands.replay import Asked

_PAGE, _PAGES = 500, 20
"""Of a server's conversations, newest first, that are looked through for the call."""


def over_the_wire(names: list[str], settings: Settings, asked: Asked, out: Console) -> bool:
    """Runs them one after the other, each as long as it was; whether each went as it did.

    Raises:
        ReplayError: what virtual time is needed for was asked for, or nobody answers.
    """
    if asked.options.engines == "recorded" or asked.options.until is not None:
        raise ReplayError("--real-time phones a server, whose engines are its own: no recorded, no --until")
    return asyncio.run(_all(names, settings, asked, out))


async def _all(names: list[str], settings: Settings, asked: Asked, out: Console) -> bool:
    documents: list[dict[str, Any]] = []
    wrong: dict[str, str] = {}
    fine = 0
    for name in names:
        try:
            one = await _one(await find(name, settings, asked.key), settings, asked)
        except NotReplayable as error:
            if len(names) == 1:
                raise
            wrong[name] = str(error)
            continue
        fine += one.ok
        documents.append(as_dict(one, []))
        if not asked.as_json:
            show(one, [], out, waterfalls=asked.turns or len(names) == 1, since=asked.options.since)
    if asked.as_json:
        told = {"ok": fine == len(names), "calls": documents, "not_replayed": wrong}
        print(json.dumps(told, indent=2))  # noqa: T201
        return fine == len(names)
    for name, text in wrong.items():
        out.print(f"not run {name}: {text}", style="red", markup=False)
    if len(names) > 1:
        out.print(f"\n{fine} of {len(names)} as they were, over the wire")
    return fine == len(names)


async def _one(call: RecordedCall, settings: Settings, asked: Asked) -> Replayed:
    if len(call.sessions) != 1:
        raise NotReplayable(f"{call.name} has {len(call.sessions)} media sessions: in virtual time only")
    began_s = time.monotonic()
    async with _served(call, settings, asked) as (twilio, url, token):
        made = await phone(call, twilio, url)
        conversation = await conversation_of(url, token, made.call_sid)
    if conversation is None:
        raise NotReplayable(
            f"{call.name}: {url} did not take the call ({made.status}); is there room, is it on?"
        )
    events = call.events
    was, now = turns_in(events), turns_of(conversation)
    for turn in was:
        turn.after = "continue"  # a server's API does not tell what the call did next
    notes = ["tools and models were the server's own, not the recording's"]
    if kept_turns(events):
        notes.append(
            "turns whose sound was taken out were not said: their words are told in virtual time only"
        )
    found = differences(was, now, asked.options.tolerance, first=asked.options.since)
    seconds = time.monotonic() - began_s
    return Replayed(
        name=call.name,
        was=was,
        now=now,
        differences=found,
        problems=missing_in(call.sessions[0]),
        notes=notes,
        log=b"",
        outcome=made.status,
        virtual_s=made.recording.duration_ms / 1000,
        real_s=seconds,
    )


@asynccontextmanager
async def _served(
    call: RecordedCall, settings: Settings, asked: Asked
) -> AsyncGenerator[tuple[LocalTwilio, str, str | None]]:
    """A local Twilio and a server: the one that runs, or one of its own with the recording's engines."""
    async with LocalTwilio() as twilio:
        if asked.url is not None:
            token = settings.api_token.get_secret_value() if settings.api_token else None
            yield twilio, asked.url.rstrip("/"), token
            return
        twilio.default_person = accepting(Talk(murmur(2500))).person
        facts = facts_in(call.events)
        then = {} if facts is None else facts.settings
        data_dir = (settings.data_dir / f"replay-{os.getpid()}").absolute()
        environment = {
            "VOICEBOT_STT": asked.options.stt or str(then.get("stt", "auto")),
            "VOICEBOT_TTS": asked.options.tts or str(then.get("tts", "auto")),
            "VOICEBOT_DEPLOYMENT": str(settings.deployment.absolute()),
            "VOICEBOT_ENV_FILE": os.devnull,
            "VOICEBOT_FALLBACK_NUMBER": PERSON,
            "VOICEBOT_TWILIO_API": twilio.api_url,
            "TWILIO_ACCOUNT_SID": twilio.account_sid,
            "TWILIO_AUTH_TOKEN": twilio.auth_token,
        }
        try:
            log = data_dir / "server.log"
            async with own_server(environment, data_dir=data_dir, log=log) as server:
                yield twilio, server.url, server.api_token
        finally:
            erase(data_dir)
            shutil.rmtree(data_dir, ignore_errors=True)


async def conversation_of(url: str, token: str | None, call_sid: str) -> dict[str, Any] | None:
    """What a server's API tells of a call, whoever else phones it; None: it knows none of that CallSid.

    Raises:
        ReplayError: the API tells us nothing.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10.0) as api:
        before: dict[str, str] = {}
        for _ in range(_PAGES):
            listed = await api.get("/api/conversations", params={"limit": _PAGE, **before})
            if not listed.is_success:
                raise ReplayError(
                    f"{url} tells nothing of the call: set VOICEBOT_API_TOKEN to the server's token"
                )
            rows = listed.json()
            for row in rows:
                if row["call_sid"] == call_sid:
                    found = await api.get(f"/api/conversations/{row['id']}")
                    found.raise_for_status()
                    return found.json()
            if len(rows) < _PAGE:
                return None
            before = {"before": rows[-1]["created_at"]}
    return None
