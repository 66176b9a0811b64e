"""A stock Pipecat phone bot on loopback, speaking Twilio's wire, to measure voicebot against.

Pipecat 1.14 as its documents show it: FastAPI transport with the Twilio serializer at 8 kHz, Silero and
smart-turn from the user aggregator, segmented recognition, default interruptions. The engines are
voicebot's hosts, in processes of their own (see ``stock_services``); with ``--whisper`` recognition is
Pipecat's WhisperSTTService instead.

    .venv/bin/python -m scripts.bench.stock_bot [--port 0] [--answers answers.yaml]

``--stub-judge``: smart-turn is not asked; every turn is over once it falls silent (see ``stub_engines``).

Prints one JSON line, ``{"url": "http://127.0.0.1:..."}``, when it takes calls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from loguru import logger
from pipecat.audio.turn.smart_turn.base_smart_turn import BaseSmartTurn
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import TurnAnalyzerUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from scripts.bench.answers import Answers, read_answers
from scripts.bench.stock_services import CannedLLM, HostSTT, HostTTS, PhoneWhisperSTT
from voicebot.audio.engines.choice import choose
from voicebot.audio.engines.client import GrpcSpeech, GrpcTranscriber
from voicebot.audio.engines.hosts import EngineHosts
from voicebot.core.process import die_with_parent
from voicebot.core.settings import load_settings

RATE_HZ = 8000
ANSWERS = Path(__file__).with_name("answers.yaml")

TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://{host}/media"/></Connect></Response>'


class StubJudge(BaseSmartTurn):
    """Smart-turn without its model: the turn is over, at once."""

    def _predict_endpoint(self, audio_array: np.ndarray) -> dict[str, Any]:
        return {"prediction": 1, "probability": 0.95}


def own_judge() -> UserTurnStrategies:
    """Pipecat's strategies with its own smart-turn, loaded for this call."""
    return UserTurnStrategies()


def stub_judge() -> UserTurnStrategies:
    """The same with the stub."""
    return UserTurnStrategies(stop=[TurnAnalyzerUserTurnStopStrategy(turn_analyzer=StubJudge())])


async def run_call(
    websocket: WebSocket,
    recogniser: Callable[[str], SegmentedSTTService],
    speech: GrpcSpeech,
    greeting: str,
    answers: Answers,
    strategies: Callable[[], UserTurnStrategies] = own_judge,
) -> None:
    """One call from the ``start`` message to the end of its socket."""
    _, call = await parse_telephony_websocket(websocket)
    wire = TwilioFrameSerializer(
        call["stream_id"], params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
    )
    transport = FastAPIWebsocketTransport(
        websocket, FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=wire)
    )
    user, assistant = LLMContextAggregatorPair(
        LLMContext(),
        user_params=LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=strategies()
        ),
    )
    stt = recogniser(call["call_id"])
    tts = HostTTS(speech, call["call_id"])
    pipeline = Pipeline(
        [transport.input(), stt, user, CannedLLM(answers), tts, transport.output(), assistant]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        enable_rtvi=False,
    )

    @transport.event_handler("on_client_connected")
    async def greet(_transport: object, _client: object) -> None:
        await worker.queue_frames([TTSSpeakFrame(greeting)])

    @transport.event_handler("on_client_disconnected")
    async def hang_up(_transport: object, _client: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def build(
    hosts: EngineHosts,
    whisper: Path | None,
    shadow: Path | None,
    greeting: str,
    answers: Answers,
    strategies: Callable[[], UserTurnStrategies] = own_judge,
) -> FastAPI:
    """The web application: the voice webhook, the media socket, and what a load test asks for."""
    app = FastAPI()
    transcriber = GrpcTranscriber(hosts.targets.stt)
    if whisper is not None:
        PhoneWhisperSTT(whisper, shadow=shadow)  # loads it

    def recogniser(call: str) -> SegmentedSTTService:
        return HostSTT(transcriber, call) if whisper is None else PhoneWhisperSTT(whisper)

    speech = GrpcSpeech(hosts.targets.tts, hosts.voice_id)

    @app.post("/twilio/voice")
    async def voice(request: Request) -> Response:
        return Response(TWIML.format(host=request.headers["host"]), media_type="application/xml")

    @app.websocket("/media")
    async def media(websocket: WebSocket) -> None:
        await websocket.accept()
        await run_call(websocket, recogniser, speech, greeting, answers, strategies)

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/twilio/status")
    async def status() -> Response:
        return Response(status_code=204)

    return app


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list | None = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(json.dumps({"url": f"http://127.0.0.1:{port}", "pid": os.getpid()}), flush=True)


async def serve(options: argparse.Namespace) -> None:
    """Engine hosts, then the web server, until a signal."""
    overrides = {"deployment": str(options.deployment)} if options.deployment else {}
    settings = load_settings(**overrides)
    with tempfile.TemporaryDirectory(prefix="stock-") as sockets:
        hosts = EngineHosts(
            choose(settings), Path(sockets), phrases=settings.deployment / "business" / "phrases.yaml"
        )
        await hosts.start()
        try:
            strategies = stub_judge if options.stub_judge else own_judge
            answers = read_answers(options.answers)
            app = build(hosts, options.whisper, options.shadow, *answers, strategies)
            config = uvicorn.Config(
                app, host="127.0.0.1", port=options.port, log_level="warning", ws_per_message_deflate=False
            )
            await _Server(config).serve()
        finally:
            await hosts.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--deployment", type=Path, help="whose phrases the recogniser knows")
    parser.add_argument("--answers", type=Path, default=ANSWERS)
    parser.add_argument(
        "--whisper", type=Path, help="recognise by Pipecat's Whisper service with these weights"
    )
    parser.add_argument("--shadow", type=Path, help="with --whisper: weights that decode too, see shadow.py")
    parser.add_argument("--stub-judge", action="store_true", help="smart-turn is not asked")
    parser.add_argument("--parent", type=int, help="end when this process, which started us, ends")
    parser.add_argument("--verbose", action="store_true", help="Pipecat's own log, with what was said")
    options = parser.parse_args()
    if options.parent is not None:
        die_with_parent(options.parent, signal.SIGTERM)
    logger.remove()
    logger.add(sys.stderr, level="DEBUG" if options.verbose else "WARNING")
    asyncio.run(serve(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
