"""The reference deployment, read and checked once for all tests of a worker: they change copies of it."""

from __future__ import annotations

from pathlib import Path

from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.deployment import Deployment
from voicebot.handoff.desk import StoredHandoffs
from voicebot.handoff.people import People
from voicebot.handoff.reasons import Library

_FOLDER = Path(__file__).resolve().parents[1]

REFERENCE = Deployment.load(_FOLDER)
LIBRARY = Library.read(_FOLDER)
PEOPLE = People.read(_FOLDER)


def stored_handoffs(keys: KeyRing) -> StoredHandoffs:
    """What stores handoffs to the reference deployment's people."""
    return StoredHandoffs(keys, LIBRARY, PEOPLE)
