"""What tokens cost. The deployment's own prices first, then the vendors' list prices; unknown stays unknown.

List prices come from the table inside the package genai-prices (installed with pydantic-ai; no network) and
only for the vendors' own endpoints: what a model costs behind an address of your own, only you know.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from voicebot.core.conversation import Strict
from voicebot.core.documents import parse_yaml
from voicebot.dialogue.generation.deadlines import Deadlines

MILLION = 1_000_000


class ModelsError(Exception):
    """business/models.yaml cannot be used; the message names the key."""


class Price(Strict):
    """US dollars for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class Patience(Strict):
    """Deadlines as the deployment sets them, seconds. See `Deadlines`."""

    first_token_s: float = Field(default=2.5, gt=0, le=10)
    between_tokens_s: float = Field(default=2.0, gt=0, le=10)
    whole_s: float = Field(default=15.0, gt=0, le=60)
    first_clause_s: float = Field(default=3.4, gt=0, le=10)
    between_clauses_s: float = Field(default=3.4, gt=0, le=10)


class Models(Strict):
    """``business/models.yaml``: what the deployment knows of its language models. All of it may be left out.

    ``prices``: by the name in ``VOICEBOT_LLM``, such as ``openai:gpt-4.1-mini``.
    """

    prices: dict[str, Price] = Field(default_factory=dict[str, Price])
    list_prices: bool = True
    patience: Patience = Patience()
    max_tokens: int = Field(default=160, ge=16, le=2000)
    temperature: float = Field(default=0.3, ge=0, le=2)

    @classmethod
    def read(cls, path: Path) -> Models:
        """Reads the file; without one everything has its default.

        Raises:
            ModelsError: it cannot be used.
        """
        if not path.exists():
            return cls()
        try:
            document: Any = parse_yaml(path.read_text(encoding="utf-8")) or {}
            return cls.model_validate_json(json.dumps(document))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
            raise ModelsError(f"{path}: is not usable YAML: {type(error).__name__}") from error
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ModelsError(f"{path}: {wrong}") from error

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of an answer."""
        return Deadlines(**self.patience.model_dump())

    def cost_usd(self, writer: str, tokens_in: int, tokens_out: int, *, vendor: bool) -> float | None:
        """What an answer cost in US dollars; None when no price is known.

        Args:
            writer: ``openai:MODEL`` or ``anthropic:MODEL``.
            tokens_in: of the prompt.
            tokens_out: of the answer.
            vendor: the endpoint is the vendor's own.
        """
        own = self.prices.get(writer)
        if own is not None:
            return (own.input * tokens_in + own.output * tokens_out) / MILLION
        if not vendor or not self.list_prices:
            return None
        return _list_price(writer, tokens_in, tokens_out)


def _list_price(writer: str, tokens_in: int, tokens_out: int) -> float | None:
    from genai_prices import Usage, calc_price

    provider, _, model = writer.partition(":")
    try:
        found = calc_price(
            Usage(input_tokens=tokens_in, output_tokens=tokens_out), model_ref=model, provider_id=provider
        )
    except LookupError:
        return None
    return float(found.total_price)
