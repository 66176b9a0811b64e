"""Who answers for the bot, by name: for each tier, each prompt, and when something has gone wrong. Strict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, model_validator

from voicebot.core.conversation import Strict

Person = Annotated[str, Field(pattern=r"^\S+( \S+)+$")]
"""Forename and surname: a role or a team answers no telephone."""


OTHERS = "others"
"""Among the owners of prompts: of every prompt that is not named."""


class Incidents(Strict):
    """Whom to call, and who does when they do not answer. ``reach``: a number, E.164."""

    owner: Person
    deputy: Person
    reach: Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]

    @model_validator(mode="after")
    def _two(self) -> Self:
        if self.owner == self.deputy:
            raise ValueError("`deputy` must be somebody else than `owner`")
        return self


class Owners(Strict):
    """Named owners. ``prompts``: by the prompt's name, ``others`` for all that are not named."""

    tiers: dict[int, Person]
    prompts: dict[str, Person]
    incidents: Incidents

    @model_validator(mode="after")
    def _each_tier(self) -> Self:
        missing = sorted({0, 1, 2, 3} - set(self.tiers))
        strange = sorted(set(self.tiers) - {0, 1, 2, 3})
        if missing or strange:
            raise ValueError(f"`tiers` names tiers 0 to 3, each once: missing {missing}, unknown {strange}")
        return self


def unowned(owners: Owners, prompts: Iterable[str]) -> tuple[list[str], list[str]]:
    """The prompts that nobody answers for, and owners of prompts that are not there, by name."""
    known = set(prompts)
    named = set(owners.prompts)
    missing = [] if OTHERS in named else sorted(known - named)
    return missing, sorted(named - known - {OTHERS})
