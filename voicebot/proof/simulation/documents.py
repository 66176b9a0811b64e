"""What comes back from the server, as TwiML to run or as sound to play."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .clips import ClipError, murmur, read_wav
from .log import CallLog
from .reading import TwimlError
from .twiml import read
from .verbs import Document, Hangup, Jump, Play, Say
from .webhooks import Answer, WebhookError

Ask = Callable[[Jump], Awaitable[Answer]]
"""Asks the server for something, signed. Raises ``WebhookError``."""

_RAW_MULAW = frozenset({"audio/basic", "audio/ulaw", "audio/x-mulaw", "audio/x-ulaw"})


def document_of(answer: Answer) -> Document:
    """The TwiML of an answer; sound and plain text count as a document that plays or says it.

    Raises:
        TwimlError: 12300 the content type, and what ``read`` raises.
    """
    kind = _kind(answer)
    if not kind:
        raise TwimlError(12300, "the answer has no content type")
    if kind.startswith("audio/"):
        return Document(answer.url, (Play(answer.url, ""), Hangup()))
    if kind == "text/plain":
        text = answer.body.decode("utf-8", "replace")
        if not text.lstrip().startswith("<"):
            return Document(answer.url, (Say(text), Hangup()))
    elif kind not in ("text/xml", "application/xml", "text/html"):
        raise TwimlError(12300, f"content type {kind!r} is not TwiML")
    return read(answer.body, url=answer.url)


def voice(text: str) -> bytes:
    """``Say``: a murmur of the right length; nothing here speaks."""
    return murmur(65 * max(4, len(text)))


async def sound_of(verb: Play, ask: Ask, log: CallLog) -> bytes:
    """The sound of ``<Play>``: a WAV file, or raw mu-law of a fitting content type.

    A file that cannot be had is reported and skipped.
    """
    if verb.digits:
        return b"\xff" * (8 * 200 * len(verb.digits))  # sent out of band: the line stays silent
    try:
        answer = await ask(Jump(verb.url, "GET"))
    except WebhookError as error:
        log.notify(error.code, str(error), protocol=False)
        return b""
    if _kind(answer) in _RAW_MULAW:
        return answer.body
    try:
        return read_wav(answer.body, name=verb.url)
    except ClipError as error:
        log.notify(12300, str(error))
        return b""


def _kind(answer: Answer) -> str:
    return answer.content_type.split(";")[0].strip().lower()
