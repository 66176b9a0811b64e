"""Who may be told what about a customer, and what for: ``business/clearances.yaml``. Default is no. Pure.

clearances = Clearances.read(path, intents=known)
clearances.refusal(Feature.SEGMENT, intent="order_status", role=Role.BOT, region=None, purpose=Purpose.ROUTE)
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from voicebot.core.conversation import Strict
from voicebot.core.documents import parse_yaml
from voicebot.dialogue.memory.features import Feature, Layer, Purpose, Role

ANY = "*"


class ClearanceError(Exception):
    """The file cannot be used; the message names the line and what to change."""


class Clearance(Strict):
    """One line: for these roles and purposes, with these intents, in these regions (``*``: any)."""

    roles: tuple[Role, ...] = Field(min_length=1)
    purposes: tuple[Purpose, ...] = Field(min_length=1)
    intents: tuple[str, ...] = Field(min_length=1)
    regions: tuple[str, ...] = Field(default=(ANY,), min_length=1)

    def covers(self, intent: str, role: Role, region: str | None, purpose: Purpose) -> bool:
        """Whether the line says yes. An unknown region is covered by ``*`` alone."""
        return (
            role in self.roles
            and purpose in self.purposes
            and (ANY in self.intents or intent in self.intents)
            and (ANY in self.regions or region in self.regions)
        )


class Retention(Strict):
    """Days that something is kept after it was last true."""

    contact: int = Field(ge=1, le=730)
    """What a conversation was about, and how it went."""
    slot: int = Field(ge=1, le=730)
    """A value the customer gave, so that he need not give it again."""


class Clearances(Strict):
    """The whole file. Immutable; shared by all conversations of a node."""

    version: str = Field(min_length=1)
    keep_days: Retention
    never_recalled: tuple[str, ...] = ()
    """Topics that the bot never brings up by itself."""
    remembered_slots: tuple[str, ...] = ()
    """Names of values that may be kept for the next conversation; identity factors and codes never are."""
    features: dict[Feature, tuple[Clearance, ...]]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = sorted(set(Feature) - set(self.features))
        if missing:
            raise ValueError(f"features {', '.join(missing)} have no line; `[]` clears them for nobody")
        for feature, lines in self.features.items():
            kept = feature.layer is not Layer.PROFILE
            if kept and any(not p.serves_the_customer for line in lines for p in line.purposes):
                raise ValueError(
                    f"features.{feature}: what is kept to serve him is for no training or marketing"
                )
        return self

    @classmethod
    def read(cls, path: Path, *, intents: Collection[str]) -> Clearances:
        """The file, checked against the deployment's intents.

        Raises:
            ClearanceError: missing, not YAML, an unknown feature, role, purpose, intent or key.
        """
        try:
            document: Any = parse_yaml(path.read_text(encoding="utf-8"))
            found = cls.model_validate_json(json.dumps(document))
        except OSError as error:
            raise ClearanceError(f"{path}: {error.strerror}; without it nothing is cleared") from error
        except (yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
            raise ClearanceError(f"{path}: is not usable YAML: {error}") from error
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, e['loc'])) or '(whole file)'}: {e['msg']}" for e in error.errors()]
            raise ClearanceError(f"{path}:\n  " + "\n  ".join(wrong)) from error
        found._check(path, frozenset(intents))
        return found

    @property
    def regional(self) -> bool:
        """Whether some line asks where the customer lives."""
        return any(ANY not in line.regions for lines in self.features.values() for line in lines)

    def refusal(
        self, feature: Feature, *, intent: str, role: Role, region: str | None, purpose: Purpose
    ) -> Literal["not_cleared"] | None:
        """Why it is not handed out; None: it is."""
        lines = self.features.get(feature, ())
        return None if any(line.covers(intent, role, region, purpose) for line in lines) else "not_cleared"

    def _check(self, path: Path, known: frozenset[str]) -> None:
        for feature, lines in self.features.items():
            for number, line in enumerate(lines):
                if strangers := sorted(set(line.intents) - known - {ANY}):
                    raise ClearanceError(
                        f"{path}: features.{feature}.{number}.intents: {strangers} are not in intents.yaml"
                    )
        if strangers := sorted(set(self.never_recalled) - known):
            raise ClearanceError(f"{path}: never_recalled: {strangers} are not in intents.yaml")
