"""The reference deployment, read and checked once for all tests of a worker: they change copies of it."""

from __future__ import annotations

from pathlib import Path

from voicebot.dialogue.deployment import Deployment

REFERENCE = Deployment.load(Path(__file__).resolve().parents[1])
