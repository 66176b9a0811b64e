"""What a recording says of the program that took the call: written at its beginning, read for a replay."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from voicebot import __version__
from voicebot.core.settings import Settings
from voicebot.dialogue.deployment import Deployment
from voicebot.proof.evals.versions import SetVersions, call_code, versions_of

FACTS = "call.facts"

NO_SEEDS = "nothing that decides draws random numbers: ids and keys do"


class CallFacts(BaseModel):
    """Fields of later versions are passed over.

    ``settings``: those that change what a call does. ``engines``: by role (``stt``, ``tts``, ``turn``) their
    ``kind`` and ``model``. ``versions``: digests of everything that can change an answer. ``seeds``: of
    random numbers that decide something; there are none.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    voicebot: str = __version__
    started_at: datetime
    caller: str | None = None
    epoch: int = 1
    resumed: bool = False
    off: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict[str, Any])
    engines: dict[str, dict[str, str]] = Field(default_factory=dict[str, dict[str, str]])
    versions: dict[str, str] = Field(default_factory=dict[str, str])
    seeds: str = NO_SEEDS

    def event(self) -> dict[str, Any]:
        """As the recording holds it."""
        return {"type": FACTS, "at_ms": 0, **self.model_dump(mode="json")}


_SETTINGS = ("stt", "tts", "llm", "llm_strong", "embedding", "language", "speculation", "silence_s")


def settings_of(settings: Settings) -> dict[str, Any]:
    """Those that change what a call does; no secret is among them."""
    return {name: getattr(settings, name) for name in _SETTINGS}


def code_of(deployment: Deployment, settings: Settings) -> dict[str, str]:
    """Versions of code, policy, prompts and the rest; reads every file once (some 100 ms): not per call."""
    versions = versions_of(deployment, writer=settings.llm, golden=Path("business/golden"))
    known = SetVersions.model_dump(versions)
    kept = {name: str(value) for name, value in known.items() if name not in {"golden", "voicebot"}}
    return {"code": call_code(), **kept}


def facts_in(events: list[dict[str, Any]]) -> CallFacts | None:
    """Those of a recording; None: it is older than that."""
    found = next((event for event in events if event.get("type") == FACTS), None)
    return None if found is None else CallFacts.model_validate(found)
