"""What the prebuilt page understands: RTVI 2.1 messages over the data channel. Pure.

Source: pipecat-ai 1.14, ``pipecat/processors/frameworks/rtvi/models.py``. Only what this bot has to say is
here; what it does not understand of the page is answered or ignored, never fatal.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal

from pydantic import Field, ValidationError

from voicebot import __version__
from voicebot.core.conversation import Strict

LABEL = "rtvi-ai"
VERSION = "2.1.0"

Message = dict[str, Any]


class _Keys(Strict):
    buttons: list[Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#"]] = Field(max_length=32)


def message(kind: str, data: Message | None = None, *, answers: str | None = None) -> Message:
    """One message for the page; ``answers``: the id of the page's own that it answers."""
    made: Message = {"label": LABEL, "type": kind, "id": answers or uuid.uuid4().hex}
    return made if data is None else made | {"data": data}


def ready(answers: str | None = None) -> Message:
    """The bot is there; the page says so, and shows what is said from now on."""
    about = {"library": "voicebot", "library_version": __version__}
    return message("bot-ready", {"version": VERSION, "about": about}, answers=answers)


def error(text: str, *, fatal: bool = False) -> Message:
    """Something for the person at the page; ``fatal``: the page hangs up."""
    return message("error", {"error": text, "fatal": fatal})


def left() -> Message:
    """The bot has hung up: the page does not try to come back. No RTVI: the transport's own."""
    return {"type": "signalling", "message": {"type": "peerLeft"}}


def caller_said(text: str, at: str, *, final: bool) -> Message:
    """Words of the caller. ``at``: ISO 8601."""
    return message("user-transcription", {"text": text, "user_id": "", "timestamp": at, "final": final})


def caller_speaks(speaking: bool) -> Message:
    """A turn of theirs begins, or is over."""
    return message("user-started-speaking" if speaking else "user-stopped-speaking")


def bot_speaks(speaking: bool) -> Message:
    """An answer begins, or is over."""
    return message("bot-started-speaking" if speaking else "bot-stopped-speaking")


def bot_says(text: str, segment: int, status: Literal["new", "in-progress", "completed"]) -> Message:
    """A clause of an answer: ``new`` as it begins to leave, ``completed`` once it was heard."""
    data: Message = {
        "text": text,
        "aggregated_by": "sentence",
        "will_be_spoken": True,
        "spoken_status": status,
        "segment_id": segment,
    }
    if status != "new":
        done = status == "completed"
        data["spoken_progress"] = {
            "accumulated_text": text if done else "",
            "remaining_text": "" if done else text,
        }
    return message("bot-output", data)


def kind_of(given: Message) -> str:
    """The type of a message of the page; "": it is none."""
    kind = given.get("type")
    return kind if isinstance(kind, str) and given.get("label") == LABEL else ""


def id_of(given: Message) -> str | None:
    """Its id, to be answered under."""
    name = given.get("id")
    return name if isinstance(name, str) and len(name) <= 64 else None


def keys_of(given: Message) -> str:
    """The keys that a ``dtmf`` message holds; "": none."""
    try:
        return "".join(_Keys.model_validate(given.get("data")).buttons)
    except ValidationError:
        return ""


def refused(given: Message, text: str) -> Message:
    """The answer to a request that cannot be done."""
    return message("error-response", {"error": text}, answers=id_of(given))
