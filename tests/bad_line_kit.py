"""A whole call over a line that misbehaves, in virtual time: real Silero, listening, conversing and speaking.

The caller's audio is a list of ``Packet``s, each with the time of its arrival, its timestamp and its samples;
what a bad line does is a function from such a list to another. What the caller heard is worked out from
what was sent when, as a phone would play it, so that a stall of the loop does not stall the phone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.workers.runner import WorkerRunner
from sound_fakes import Ear, FakeEars, FakeJudge, FakeSpeech

from tests.media_client import line
from voicebot.audio.hearing.events import HearingEvent
from voicebot.audio.hearing.vad import VoiceActivity, shared_silero
from voicebot.audio.mulaw import decode, encode
from voicebot.audio.recording.writer import Recorder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.channels.phone.call import PhoneCall, PhoneKit
from voicebot.channels.phone.conversing import Conversing
from voicebot.channels.phone.listening import PhoneListening
from voicebot.channels.phone.speaking import PhoneSpeaking
from voicebot.channels.twilio.wire import Media
from voicebot.core.bus import Bus
from voicebot.core.conversation import (
    Action,
    CallStarted,
    Clause,
    Decision,
    Heard,
    Route,
    TurnInput,
    TurnTimings,
)
from voicebot.dialogue.inbox import Inbox

Pcm = npt.NDArray[np.int16]
ID = "cv_test"
GREETING = "Hello there."
ANSWER = "Here is your answer."
FILLER = "One moment please."
WORDS = "how long do I have to send something back"
ANSWERED = Decision(intent="x", tier=0, action=Action.ANSWER, route=Route.FIXED, policy_row="row")


class Packet(NamedTuple):
    """One media message: when it arrives (s since the call began), its timestamp (ms), its mu-law."""

    arrives_s: float
    timestamp_ms: int
    ulaw: bytes


def quiet(ms: int) -> Pcm:
    return np.zeros(ms * 8, np.int16)


def speech(name: str = "returns", voice: str = "rms") -> Pcm:
    """A recorded line without the silence around it."""
    pcm = decode(line(voice, name))
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 400)
    return pcm[loud[0] : loud[-1] + 1]


def packets(*pieces: Pcm, ms: int = 20) -> list[Packet]:
    """A perfect line."""
    ulaw = encode(np.concatenate(pieces))
    step = ms * 8
    return [
        Packet((at + step) / 8000, at // 8, ulaw[at : at + step]) for at in range(0, len(ulaw) - step, step)
    ]


@dataclass
class Turn:
    """A plan and a commit in one."""

    turn: int
    clauses: tuple[str, ...]
    input: TurnInput
    decision: Decision = ANSWERED
    transaction_id: str = "tx"
    after: str = "continue"
    silent: bool = False
    early: bool = False


class Dialogue:
    """Answers every turn with the same words; keeps the turns, and what was heard of the answers."""

    def __init__(self, answer: Sequence[str]) -> None:
        self.inbox = Inbox()
        self.answer = tuple(answer)
        self.inputs: list[TurnInput] = []
        self.timings: list[TurnTimings] = []
        self.heard_of: dict[int, Heard] = {}

    def veil(self, conversation_id: str, text: str, *, so_far: bool = False) -> str:
        return text

    async def settle(self, conversation_id: str, given: TurnInput) -> Turn:
        self.inputs.append(given)
        await asyncio.sleep(0.02)
        greets = isinstance(given, CallStarted)
        return Turn(len(self.inputs), (GREETING,) if greets else self.answer, given)

    async def commit(self, plan: Turn) -> Turn:
        await asyncio.sleep(0.01)
        return plan

    async def withdraw(self, conversation_id: str) -> None:
        return None

    async def discard(self, plan: Turn) -> None:
        return None

    async def words(self, committed: Turn) -> AsyncIterator[Clause]:
        for text in committed.clauses:
            yield Clause(text=text)

    async def heard(self, conversation_id: str, turn: int, heard: Heard, timings: TurnTimings) -> None:
        self.heard_of[turn] = heard
        self.timings.append(timings)


class Lines:
    """The deployment's phrases."""

    def filler(self, nth: int = 0) -> Clause:
        return Clause(text=FILLER, fixed=True)

    def fallback(self) -> Clause:
        return Clause(text="Sorry this takes too long.", fixed=True)


class Session(Ear):
    """The media socket: packets at their times, and the caller's ear."""

    conversation_id = ID
    resumed = False
    returned = None

    def __init__(self, sent: Sequence[Packet]) -> None:
        super().__init__()
        self.began = asyncio.get_running_loop().time()
        self.sent = sorted(sent, key=lambda packet: packet.arrives_s)
        self.over = asyncio.Event()

    async def messages(self) -> AsyncIterator[Media]:
        clock = asyncio.get_running_loop().time
        for number, packet in enumerate(self.sent):
            due = self.began + packet.arrives_s
            if due > clock():
                await asyncio.sleep(due - clock())
            yield Media("MZ", packet.ulaw, packet.timestamp_ms, number, number, "inbound")
        self.over.set()
        await asyncio.Event().wait()


class Scene:
    """What came of a call."""

    def __init__(self, call: PhoneCall, session: Session, dialogue: Dialogue, ears: FakeEars) -> None:
        self.call = call
        self.session = session
        self.dialogue = dialogue
        self.ears = ears
        self.told: list[HearingEvent] = []
        tell = call.heard.put_nowait

        def keep(event: HearingEvent) -> None:
            self.told.append(event)
            tell(event)

        call.heard.put_nowait = keep  # type: ignore[method-assign]

    def all(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def kinds(self) -> list[str]:
        """Of the turns, without the call's start."""
        return [given.kind for given in self.dialogue.inputs[1:]]

    def fed(self) -> list[Pcm]:
        """What the recogniser was given, by utterance."""
        return [np.frombuffer(bytes(one.fed), dtype=np.int16) for one in self.ears.opened]

    def sounds(self) -> list[tuple[float, float]]:
        """The bot at the caller's ear: from, to; seconds since the call began."""
        runs: list[tuple[float, float]] = []
        for at, kind, what in self.session.log:
            now = at - self.session.began
            if kind == "clear" and runs:
                runs = [(begin, min(end, now)) for begin, end in runs if begin < now]
            elif kind == "media":
                assert isinstance(what, bytes)
                begin = max(now, runs[-1][1] if runs else 0.0)
                runs.append((begin, begin + len(what) / 8000))
        joined: list[tuple[float, float]] = []
        for begin, end in runs:
            if joined and begin - joined[-1][1] < 0.03:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((begin, end))
        return joined

    def answered_after(self, spoken_until_s: float) -> float:
        """Seconds from the end of the caller's words to the bot's next sound."""
        return min(begin for begin, _ in self.sounds() if begin >= spoken_until_s - 0.2) - spoken_until_s

    def longest_silence(self, voiced: Sequence[tuple[float, float]], until_s: float) -> float:
        """The longest time in which nobody made a sound."""
        runs = sorted([*voiced, *self.sounds(), (until_s, until_s)])
        silent, end = 0.0, 0.0
        for begin, to in runs:
            silent = max(silent, min(begin, until_s) - end)
            end = max(end, to)
        return silent


@dataclass
class Listening(FakeEars):
    """A recogniser that reads ``texts`` where there is a voice, and nothing in what is none."""

    texts: Sequence[str] = (WORDS,) * 40
    decode_s: float = 0.05
    opened: list[Any] = field(default_factory=list)


@asynccontextmanager
async def a_call(
    folder: Path,
    sent: Sequence[Packet],
    *,
    ears: FakeEars | None = None,
    vad: Callable[[], VoiceActivity] = lambda: shared_silero().voice(),
    judge: FakeJudge | None = None,
    answer: Sequence[str] = (ANSWER,),
    silence_s: float = 60.0,
) -> AsyncIterator[Scene]:
    """The call, until all packets were read; at its end nothing may be left running."""
    before = asyncio.all_tasks()
    ears = ears or Listening()
    dialogue = Dialogue(answer)
    kit = PhoneKit(
        dialogue=cast("Any", dialogue),
        phrases=Lines(),
        transcriber=ears,
        speech=FakeSpeech(),
        judge=judge or FakeJudge(),
        vad=vad,
        phrase_cache=PhraseCache(None),
        bus=Bus(),
        recorder=cast("Any", None),
        silence_s=silence_s,
        speculation=False,
    )
    session = Session(sent)
    clock = asyncio.get_running_loop().time
    call = PhoneCall(kit, cast("Any", session), Recorder(folder / "call", bytes(32), ID), clock)
    session.on_mark = call.speaker.mark_returned
    worker = PipelineWorker(
        Pipeline([PhoneListening(call), Conversing(call), PhoneSpeaking(call)]),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    call.queue_frames = worker.queue_frames
    scene = Scene(call, session, dialogue, ears)
    running = asyncio.create_task(runner.run())
    try:
        await session.over.wait()
        yield scene
    finally:
        await worker.cancel()
        await asyncio.wait({running}, timeout=5)
        await call.close()
        await session.close()
    await asyncio.sleep(1)
    assert asyncio.all_tasks() == before
