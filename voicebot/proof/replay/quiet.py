"""A program of its own says its result, not what a server would log while it takes calls."""

from __future__ import annotations

import logging

from voicebot.core.telemetry import configure_logging


def quietly(process: str) -> None:
    """Errors only, of us and of Pipecat (which logs through loguru, at DEBUG with what callers said)."""
    from loguru import logger

    logger.remove()
    configure_logging(process)
    logging.getLogger().setLevel(logging.ERROR)
