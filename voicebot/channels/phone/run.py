"""Runs a call's pipeline from the first frame to the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from pipecat.frames.frames import ErrorFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.workers.runner import WorkerRunner

from voicebot.channels.legs import CallOutcome, Leg
from voicebot.channels.phone.call import PhoneCall, PhoneKit
from voicebot.core import metrics, witness
from voicebot.core.clock import Clock, monotonic

log = structlog.get_logger(__name__)

RATE_HZ = 8000

SETTLE_S = 2.5
"""How long a call that is over may take to write down what was heard last."""

Parts = Callable[[PhoneCall], Sequence[FrameProcessor]]


async def run_call(
    kit: PhoneKit,
    parts: Parts,
    session: Leg,
    live: set[PhoneCall],
    *,
    clock: Clock = monotonic,
) -> CallOutcome:
    """Runs one media session through ``parts`` (the deployment's ``pipelines/phone.py``).

    The call stands in ``live`` while it runs. Returns when the media went away or the bot has nothing more
    to say. Everything that the call opened is closed when it returns, cancellation included.
    """
    structlog.contextvars.bind_contextvars(conversation=session.conversation_id)
    metrics.calls_started.labels(str(session.resumed).lower()).inc()
    metrics.calls_active.inc()
    recorder = await kit.recorder(session.conversation_id)
    call = PhoneCall(kit, session, recorder, clock)
    with witness.told_to(call.evidence.note):  # every task of the pipeline is begun in here
        return await _run(call, parts, live)


async def _run(call: PhoneCall, parts: Parts, live: set[PhoneCall]) -> CallOutcome:
    outcome = CallOutcome(kind="lost", reason="cancelled")
    worker = PipelineWorker(
        Pipeline(list(parts(call))),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)

    async def failed(_: PipelineWorker, frame: ErrorFrame) -> None:
        """A part raised: Pipecat goes on without what it was doing, and nobody may ever speak again."""
        log.error("call.part_failed", part=str(frame.processor), exc_info=frame.exception)
        metrics.turns_to_person.labels("internal_error").inc()
        call.finish(CallOutcome(kind="handoff", reason="internal_error"))

    worker.add_event_handler("on_pipeline_error", failed)
    call.queue_frames = worker.queue_frames
    running = asyncio.create_task(runner.run())
    live.add(call)
    try:
        await asyncio.wait({running, call.over}, return_when=asyncio.FIRST_COMPLETED)
        if not call.over.done():
            running.result()  # a pipeline that ends by itself is a fault: say which
            call.finish(CallOutcome(kind="lost", reason="pipeline ended"))
        outcome = call.over.result()
        await call.settle(SETTLE_S)
        return outcome
    finally:
        live.discard(call)
        await worker.cancel()
        await asyncio.wait({running}, timeout=5.0)
        await call.close()
        metrics.calls_active.dec()
        metrics.calls_ended.labels(outcome.kind).inc()
