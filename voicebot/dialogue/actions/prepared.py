"""A checked call that can be run: what is proposed, read back, agreed to and then done. Pure values."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from voicebot.core.conversation import Strict
from voicebot.dialogue.actions.tool import Outcome, Tool


@dataclass(frozen=True, slots=True)
class Prepared:
    """One call of a tool with checked arguments, and for a change the terms on which it will be made.

    ``terms`` is the result that the change will have, as the records said it when it was proposed: the
    amount, the items. It comes from the records only, never from words. None in reads, and until it was read.
    """

    tool: Tool
    request: Strict = field(repr=False)
    terms: Outcome | None = field(default=None, repr=False)

    @property
    def canonical(self) -> str:
        """Request and terms as JSON, the same text for the same call; `ToolRegistry.restore` reads it."""
        return json.dumps(
            {
                "request": self.request.model_dump(mode="json"),
                "terms": None if self.terms is None else self.terms.model_dump(mode="json"),
            },
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )

    def digest(self, *, customer_id: str, policy_version: str) -> str:
        """SHA-256 over tool, canonical arguments, customer and policy version, in hexadecimal digits.

        Whoever agreed to one digest has agreed to nothing else.
        """
        parts = (self.tool.name, self.canonical, customer_id, policy_version)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def must_hear(self) -> dict[str, Any]:
        """The values that the caller must have heard, by name; typed as the models have them."""
        heard: dict[str, Any] = {}
        for name in self.tool.reads_back:
            in_terms = self.terms is not None and name in type(self.terms).model_fields
            heard[name] = getattr(self.terms if in_terms else self.request, name)
        return heard

    @property
    def values(self) -> dict[str, Any]:
        """Everything that can be said of the call, by name: what the records say, else what was asked for."""
        said: dict[str, Any] = {name: getattr(self.request, name) for name in type(self.request).model_fields}
        if self.terms is not None:
            said |= {
                name: value
                for name in type(self.terms).model_fields
                if (value := getattr(self.terms, name)) is not None
            }
        return said

    @property
    def arguments(self) -> dict[str, Any]:
        """The request as plain values."""
        return self.request.model_dump(mode="json")

    def on(self, terms: Outcome) -> Prepared:
        """The same call on these terms."""
        return replace(self, terms=terms)

    def departs(self, result: Outcome) -> tuple[str, ...]:
        """Names of the read-back fields in which what was done differs from what was agreed to."""
        return tuple(
            name
            for name in self.tool.reads_back
            if self.terms is not None
            and name in type(self.terms).model_fields
            and getattr(self.terms, name) != getattr(result, name)
        )
