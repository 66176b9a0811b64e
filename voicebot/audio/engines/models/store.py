"""Where each model lies: pulled into the data directory, in the local hub cache, or made in this repository.

The layout is the one ``choice`` looks in: ``DATA/models/whisper/NAME/`` holds a Whisper model,
``DATA/models/piper/NAME.onnx`` with ``NAME.onnx.json`` beside it a voice. What ``pull`` got stands in a
record beside it, so that a directory copied to another machine can be verified there too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from voicebot.audio.engines.models.errors import ManifestError
from voicebot.audio.engines.models.manifest import FORMAT, Kind, Licence, Manifest, Model, ModelFile, Sha256

_WHISPER_FILES = ("config.json", "model.bin", "tokenizer.json")


class Place(StrEnum):
    """Where a model lies; in the order in which one is taken."""

    DATA = "data directory"
    HUB = "hub cache"
    REPOSITORY = "repository"


class FileRecord(BaseModel):
    """What was got for one file, and by what it was checked then: ``manifest`` or ``first use``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    sha256: Sha256
    checked: str


class PullRecord(BaseModel):
    """What ``pull`` leaves beside a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    name: str
    source: str
    revision: str
    files: dict[str, FileRecord]

    @classmethod
    def load(cls, path: Path) -> PullRecord | None:
        """The record, or None where there is none.

        Raises:
            ManifestError: damaged, or of another format.
        """
        if not path.is_file():
            return None
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and content.get("format") != FORMAT:  # pyright: ignore[reportUnknownMemberType]
                raise ManifestError(
                    f"{path} has format {content.get('format')}, this version reads {FORMAT}: "  # pyright: ignore[reportUnknownMemberType]
                    "pull the model again"
                )
            return cls.model_validate(content)
        except (OSError, ValueError, ValidationError) as error:
            raise ManifestError(f"{path} is damaged: pull the model again") from error


@dataclass(frozen=True)
class Found:
    """A model on this machine.

    Attributes:
        path: what an engine is given: a directory, or a voice's ``.onnx``.
        files: every file that is there, by name.
        missing: required files that are not.
    """

    model: Model
    place: Place
    path: Path
    files: dict[str, Path]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Nothing is missing."""
        return not self.missing

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.files.values())


class Store:
    """The models of one server.

    Args:
        manifest: what is known.
        models: ``DATA/models``; need not exist.
        hub: huggingface_hub's cache; need not exist.
        repository: the deployment's ``models/``.
    """

    def __init__(self, manifest: Manifest, models: Path, hub: Path, repository: Path) -> None:
        self.manifest = manifest
        self.models = models
        self._hub = hub
        self._repository = repository

    def home(self, model: Model) -> Path:
        """The directory that a pulled model's files go to."""
        return self.models / "whisper" / model.name if model.kind == "whisper" else self.models / model.kind

    def record_path(self, model: Model) -> Path:
        """Where the record of a pulled model goes."""
        home = self.home(model)
        return home / "pull.json" if model.kind == "whisper" else home / f"{model.name}.pull.json"

    def staging(self, model: Model) -> Path:
        """Where a model lies while it is being pulled; on the same file system as its home."""
        return self.models / ".partial" / f"{model.kind}--{model.name}"

    def partial_bytes(self, model: Model) -> int:
        """What a broken pull left, to go on from."""
        folder = self.staging(model)
        parts = folder.iterdir() if folder.is_dir() else ()
        return sum(p.stat().st_size for p in parts if p.suffix not in {".lock", ".etag"} and p.is_file())

    def find(self, model: Model) -> Found | None:
        """The model here: the first complete one, else the first incomplete one, else None."""
        found = list(self.places(model))
        return next((f for f in found if f.complete), found[0] if found else None)

    def places(self, model: Model) -> Iterator[Found]:
        """Everywhere it lies, best first."""
        if model.folder is not None:
            yield from self._in(model, Place.REPOSITORY, self._repository / model.folder)
            return
        yield from self._in(model, Place.DATA, self.home(model))
        if model.repository is None:
            return
        snapshots = self._hub / f"models--{model.repository.replace('/', '--')}" / "snapshots"
        folders = sorted(snapshots.iterdir()) if snapshots.is_dir() else []
        for snapshot in sorted(folders, key=lambda folder: folder.name != model.revision):
            yield from self._in(model, Place.HUB, snapshot)

    def _in(self, model: Model, place: Place, folder: Path) -> Iterator[Found]:
        files = {f.name: folder / (f.hub_path if place is Place.HUB else f.name) for f in model.files}
        there = {name: path for name, path in files.items() if path.is_file()}
        if not there:
            return
        missing = tuple(f.name for f in model.files if f.name not in there and not f.optional)
        path = (
            there.get(f"{model.name}.onnx", files[model.files[0].name]) if model.kind == "piper" else folder
        )
        yield Found(model, place, path, there, missing)

    def all(self) -> list[tuple[Model, Found | None]]:
        """Every model of the manifest, then what else lies in the data directory."""
        listed = [(model, self.find(model)) for model in self.manifest.models]
        aliased = (self.manifest.find(alias) for model in self.manifest.models for alias in model.aliases)
        others = [(model, found) for model in (*aliased, *self._unlisted()) if (found := self.find(model))]
        return [*listed, *((model, found) for model, found in others if found.place is Place.DATA)]

    def named(self, name: str) -> tuple[Model, Found | None]:
        """One model by name, listed or copied here.

        Raises:
            UnknownModel: no such name.
        """
        for model in self._unlisted():
            if model.name == name:
                return model, self.find(model)
        model = self.manifest.find(name)
        return model, self.find(model)

    def _unlisted(self) -> Iterator[Model]:
        """Models that somebody copied here, or pulled by Piper's naming rule."""
        known = {name for model in self.manifest.models for name in (model.name, *model.aliases)}
        whisper, piper = self.models / "whisper", self.models / "piper"
        for folder in sorted(whisper.iterdir()) if whisper.is_dir() else ():
            if folder.name not in known and any((folder / name).is_file() for name in _WHISPER_FILES):
                vocabulary = sorted(p.name for p in folder.glob("vocabulary.*"))
                yield from _copied("whisper", folder.name, (*_WHISPER_FILES, *vocabulary))
        for voice in sorted(piper.glob("*.onnx")) if piper.is_dir() else ():
            name = voice.name.removesuffix(".onnx")
            if name not in known:
                yield from _copied("piper", name, (f"{name}.onnx", f"{name}.onnx.json"))


def _copied(kind: Kind, name: str, files: tuple[str, ...]) -> Iterator[Model]:
    """A model that is not listed; none if its name could not be typed as one."""
    terms = Licence(name="not known here", url="")
    with suppress(ValidationError):
        yield Model(
            name=name, kind=kind, licence=terms, files=tuple(ModelFile(name=n) for n in files), listed=False
        )
