"""One written part, from its writer to clauses that may be said.

A task fills a bounded queue, so that a slow speaker slows the model. Each clause is guarded, its slots are
filled, and it is put into spoken form. When a writer fails, `after` decides from what the caller has heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

import structlog

from voicebot.core import metrics
from voicebot.core.conversation import Clause
from voicebot.dialogue.generation import slots
from voicebot.dialogue.generation.abstaining import next_wording
from voicebot.dialogue.generation.clauses import ClauseSplitter, split
from voicebot.dialogue.generation.refusals import is_refusal
from voicebot.dialogue.generation.report import Attempt, Outcome, WritingReport, conclude, observe
from voicebot.dialogue.generation.request import Failure, GenerationFailed, GenerationRequest
from voicebot.dialogue.generation.speech_guard import SpeechGuard
from voicebot.dialogue.generation.spoken_text import speakable
from voicebot.dialogue.generation.timed import TimedTokens
from voicebot.dialogue.generation.writers import Writer, Writers
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.prompts import NO_ANSWER
from voicebot.safety.guard_out import Block, BlockReason, ClauseGuard

log = structlog.get_logger(__name__)

_QUEUE = 64
_SENTENCE_ENDS = (".", "!", "?")
_UNFINISHED = frozenset({Failure.TOOL, Failure.REFUSAL})
"""After these even whole sentences are no answer: "let me look that up" leads nowhere."""

Next = Literal["stop", "again", "repair"]


@dataclass
class Said:
    """What of an answer has been said: its sentences, and whether the last one is still open."""

    clauses: int = 0
    sentences: int = 0
    half: bool = False

    def add(self, clause: str) -> None:
        """One more clause."""
        self.clauses += 1
        self.half = not ended(clause)
        self.sentences += not self.half


def after(said: Said, failure: Failure) -> Next:
    """What follows when a writer fails. Pure.

    ``again``: the next writer begins. ``repair``: half a sentence was said, so a line says that it begins
    anew. ``stop``: what was said stands, and is whole.
    """
    if said.half:
        return "repair"
    if said.sentences == 0 or failure in _UNFINISHED:
        return "again"
    return "stop"


def ended(text: str) -> bool:
    """Whether a clause ends a sentence."""
    return text.rstrip("\"')”’").endswith(_SENTENCE_ENDS)


class Writing:
    """An answer that is being written. Begins at once; needs a running event loop.

    Args:
        conversation_id: for log lines.
        request: the answer.
        writers: who may write it.
        phrases: the deployment's lines.
        guard: what the output guard knows of this turn.
    """

    def __init__(
        self,
        conversation_id: str,
        request: GenerationRequest,
        writers: Writers,
        phrases: Phrases,
        guard: SpeechGuard = SpeechGuard(),  # noqa: B008  # frozen
    ) -> None:
        self._guard = guard
        self._blocked: list[str] = []
        self._id = conversation_id
        self._request = request
        self._writers = writers
        self._phrases = phrases
        self._queue: asyncio.Queue[Clause | None] = asyncio.Queue(_QUEUE)
        self._began_s = writers.clock()
        self._attempts: list[tuple[Writer, Attempt]] = []
        self._fell_back: list[str] = []
        self._said = Said()
        self._report: WritingReport | None = None
        self._task = asyncio.create_task(self._run())

    @property
    def report(self) -> WritingReport | None:
        """How it came about; None while it is being written."""
        return self._report

    async def clauses(self) -> AsyncGenerator[Clause]:
        """The clauses as they come. Iterate once."""
        while (clause := await self._queue.get()) is not None:
            yield clause

    async def cancel(self) -> None:
        """Ends the writing, if it goes on; nothing is left running, and nobody waits for more clauses."""
        if not self._task.done():
            self._task.cancel()
        await asyncio.wait({self._task})
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def _run(self) -> None:
        outcome: Outcome = "cancelled"
        try:
            outcome = await self._write()
        except Exception as error:  # no traceback: it may quote the caller
            outcome = "unknown"
            log.error("generation.crashed", conversation=self._id, error=type(error).__name__)
        finally:
            self._conclude(outcome)
        await self._queue.put(None)

    async def _write(self) -> Outcome:
        for writer in self._writers.chain(self._request.route):
            waited_s = self._writers.clock() - self._began_s
            patience_s = self._writers.deadlines.patience_s(waited_s, began=self._said.clauses > 0)
            if not writer.model:
                patience_s = self._writers.deadlines.whole_s
            if patience_s is None:
                self._give_up(writer, "no_time")
                continue
            if not self._writers.allows(writer):
                self._give_up(writer, "left_alone")
                continue
            try:
                known = await self._attempt(writer, patience_s)
            except GenerationFailed as failed:
                self._warn(writer, failed)
                match after(self._said, failed.failure):
                    case "stop":
                        if failed.failure is Failure.BLOCKED:  # nobody is left with half of a thought
                            await self._line("guard.out")
                        return "answered"
                    case "repair":
                        await self._line("answer.again")
                        self._said.half = False
                    case "again":
                        pass
                continue
            if not known:
                break
            return "answered"
        if self._said.sentences and not self._said.half:
            return "answered"
        await self._line("know.not")
        return "unknown"

    async def _attempt(self, writer: Writer, patience_s: float) -> bool:
        """One writer's answer, as far as it comes; False: it does not know one.

        Raises:
            GenerationFailed: it did not end as an answer should.
        """
        clock = self._writers.clock
        attempt = Attempt(writer.route, writer.generator.version, clock(), writer.model)
        self._attempts.append((writer, attempt))
        try:
            async with aclosing(self._guarded(writer, attempt, patience_s)) as clauses:
                async for clause in clauses:
                    await self._queue.put(clause)
                    self._said.add(clause.text)
        except asyncio.CancelledError:
            self._writers.given_up(writer)
            raise
        except GenerationFailed as failed:
            attempt.charged = failed.failure not in {
                Failure.UNREACHABLE,
                Failure.RATE_LIMIT,
                Failure.REJECTED,
                Failure.STATUS,
            }
            self._writers.went(writer, failed)
            raise
        except _NotKnown:
            self._writers.went(writer, None)
            return False
        except Exception as error:  # whatever it is, somebody waits for words: the next writer's
            crashed = GenerationFailed(f"crashed: {type(error).__name__}", failure=Failure.BROKEN)
            self._writers.went(writer, crashed)
            raise crashed from error
        finally:
            attempt.ended_s = clock()
        self._writers.went(writer, None)
        return writer.model or self._said.clauses > 0

    async def _guarded(self, writer: Writer, attempt: Attempt, patience_s: float) -> AsyncGenerator[Clause]:
        """Clauses that may be said, at most ``sentences`` of them ending a sentence.

        Raises:
            GenerationFailed: the writer failed, or wrote what may not be said.
            _NotKnown: the articles do not answer, it says.
        """
        splitter, sentences, first = ClauseSplitter(), 0, True
        guard = self._guard.of(self._request)
        tokens = TimedTokens(writer, attempt, self._request, self._writers, patience_s)
        async with aclosing(tokens.tokens()) as stream:
            async for token in stream:
                for text in splitter.feed(token):
                    if writer.model:
                        _check_first(text, first=first)
                    yield self._spoken(text, guard, writer)
                    first = False
                    tokens.clause_stands()
                    sentences += ended(text)
                    if sentences >= self._request.sentences and not self._long(writer):
                        return
        for text in splitter.finish():
            if writer.model:
                _check_first(text, first=first)
            if not ended(text):
                if not attempt.meter.finished:
                    raise GenerationFailed("cut off in a sentence", began=True, failure=Failure.CUT)
                text = text.rstrip(",;: ") + "."
            yield self._spoken(text, guard, writer)
            return
        if self._said.half:
            raise GenerationFailed("cut off in a sentence", began=True, failure=Failure.CUT)

    def _long(self, writer: Writer) -> bool:
        """The built-in responder counts its sentences itself: a lead-in is none."""
        return not writer.model

    def _spoken(self, text: str, guard: ClauseGuard, writer: Writer) -> Clause:
        """A clause as it is said.

        Raises:
            GenerationFailed: it may not be said.
        """
        ruling = guard.check(slots.without(text)) if writer.model else guard.quoted(text)
        if isinstance(ruling, Block):
            self._stopped(ruling.reason, ruling.what)
            raise GenerationFailed(f"output guard: {ruling.reason}", failure=Failure.BLOCKED)
        try:
            filled = slots.fill(text, self._request.results)
        except slots.UnknownSlot as error:
            raise GenerationFailed(str(error), failure=Failure.SLOT) from error
        return Clause(text=speakable(filled))

    async def _line(self, key: str) -> None:
        heard = [one.bot for one in self._request.history]
        for text in split(self._phrases.text(key, next_wording(self._phrases, key, heard))):
            await self._queue.put(Clause(text=text, fixed=self._phrases.is_fixed(key)))

    def _stopped(self, reason: BlockReason, what: str) -> None:
        self._blocked.append(f"{reason}:{what}" if what else str(reason))
        metrics.guard_blocks.labels(str(reason)).inc()

    def _give_up(self, writer: Writer, why: str) -> None:
        self._fell_back.append(f"{writer.route.value}:{why}")

    def _warn(self, writer: Writer, failed: GenerationFailed) -> None:
        self._give_up(writer, failed.failure.value)
        log.warning(
            "generation.failed",
            conversation=self._id,
            turn=self._request.turn,
            writer=writer.generator.name,
            failure=failed.failure.value,
            reason=failed.reason,
            began=self._said.clauses > 0,
        )

    def _conclude(self, outcome: Outcome) -> None:
        now = self._writers.clock()
        costs: list[float | None] = []
        for writer, attempt in self._attempts:
            cost = self._writers.cost_usd(writer, attempt)
            costs.append(cost)
            observe(attempt, cost)
        tried = [attempt for _, attempt in self._attempts]
        last = tried[-1] if tried else None
        first_token_s = min(
            (one.first_token_s for one in tried if one.first_token_s is not None), default=None
        )
        known = [cost for cost in costs if cost is not None]
        self._report = WritingReport(
            route=last.route if last else self._request.route,
            asked_route=self._request.route,
            writer=last.writer if last else "",
            prompt=last.meter.prompt if last else "",
            first_token_ms=None
            if first_token_s is None
            else round((first_token_s - self._began_s) * 1000, 1),
            whole_ms=round((now - self._began_s) * 1000, 1),
            tokens_in=sum(one.tokens_in for one in tried),
            tokens_out=sum(one.tokens_out for one in tried),
            estimated=not all(one.counted for one in tried),
            cost_usd=sum(known) if len(known) == len(costs) else None,
            fell_back=tuple(self._fell_back),
            blocked=tuple(self._blocked),
            outcome=outcome,
        )
        conclude(self._report)


class _NotKnown(Exception):  # a verdict, not a fault
    """The model says that the articles do not answer."""


def _check_first(text: str, *, first: bool) -> None:
    """A first clause may say that there is no answer, in our word or in a refusal's.

    Raises:
        _NotKnown: our word for it.
        GenerationFailed: a refusal.
    """
    if NO_ANSWER in text:
        raise _NotKnown
    if first and is_refusal(text):
        raise GenerationFailed("refused in words", failure=Failure.REFUSAL)
