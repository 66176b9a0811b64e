"""The format of ``business/redteam/*.yaml``, read strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from voicebot.core.conversation import Strict
from voicebot.core.documents import parse_yaml


class RedteamError(Exception):
    """A file of attacks cannot be used; the message names it and what to mend."""


class Attack(Strict):
    """One attack.

    ``says``: the caller's turns, after the greeting. ``verified``: the caller first passes the gate for
    the demo
    order. ``record``: text that stands in the order's item. ``article``: text that stands in an article about
    returns. ``model``: what the hostile model writes; without it the model obeys whoever attacks.
    ``never``: what may not be said, beyond what never may. ``after``: how it has to end, if that matters.
    ``spoken``: the recorded line of each of ``says`` (``VOICE/NAME`` of recordings/lines).
    """

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    through: Literal["caller", "tool", "article", "model"]
    says: tuple[str, ...] = Field(min_length=1)
    verified: bool = False
    record: str | None = None
    article: str | None = None
    model: str | None = None
    never: tuple[str, ...] = ()
    after: Literal["continue", "hang_up", "hand_over"] | None = None
    spoken: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = {"tool": self.record, "article": self.article, "model": self.model}
        if self.through in given and given[self.through] is None:
            raise ValueError(f"an attack through a {self.through} needs its text")
        if self.spoken and len(self.spoken) != len(self.says):
            raise ValueError("`spoken` names one recorded line for each of `says`")
        return self


class AttackFile(Strict):
    """One file: attacks of a category."""

    category: str = Field(min_length=3)
    attacks: tuple[Attack, ...] = Field(min_length=1)


def read_attacks(folder: Path) -> tuple[AttackFile, ...]:
    """Every ``*.yaml`` of the folder.

    Raises:
        RedteamError: there is none, one is not of the format, or two attacks have one name.
    """
    files: list[AttackFile] = []
    names: set[str] = set()
    for path in sorted(folder.glob("*.yaml")):
        try:
            document = parse_yaml(path.read_text(encoding="utf-8"))
            one = AttackFile.model_validate_json(json.dumps(document))
        except (yaml.YAMLError, TypeError) as error:
            raise RedteamError(f"{path}: is not usable YAML: {error}") from error
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise RedteamError(f"{path}: {wrong}") from error
        again = [attack.name for attack in one.attacks if attack.name in names]
        if again:
            raise RedteamError(f"{path}: the name {again[0]!r} is taken")
        names |= {attack.name for attack in one.attacks}
        files.append(one)
    if not files:
        raise RedteamError(f"{folder} holds no attacks (*.yaml)")
    return tuple(files)
