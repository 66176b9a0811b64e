"""Finding a cloud recogniser among Pipecat's services by name, and the keys it needs in the environment.

Looks at the class and its constructor only; nothing is connected here.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pipecat.services
from pipecat.services.stt_service import SegmentedSTTService, STTService
from pipecat.transcriptions.language import Language

from voicebot.audio.engines.types import EngineUnavailable

LOCAL = {
    "whisper": "VOICEBOT_STT=whisper:NAME runs Whisper here, one model for all calls",
    "funasr": "it loads a model for every call",
    "moonshine": "it loads a model for every call",
}
"""Services of Pipecat that are no cloud; each instance would load a model of its own."""

OTHER_CREDENTIALS = frozenset({"aws"})
"""Services whose own library finds credentials where such machines have them (roles, profiles)."""

_FROM_ENVIRONMENT = ("api_key", "region", "url", "base_url", "host", "endpoint_id", "project_id")
"""Arguments that are given when ``SERVICE_ARGUMENT`` is set, required or not."""

_NAME = re.compile(r"^(?P<service>[a-z0-9_]+)(?:\.(?P<cls>[A-Za-z_]\w*))?$")
_PATH = re.compile(r"^(?P<module>[A-Za-z_][\w.]*):(?P<cls>[A-Za-z_]\w*)$")


def find_service(
    name: str, language: str, environment: Mapping[str, str] | None = None
) -> Callable[[], STTService]:
    """A function that makes one instance of the service, for one call.

    Args:
        name: ``SERVICE`` (``deepgram``), ``SERVICE.CLASS`` where Pipecat has several, or ``MODULE:CLASS`` for
            a service of one's own.
        language: of the callers, as in BCP 47.
        environment: where keys are looked up; None for the process's own.

    Raises:
        EngineUnavailable: unknown service, missing package, missing key; the message says what to do.
    """
    environment = os.environ if environment is None else environment
    service, module, wanted = _module_of(name)
    cls = _class_of(module, service, wanted)
    arguments: dict[str, Any] = dict(_arguments(cls, service, environment))
    takes_settings = "settings" in inspect.signature(cls.__init__).parameters
    settings: Callable[..., Any] | None = getattr(cls, "Settings", None) if takes_settings else None

    def make() -> STTService:
        # A new object for each: services write into theirs.
        own = {} if settings is None else {"settings": settings(language=_language(language))}
        return cls(**arguments, **own)

    return make


def services() -> tuple[str, ...]:
    """The names of Pipecat's cloud recognisers, installed or not."""
    root = Path(next(iter(pipecat.services.__path__)))
    found = {path.parent.name for path in root.glob("*/stt.py")}
    return tuple(sorted(found - LOCAL.keys()))


def _module_of(name: str) -> tuple[str, ModuleType, str | None]:
    if own := _PATH.match(name):
        try:
            return own["cls"], importlib.import_module(own["module"]), own["cls"]
        except ImportError as error:
            raise EngineUnavailable(f"the service {name!r} cannot be imported: {error}") from error
    found = _NAME.match(name)
    service = found["service"] if found else name
    if service in LOCAL:
        raise EngineUnavailable(f"Pipecat's {service!r} is no cloud service: {LOCAL[service]}")
    if not found or service not in services():
        raise EngineUnavailable(
            f"Pipecat has no recogniser {name!r}. It has: {', '.join(services())}; or MODULE:CLASS"
        )
    try:
        return service, importlib.import_module(f"pipecat.services.{service}.stt"), found["cls"]
    except ImportError as error:
        extra = service.replace("_", "-")
        raise EngineUnavailable(
            f"Pipecat's {service} needs a package that is not installed ({error}): "
            f"pip install 'pipecat-ai[{extra}]'"
        ) from error


def _class_of(module: ModuleType, service: str, wanted: str | None) -> type[STTService]:
    """The one asked for; else the streaming one, else the one named like the service."""
    found = {
        name: cls
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, STTService) and cls.__module__ == module.__name__ and not inspect.isabstract(cls)
    }
    if wanted is not None:
        if wanted not in found:
            raise EngineUnavailable(
                f"{module.__name__} has no recogniser {wanted!r}; it has {', '.join(sorted(found)) or 'none'}"
            )
        return found[wanted]
    if not found:
        raise EngineUnavailable(f"Pipecat's {service} has no recogniser")

    def rank(name: str) -> tuple[bool, bool, int, str]:
        segmented = issubclass(found[name], SegmentedSTTService)
        return segmented, name.lower() != f"{service}sttservice", len(name), name

    return found[min(found, key=rank)]


def _arguments(cls: type[STTService], service: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the constructor needs, from ``SERVICE_ARGUMENT`` in the environment."""
    given: dict[str, str] = {}
    missing: list[str] = []
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        if name == "self" or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty or (
            name == "api_key" and service not in OTHER_CREDENTIALS
        )
        if not required and name not in _FROM_ENVIRONMENT:
            continue
        variable = f"{service}_{name}".upper()
        if value := environment.get(variable):
            given[name] = value
        elif required:
            missing.append(variable)
    if missing:
        raise EngineUnavailable(
            f"the service {service} needs {' and '.join(missing)} in the environment"
            + (
                ""
                if all(m.endswith(_TEXT) for m in missing)
                else ", or is none that can be used by name alone"
            )
        )
    return given


_TEXT = ("_API_KEY", "_REGION", "_URL", "_HOST", "_ID", "_KEY", "_TOKEN")
"""Arguments that are plain text; a session or a callback cannot come from the environment."""


def _language(tag: str) -> Language | str:
    try:
        return Language(tag)
    except ValueError:
        return tag
