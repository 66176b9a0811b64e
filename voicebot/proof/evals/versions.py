"""What a run was a run of: digests of everything that can change an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from voicebot import __version__
from voicebot.core.conversation import Strict
from voicebot.dialogue.deployment import Deployment

_PACKAGE = Path(__file__).resolve().parents[2]


class SetVersions(Strict):
    """Versions of one run. Two runs with equal versions are runs of the same thing."""

    voicebot: str
    """Release and digest of the package's code."""
    policy: str
    """Its own version, and a digest of policy, clearances, hours and what may be dialled."""
    monitor: str
    """Of the trained weights and the intents."""
    knowledge: str
    """Of the articles and what ranks them."""
    prompt: str
    phrases: str
    tools: str
    shop: str
    writer: str
    golden: str
    """Of the conversations themselves."""


CALL_ROOMS = ("core", "safety", "audio", "dialogue", "handoff", "channels")
"""Rooms of the package that can change what a call does; the others look at it, test it, or start it."""


def call_code() -> str:
    """Release, and digest of the code that can change what a call does."""
    files = (path for room in CALL_ROOMS for path in (_PACKAGE / room).rglob("*.py"))
    return f"{__version__} {_digest(_PACKAGE, files)}"


def versions_of(deployment: Deployment, *, writer: str, golden: Path) -> SetVersions:
    """The versions in force.

    Args:
        deployment: as it is loaded.
        writer: who writes free answers (``grounded``, ``openai:MODEL``, ...).
        golden: the folder of the conversations.
    """
    folder = deployment.folder
    business, models = folder / "business", folder / "models"
    people = [business / "people.yaml", business / "outbound.yaml"]
    policy = [*business.glob("policy*.yaml"), business / "clearances.yaml", *people]
    monitor = [business / "intents.yaml", *business.glob("monitor*.yaml"), *models.glob("intents*")]
    return SetVersions(
        voicebot=f"{__version__} {_digest(_PACKAGE, _PACKAGE.rglob('*.py'))}",
        policy=f"{deployment.policy.version} {_digest(business, policy)}",
        monitor=_digest(folder, [*monitor, *models.glob("monitor*")]),
        knowledge=_digest(folder, [*(business / "knowledge").rglob("*.md"), *models.glob("knowledge*")]),
        prompt=_digest(business, [*(business / "prompts").rglob("*"), business / "models.yaml"]),
        phrases=_digest(business, [business / "phrases.yaml", business / "handoff.yaml"]),
        tools=_digest(folder, (folder / "tools").rglob("*.py")),
        shop=_digest(business, (business / "shop").rglob("*.*")),
        writer=writer,
        golden=_digest(golden, golden.glob("*.yaml")),
    )


def _digest(root: Path, paths: Iterable[Path]) -> str:
    """Twelve hex digits of names and contents; files that are missing are left out."""
    made = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts):
        made.update(str(path.relative_to(root)).encode() + b"\0")
        made.update(hashlib.sha256(path.read_bytes()).digest())
    return made.hexdigest()[:12]
