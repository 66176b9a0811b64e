"""What an answer took: by whom it was written, how long, how many tokens, what it cost. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from voicebot.core import metrics
from voicebot.core.conversation import Route, Strict
from voicebot.dialogue.generation.request import Meter

CHARS_PER_TOKEN = 4
"""For tokens that nobody counted, because the answer was cut: about right for English, marked as a guess."""

Outcome = Literal["answered", "unknown", "cancelled"]


class WritingReport(Strict):
    """How one written part came about. Times from the moment its writing began.

    ``asked_route``: policy's. ``route``, ``writer``: whose words were said. ``prompt``: name, version and
    digest of its prompt. Tokens and cost: of all writers that were tried; ``estimated`` when an endpoint
    never told. ``cost_usd``: None when a price is not known. ``fell_back``: writers given up, as
    ``route:failure``.
    """

    route: Route
    asked_route: Route
    writer: str
    prompt: str = ""
    first_token_ms: float | None = None
    whole_ms: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    estimated: bool = False
    cost_usd: float | None = 0.0
    fell_back: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    """Why clauses were stopped before they became sound: reason and kind of value, no words."""
    outcome: Outcome = "answered"


@dataclass
class Attempt:
    """One writer's try at an answer. ``charged``: the endpoint took the request, so tokens may be billed."""

    route: Route
    writer: str
    began_s: float
    model: bool
    meter: Meter = field(default_factory=Meter)
    first_token_s: float | None = None
    ended_s: float | None = None
    chars_out: int = 0
    charged: bool = True

    @property
    def counted(self) -> bool:
        """Whether the endpoint told all its tokens."""
        return not self.model or not self.charged or (self.meter.finished and None not in self._told())

    @property
    def tokens_in(self) -> int:
        """Tokens of the prompt."""
        if not self.model or not self.charged:
            return 0
        told = self.meter.tokens_in
        return told if told is not None else -(-self.meter.prompt_chars // CHARS_PER_TOKEN)

    @property
    def tokens_out(self) -> int:
        """Tokens of the answer. A count told before the end is less than what was sent."""
        if not self.model or not self.charged:
            return 0
        told, guess = self.meter.tokens_out, -(-self.chars_out // CHARS_PER_TOKEN)
        return told if told is not None and self.meter.finished else max(told or 0, guess)

    def _told(self) -> tuple[int | None, int | None]:
        return self.meter.tokens_in, self.meter.tokens_out


def observe(attempt: Attempt, cost_usd: float | None) -> None:
    """Counts one writer's try."""
    route = attempt.route.value
    if attempt.first_token_s is not None:
        metrics.writing_first_token_s.labels(route).observe(attempt.first_token_s - attempt.began_s)
    if attempt.ended_s is not None:
        metrics.writing_s.labels(route).observe(attempt.ended_s - attempt.began_s)
    metrics.writing_tokens.labels(route, "in").inc(attempt.tokens_in)
    metrics.writing_tokens.labels(route, "out").inc(attempt.tokens_out)
    if cost_usd:
        metrics.writing_cost_usd.labels(route).inc(cost_usd)


def conclude(report: WritingReport) -> None:
    """Counts one answer."""
    metrics.writings.labels(report.asked_route.value, report.route.value, report.outcome).inc()
    for failed in report.fell_back:
        route, _, failure = failed.partition(":")
        metrics.writing_fallbacks.labels(route, failure).inc()
