"""Who writes an answer: a writer for each route, who steps in when one fails, who is left alone a while.

    writers = make_writers(settings, deployment.prompts, deployment.models, deployment.phrases)
    writers.planned(request)      # route, writer, prompt: for the decision, before a word is written

The quoted article (`grounded`) is always there and ends every chain. Shared by all conversations of a node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog

from voicebot.core import metrics
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import Route, Strict
from voicebot.dialogue.generation.breaker import Breaker
from voicebot.dialogue.generation.deadlines import Deadlines
from voicebot.dialogue.generation.grounded import GroundedResponder, Quote, compose
from voicebot.dialogue.generation.prices import Models
from voicebot.dialogue.generation.report import Attempt, WritingReport, conclude, observe
from voicebot.dialogue.generation.request import (
    ENDPOINT_FAILURES,
    GenerationFailed,
    GenerationRequest,
    Generator,
)
from voicebot.dialogue.phrases import Phrases

log = structlog.get_logger(__name__)


class Planned(Strict):
    """Who will write, as far as can be known before: what a decision is stored with."""

    route: Route
    writer: str
    prompt: str = ""


@dataclass
class Writer:
    """One writer with its circuit. ``model``: it costs, and may fail."""

    route: Route
    generator: Generator
    model: bool
    vendor: bool = False
    breaker: Breaker = field(default_factory=Breaker)


class Writers:
    """A writer for each route.

    Args:
        grounded: the built-in responder.
        small: the model of ``VOICEBOT_LLM``, if it names one.
        strong: the model of ``VOICEBOT_LLM_STRONG``, if it is set; else the small one writes.
        models: prices and deadlines.
        deadlines: seconds, if they are not those of ``models``.
        clock: seconds.
    """

    def __init__(
        self,
        grounded: Generator,
        small: Generator | None = None,
        strong: Generator | None = None,
        *,
        models: Models | None = None,
        deadlines: Deadlines | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self.models = models or Models()
        self.deadlines = deadlines or self.models.deadlines
        self.clock = clock
        self._grounded = Writer(Route.GROUNDED, grounded, model=False)
        self._by_route: dict[Route, Writer] = {}
        for route, generator in ((Route.SMALL, small), (Route.STRONG, strong)):
            if generator is not None:
                vendor = bool(getattr(generator, "vendor", False))
                self._by_route[route] = Writer(route, generator, model=True, vendor=vendor)

    @classmethod
    def of(cls, generator: Generator, *, clock: Clock = monotonic) -> Writers:
        """One writer for everything, the quoted article behind it."""
        if isinstance(generator, GroundedResponder):
            return cls(generator, clock=clock)
        return cls(GroundedResponder(), generator, clock=clock)

    @property
    def names(self) -> Mapping[Route, str]:
        """Who writes on each route."""
        return {
            route: self.chain(route)[0].generator.name
            for route in (Route.GROUNDED, Route.SMALL, Route.STRONG)
        }

    @property
    def failures(self) -> int:
        """Failures in a row of the language model that is held back now, 0 while one may be asked."""
        now = self.clock()
        held = [one.breaker.failures for one in self._by_route.values() if one.breaker.is_open(now)]
        return max(held) if held and len(held) == len(self._by_route) else 0

    def chain(self, asked: Route) -> tuple[Writer, ...]:
        """The writers for a route in the order in which they are tried: never a stronger one than asked
        for.
        """
        tried = {
            Route.STRONG: (Route.STRONG, Route.SMALL),
            Route.SMALL: (Route.SMALL,),
        }.get(asked, ())
        models = tuple(self._by_route[route] for route in tried if route in self._by_route)
        return (*models, self._grounded)

    def costs(self, asked: Route) -> bool:
        """Whether a model may be asked for an answer on this route."""
        return self.chain(asked)[0].model

    def planned(self, request: GenerationRequest) -> Planned:
        """Who will write this answer if nobody fails; writers whose circuit is open are passed over."""
        now = self.clock()
        writer = next(
            one for one in self.chain(request.route) if not (one.model and one.breaker.is_open(now))
        )
        prompt_version = getattr(writer.generator, "prompt_version", None)
        prompt = prompt_version(request) if prompt_version is not None else ""
        return Planned(route=writer.route, writer=writer.generator.version, prompt=prompt)

    def quote(self, request: GenerationRequest, phrases: Phrases | None = None) -> Quote:
        """The quoted article at once, with its report: for an answer that is known before it is said."""
        began_s = self.clock()
        quoted = compose(request, phrases)
        grounded = self._grounded
        attempt = Attempt(Route.GROUNDED, grounded.generator.version, began_s, model=False)
        attempt.first_token_s = attempt.ended_s = self.clock()
        took_ms = round((attempt.ended_s - began_s) * 1000, 1)
        report = WritingReport(
            route=Route.GROUNDED,
            asked_route=request.route,
            writer=grounded.generator.version,
            first_token_ms=took_ms,
            whole_ms=took_ms,
            fell_back=tuple(f"{one.route}:left_alone" for one in self.chain(request.route)[:-1]),
            outcome="answered" if quoted.text else "unknown",
        )
        observe(attempt, 0.0)
        conclude(report)
        return replace(quoted, report=report)

    def allows(self, writer: Writer) -> bool:
        """Whether a writer may be tried now. Ask once per try, and tell how it went."""
        return not writer.model or writer.breaker.allows(self.clock())

    def went(self, writer: Writer, failed: GenerationFailed | None) -> None:
        """How a try ended. A failure of the answer alone says that the endpoint is well."""
        if not writer.model:
            return
        was_open = writer.breaker.is_open(self.clock())
        if failed is None or failed.failure not in ENDPOINT_FAILURES:
            writer.breaker.succeeded()
        else:
            writer.breaker.failed(self.clock(), failed.wait_s)
        is_open = writer.breaker.is_open(self.clock())
        metrics.writer_open.labels(writer.generator.name).set(is_open)
        if is_open and not was_open:
            log.warning(
                "generation.writer_left_alone",
                writer=writer.generator.name,
                seconds=round(writer.breaker.opened_for_s, 1),
            )

    def given_up(self, writer: Writer) -> None:
        """The caller did not want the answer any more."""
        if writer.model:
            writer.breaker.given_up()

    def cost_usd(self, writer: Writer, attempt: Attempt) -> float | None:
        """What a try cost; None when nobody knows."""
        if not writer.model or not attempt.charged:
            return 0.0
        return self.models.cost_usd(
            writer.generator.name, attempt.tokens_in, attempt.tokens_out, vendor=writer.vendor
        )

    async def close(self) -> None:
        """Lets go of all connections."""
        for writer in (*self._by_route.values(), self._grounded):
            await writer.generator.close()
