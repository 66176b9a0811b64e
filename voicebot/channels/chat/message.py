"""What a customer's program sends: one strict message. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TypeVar

from pydantic import ConfigDict, Field, ValidationError

from voicebot.channels.chat.errors import MessageRefused
from voicebot.core.conversation import Strict

MAX_CHARS = 2000
"""Longest text of a message; a turn on the phone is rarely above 500."""
MAX_BYTES = 32 * 1024
"""Longest request: a text of `MAX_CHARS` fits, however it is escaped."""

_ID = r"^cv_[0-9a-f]{32}$"
_NUMBER = re.compile(r"\+[1-9]\d{4,14}")
_BLANKS = re.compile(r"\s+")
_Given = TypeVar("_Given", "ChatMessage", "ChatFollow")


class ChatMessage(Strict):
    """One message of a customer. ``customer_phone`` is a hint for colleagues, never an identity."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"conversation_id": None, "text": "When do you open?", "customer_phone": None}]
        }
    )

    conversation_id: str | None = Field(default=None, description="null begins a conversation")
    text: str = Field(description=f"what the customer wrote, up to {MAX_CHARS} characters")
    customer_phone: str | None = Field(default=None, description="E.164, with the first message")


class ChatFollow(Strict):
    """A page that was loaded again goes on with its chat. ``after``: the last line it has, 0: none."""

    follow: str = Field(description="the conversation's id")
    after: int = Field(default=0, ge=0, le=2**63 - 1, description="number of the last line that is known")


def parse(body: bytes | str) -> ChatMessage:
    """A message from JSON.

    Raises:
        MessageRefused: not JSON, a field too many or of another kind; names the field, never its value.
    """
    return _parsed(ChatMessage, body)


def parse_follow(body: bytes | str) -> ChatFollow:
    """As `parse`, of a page that goes on."""
    return _parsed(ChatFollow, body)


def is_follow(body: str) -> bool:
    """Whether what came over a socket is a `ChatFollow` rather than a message."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(given, dict) and "follow" in given


def _parsed(model: type[_Given], body: bytes | str) -> _Given:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        known = [*model.model_fields]
        names = f"{', '.join(known[:-1])} and {known[-1]}"
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'message'}: {_said(e['type'], e['msg'], names)}"
            for e in error.errors()
        )
        raise MessageRefused(wrong) from None


def clean(text: str) -> str:
    """The words of a message: one line, composed characters, nothing invisible.

    Raises:
        MessageRefused: too long, or nothing is left.
    """
    if len(text) > MAX_CHARS:
        raise MessageRefused(f"text: {len(text)} characters are too many, send at most {MAX_CHARS}")
    kept = "".join(
        c if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"} else _stand_in(c) for c in text
    )
    words = _BLANKS.sub(" ", unicodedata.normalize("NFC", kept)).strip()
    if not words:
        raise MessageRefused("text: is empty, write what it is about")
    return words


def phone_number(given: str | None) -> str | None:
    """A phone number in E.164; blanks, dots, dashes and brackets are left out.

    Raises:
        MessageRefused: not a number with its country code.
    """
    if given is None or not given.strip():
        return None
    number = re.sub(r"[\s().\-/]", "", given)
    if not _NUMBER.fullmatch(number):
        raise MessageRefused(
            "customer_phone: write it with the country code, like +12025550100, or leave it out"
        )
    return number


def is_conversation_id(given: str) -> bool:
    """Whether it looks like an id of ours."""
    return re.fullmatch(_ID, given) is not None


def _stand_in(character: str) -> str:
    """Joiners hold emoji and some scripts together; line breaks part words; the rest goes."""
    if character in "\u200c\u200d":
        return character
    return " " if character.isspace() else ""


def _said(kind: str, message: str, names: str) -> str:
    match kind:
        case "extra_forbidden":
            return f"no such field; known are {names}"
        case "json_invalid" if "number out of range" in message:
            return "holds a number that no field takes: every field is a string in quotes"
        case "json_invalid":
            return "is not JSON in UTF-8"
        case _:
            return message[:1].lower() + message[1:]
