"""How long a language model may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deadlines:
    """How long an answer may take, in seconds. The first token comes before the call's own fallback (4 s)."""

    first_token_s: float = 2.5
    between_tokens_s: float = 2.0
    whole_s: float = 15.0
