"""``models/manifest.json``: every model this version knows by name, from where, how large, under which terms.

A checksum stands in it only where it is known: two independent public sources agree on it, or the model was
made in this repository. Elsewhere it is null, ``pull`` records what it got the first time (trust on first
use), and ``verify`` compares with that.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

import voicebot
from voicebot.audio.engines.models.errors import ManifestError, UnknownModel

FORMAT = 1
"""Of the manifest and of the records that ``pull`` leaves. Another one is refused, not guessed at."""

PIPER_REPOSITORY = "rhasspy/piper-voices"
PIPER_NAME = re.compile(
    r"^(?P<code>(?P<family>[a-z]{2,3})_[A-Z]{2})-(?P<voice>\w+)-(?P<quality>x_low|low|medium|high)$"
)

Kind = Literal["whisper", "piper", "monitor"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# A bare file name: it becomes a path in the data directory.
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFile(_Strict):
    """One file of a model.

    Attributes:
        name: as it is called on disk.
        path: inside the hub's repository, where that differs from the name.
        size: bytes, or None where not known.
        sha256: hex, or None where not known.
        optional: the model works without it, and the hub may not have it.
    """

    name: FileName
    path: Annotated[str, StringConstraints(pattern=r"^[\w][\w./-]*$")] | None = None
    size: Annotated[int, Field(gt=0)] | None = None
    sha256: Sha256 | None = None
    optional: bool = False

    @property
    def hub_path(self) -> str:
        """Inside the hub's repository."""
        return self.path or self.name


class Licence(_Strict):
    """The terms of a model's weights, as their maker states them."""

    name: str
    url: str
    note: str = ""


class Model(_Strict):
    """One model.

    Attributes:
        name: as faster-whisper or Piper knows it.
        aliases: other names of the same files.
        repository: on the hub, ``owner/name``; None: made in this repository.
        revision: a commit, tag or branch on the hub.
        folder: where a model made in this repository lies, relative to ``models/``.
        demo: made for demo and tests; never picked by ``auto``.
        listed: stands in the manifest; else a voice by Piper's naming rule, or something copied here by hand.
    """

    name: Name
    kind: Kind
    licence: Licence
    files: tuple[ModelFile, ...]
    aliases: tuple[Name, ...] = ()
    repository: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    revision: Annotated[str, StringConstraints(pattern=r"^[\w.-]+$")] = "main"
    folder: str | None = None
    language: str = ""
    demo: bool = False
    note: str = ""
    listed: bool = True

    @model_validator(mode="after")
    def _one_home(self) -> Model:
        homes = (self.repository is not None) + (self.folder is not None)
        if homes != 1 and (self.listed or homes):
            raise ValueError("needs either a repository on the hub or a folder here")
        if not self.files:
            raise ValueError("has no files")
        return self

    @property
    def size(self) -> int | None:
        """Bytes of all files; None if one of them is not known."""
        sizes = [file.size for file in self.files if not file.optional]
        return sum(size for size in sizes if size is not None) if None not in sizes else None

    @property
    def pinned(self) -> bool:
        """Every file's checksum is known beforehand."""
        return all(file.sha256 for file in self.files if not file.optional)


class Manifest(_Strict):
    """All of them."""

    format: Literal[1]
    models: tuple[Model, ...]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Manifest:
        names = [name for model in self.models for name in (model.name, *model.aliases)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return self

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Reads it.

        Raises:
            ManifestError: it is missing, damaged, or of another format.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(f"the list of models {path} cannot be read: {error}") from error
        found = re.search(r'"format"\s*:\s*(\d+)', text)
        if found and int(found[1]) != FORMAT:
            raise ManifestError(
                f"{path} has format {found[1]}, this version reads {FORMAT}: take this version's manifest"
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ManifestError(f"{path} is damaged: {where}: {first['msg']}; restore it from git") from error

    def find(self, name: str) -> Model:
        """The model of that name; under an alias, the same files with that name.

        A Piper voice that is not listed is found by Piper's own naming rule, without size or checksum.

        Raises:
            UnknownModel: no such name.
        """
        for model in self.models:
            if name == model.name:
                return model
            if name in model.aliases:
                return model.model_copy(update={"name": name, "aliases": (model.name,)})
        if voice := _piper_voice(name):
            return voice
        known = ", ".join(model.name for model in self.models if model.repository)
        raise UnknownModel(
            f"there is no model {name!r}. Known: {known}; or any Piper voice, named like en_US-lessac-medium"
        )


def manifest_path(deployment: Path) -> Path:
    """The deployment's manifest, else the one beside the package."""
    ours = deployment / "models" / "manifest.json"
    beside = Path(voicebot.__file__).resolve().parent.parent / "models" / "manifest.json"
    return ours if ours.is_file() or not beside.is_file() else beside


def _piper_voice(name: str) -> Model | None:
    parts = PIPER_NAME.match(name)
    if parts is None:
        return None
    folder = f"{parts['family']}/{parts['code']}/{parts['voice']}/{parts['quality']}"
    card = f"https://huggingface.co/{PIPER_REPOSITORY}/blob/main/{folder}/MODEL_CARD"
    return Model(
        name=name,
        kind="piper",
        licence=Licence(name="not known here", url=card, note="read the voice's card before you use it"),
        files=tuple(
            ModelFile(name=f"{name}{end}", path=f"{folder}/{name}{end}") for end in (".onnx", ".onnx.json")
        ),
        repository=PIPER_REPOSITORY,
        language=parts["code"],
        listed=False,
    )
