"""``python -m voicebot.audio.engines.host KIND --listen unix:PATH``: one engine in a process of its own.

Loads the engine once, warms it up, and only then says SERVING. With ``--parent`` it dies with the
process that started it, even by ``kill -9``. Exit status 78: it cannot be started as asked, and the last
line on standard error says why and what to do.
"""

from __future__ import annotations

import os

# Before numpy and its kin are imported: engines share the machine, none takes every core for itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from voicebot.audio.engines.hosted import HostedSpeech, HostedTranscriber
from voicebot.audio.engines.rpc import CANNOT_START
from voicebot.audio.engines.server import EngineServer
from voicebot.audio.engines.types import EngineUnavailable
from voicebot.audio.engines.work import Workshop
from voicebot.core.process import die_with_parent

log = structlog.get_logger(__name__)

KINDS = ("sphinx", "whisper", "pipecat", "espeak", "piper", "smart-turn")
MAX_LINE = 64
"""Engine calls that may wait in a host; more are refused as overload."""


def log_to_stderr() -> None:
    """One JSON object a line. Plain traces: structlog's own would print local variables, words included."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


def load(kind: str, options: argparse.Namespace) -> Any:
    """The engine, loaded and warm. Blocking; imports only what this kind needs.

    Raises:
        EngineUnavailable: it cannot be started as asked.
    """
    model: str | None = options.model
    match kind:
        case "sphinx":
            from voicebot.audio.engines.sphinx import SphinxEngine

            engine: Any = SphinxEngine(options.phrases)
        case "espeak":
            from voicebot.audio.engines.espeak import EspeakEngine

            engine = EspeakEngine(model or "en-us")
        case "whisper":
            from voicebot.audio.engines.whisper.engine import WhisperEngine

            if model is None:
                raise EngineUnavailable("which Whisper? --model takes a directory or a name such as base.en")
            engine = WhisperEngine(
                model, options.models, language=options.language, audio_clock=options.audio_clock
            )
        case "piper":
            from voicebot.audio.engines.piper import PiperEngine

            if model is None:
                raise EngineUnavailable("which voice? --model takes an .onnx file or a name")
            engine = PiperEngine(model, options.models)
        case "pipecat":
            _silence_loguru()
            from voicebot.audio.engines.pipecat_service import PipecatEngine

            if model is None:
                raise EngineUnavailable("which service? --model takes its name in Pipecat, such as deepgram")
            engine = PipecatEngine(model, language=options.language)
        case "smart-turn":
            _silence_loguru()
            from voicebot.audio.engines.smart_turn import SmartTurnEngine

            engine = SmartTurnEngine()
        case _:
            raise EngineUnavailable(f"there is no engine {kind!r}: choose one of {', '.join(KINDS)}")
    engine.warm_up()
    return engine


def _silence_loguru() -> None:
    """Pipecat logs through loguru, to standard error and with what callers said at DEBUG."""
    from loguru import logger

    logger.remove()


async def serve(kind: str, options: argparse.Namespace) -> None:
    """Loads the engine and serves it until SIGTERM or SIGINT."""
    began = time.monotonic()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    engine = await asyncio.to_thread(load, kind, options)
    workshop = Workshop(kind, engine.threads, MAX_LINE)
    server = EngineServer(kind, engine.model, workshop=workshop, notes=engine.notes)
    if hasattr(engine, "transcriber"):
        transcriber = engine.transcriber(workshop)
        server.recognise_with(transcriber, transcriber.report)
    elif hasattr(engine, "open"):
        server.recognise_with(HostedTranscriber(engine, workshop))
    elif hasattr(engine, "say"):
        server.speak_with(HostedSpeech(engine, workshop))
    else:
        server.judge_with(engine, workshop)
    await server.listen(options.listen)
    server.ready()
    log.info("engine_serving", engine=kind, model=engine.model, seconds=round(time.monotonic() - began, 2))
    await stop.wait()
    await server.stop()
    workshop.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m voicebot.audio.engines.host", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--listen", required=True, help="unix:PATH or HOST:PORT")
    parser.add_argument("--model", help="a model's name or path, a voice, a service")
    parser.add_argument("--phrases", type=Path, help="the deployment's phrases file (YAML)")
    parser.add_argument("--models", type=Path, help="where a model asked for by name is kept")
    parser.add_argument("--language", default="en", help="of the callers, for Whisper and cloud services")
    parser.add_argument(
        "--audio-clock", action="store_true", help="Whisper reads at fixed points of the audio (replay)"
    )
    parser.add_argument("--parent", type=int, help="process id of the starter: die with it")
    options = parser.parse_args(arguments)
    if options.parent is not None:
        die_with_parent(options.parent)
    log_to_stderr()
    try:
        asyncio.run(serve(options.kind, options))
    except EngineUnavailable as error:
        print(f"engine {options.kind}: {error}", file=sys.stderr)  # noqa: T201  # for whoever started it
        return CANNOT_START
    except (OSError, ValueError) as error:
        print(f"engine {options.kind}: {error}", file=sys.stderr)  # noqa: T201  # same
        return CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
