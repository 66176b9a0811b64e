"""Runs what a conference plays beside its talk: the music of ``waitUrl`` and ``HoldUrl``, announcements.

Only ``Play``, ``Say``, ``Pause`` and ``Redirect`` may stand there (13238); when it runs out there is silence
(twilio.com/docs/voice/twiml/conference).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .clips import tone
from .documents import Ask, document_of, sound_of, voice
from .log import CallLog
from .reading import TwimlError
from .verbs import Document, Hangup, Jump, Pause, Play, Redirect, Say

Sink = Callable[[bytes], Awaitable[None]]
"""Plays mu-law to whom it is meant for and returns when it is over."""

HOLD_CLIP = b"".join(tone(450, hertz, level=0.08) + b"\xff" * 400 for hertz in (523, 659, 784, 659, 587, 440))
"""Twilio's own hold music: here six soft notes, again and again."""

_EMPTY_DOCUMENT_S = 0.1


def check_aside(document: Document) -> Document:
    """The document, if it may be played there.

    Raises:
        TwimlError: 13238 another verb.
    """
    for verb in document.verbs:
        if (
            isinstance(verb, Hangup)
            and len(document.verbs) == 2
            and isinstance(document.verbs[0], Play | Say)
        ):
            continue  # a plain sound file or text, see document_of
        if not isinstance(verb, Play | Say | Pause | Redirect):
            raise TwimlError(
                13238, f"<{type(verb).__name__}> where only Play, Say, Pause, Redirect may stand"
            )
    return document


async def fetch_aside(jump: Jump, ask: Ask) -> Document:
    """The document behind an address.

    Raises:
        WebhookError, TwimlError: it cannot be had or used.
    """
    return check_aside(document_of(await ask(jump)))


async def play_aside(start: Document, *, ask: Ask, sink: Sink, log: CallLog) -> None:
    """Plays until nothing is left.

    Raises:
        WebhookError, TwimlError: a document it went on to cannot be had or used.
    """
    loop = asyncio.get_running_loop()
    document: Document | None = start
    while document is not None:
        began = loop.time()
        document = await _play_once(document, ask, sink, log)
        if document is not None and loop.time() - began < _EMPTY_DOCUMENT_S:
            await asyncio.sleep(_EMPTY_DOCUMENT_S)  # a document that plays nothing and asks for itself


async def _play_once(document: Document, ask: Ask, sink: Sink, log: CallLog) -> Document | None:
    for code, warning in document.warnings:
        log.notify(code, warning, level="warning")
    for verb in document.verbs:
        match verb:
            case Say():
                log.add("text", text=verb.text)
                await sink(voice(verb.text) * max(1, verb.loop))
            case Play():
                ulaw = await sound_of(verb, ask, log)
                log.add("played", url=verb.url, ms=len(ulaw) / 8)
                await sink(ulaw * max(1, verb.loop))
            case Pause():
                await asyncio.sleep(verb.length_s)
            case Redirect():
                return await fetch_aside(verb.to, ask)
            case _:
                return None
    return None
