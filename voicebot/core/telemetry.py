"""Structured logs, configured once per process.

Every line is one JSON object (or a coloured line on a terminal) with the process name and
whatever was bound for the call: ``conversation``, ``transaction``. Messages are static
text; what callers say never goes into them. Pipecat and uvicorn are led into the same sink
at INFO and above, since their DEBUG lines hold transcripts.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

_DIGIT_RUN = re.compile(r"(?<![\w-])\+?\d(?:[\s-]?\d){5,}(?![\w-])")

Record = MutableMapping[str, Any]


def mask_digits(_: Any, __: str, record: Record) -> Record:
    """Replaces runs of six or more digits in every string value: a last net, not the rule.

    Our ids are hexadecimal with a prefix and stay readable.
    """
    for key, value in record.items():
        if key not in {"timestamp", "pid", "address"} and isinstance(value, str):
            record[key] = _DIGIT_RUN.sub("[digits]", value)
    return record


def configure_logging(process: str, *, json_lines: bool | None = None) -> None:
    """Sends this process's logs to stderr.

    Args:
        process: name on every line, e.g. ``node-1``.
        json_lines: one JSON object a line; None means yes unless stderr is a terminal.
    """
    level = getattr(logging, os.environ.get("VOICEBOT_LOG_LEVEL", "INFO").upper(), logging.INFO)
    as_json = not sys.stderr.isatty() if json_lines is None else json_lines
    renderer: Callable[..., Any] = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    shared: list[Callable[..., Any]] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                mask_digits,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.INFO))
    for noisy in (
        "httpx",
        "httpcore",
        "uvicorn.access",
        "websockets",
        "grpc",
        "alembic",
        "uvicorn.error",
        "aiortc",
        "aioice",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(process=process)


def adopt_loguru() -> None:
    """Leads loguru (Pipecat's logger) into ours: INFO and above, message only."""
    from loguru import logger as loguru_logger

    log = logging.getLogger("pipecat")

    def sink(message: Any) -> None:
        record = message.record
        log.log(record["level"].no, "%s: %s", record["name"], record["message"])

    loguru_logger.remove()
    loguru_logger.add(sink, level="INFO")
