"""Reads the form of a REST request: flags, numbers, addresses, event lists."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from .account import RestError, check_url
from .detection import Detection
from .verbs import Jump

Form = dict[str, str]


async def form_of(request: Request) -> Form:
    """Its fields; of one that is given several times, the last."""
    return {k: v for k, v in (await request.form()).items() if isinstance(v, str)}


def flag(form: Form, name: str) -> bool | None:
    """``true``, or anything else, which is false (conference-participant-resource); None: absent."""
    return None if name not in form else form[name].lower() == "true"


def seconds(form: Form, name: str, default: float, least: float, most: float) -> float:
    """A whole number within limits.

    Raises:
        RestError: 20001.
    """
    if name not in form:
        return default
    if not form[name].isdigit() or not least <= int(form[name]) <= most:
        raise RestError(400, 20001, f"{name} {form[name]}: a whole number from {least:g} to {most:g}")
    return float(form[name])


def jump_of(
    form: Form, name: str, *, code: int, method: str = "POST", absent: Jump | None = None, whole: bool = False
) -> Jump | None:
    """The address under ``<name>Url`` (``whole``: under ``<name>``) with ``<name>Method``.

    Raises:
        RestError: ``code`` for an address that is none, 20001 for a method that is none.
    """
    field = name if whole else f"{name}Url"
    if field not in form:
        return absent
    if not form[field]:
        return None
    asked = form.get(f"{name}Method", method).upper()
    if asked not in ("GET", "POST"):
        raise RestError(400, 20001, f"{name}Method {asked} is neither GET nor POST")
    return Jump(check_url(form[field], code=code), asked)


def events_of(raw: Any, name: str, known: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    """An event list, given as several fields or as words of one.

    Raises:
        RestError: 16002 an event that there is not.
    """
    words = tuple(word for value in raw.getlist(name) for word in str(value).split())
    for word in words:
        if word not in known:
            raise RestError(400, 16002, f"{name} {word}: one of {', '.join(known)}")
    return words or default


def detection_of(form: Form) -> Detection | None:
    """What a request to create a call asks for; None: no detection.

    Raises:
        RestError: 21234 a value that is none, 21609 an address that is none.
    """
    asked = form.get("MachineDetection")
    if not asked or form.get("SendDigits"):
        return None
    if asked not in ("Enable", "DetectMessageEnd"):
        raise RestError(400, 21234, f"MachineDetection {asked}: Enable or DetectMessageEnd")
    asynchronous = form.get("AsyncAmd", "false").lower() == "true"
    tell = None
    if asynchronous and form.get("AsyncAmdStatusCallback"):
        method = form.get("AsyncAmdStatusCallbackMethod", "POST").upper()
        tell = Jump(check_url(form["AsyncAmdStatusCallback"], code=21609), method)
    timeout_s = seconds(form, "MachineDetectionTimeout", 30, 3, 59)
    return Detection(asked == "DetectMessageEnd", timeout_s, tell, asynchronous)
