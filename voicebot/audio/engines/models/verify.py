"""Are the files of a model what they should be? Reads every byte."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from voicebot.audio.engines.models.check import check_format, sha256_of
from voicebot.audio.engines.models.errors import ManifestError, WrongFormat
from voicebot.audio.engines.models.manifest import Model
from voicebot.audio.engines.models.store import Found, Place, PullRecord, Store

_SHA256 = re.compile(r"^[0-9a-f]{64}$")


class State(StrEnum):
    """Of a file, or of the worst file of a model. In order of gravity."""

    OK = "ok"
    UNKNOWN = "no checksum known"
    MISSING = "missing"
    WRONG_FORMAT = "wrong format"
    DAMAGED = "damaged"

    @property
    def bad(self) -> bool:
        """The model should not be used as it is."""
        return self in (State.MISSING, State.WRONG_FORMAT, State.DAMAGED)


@dataclass(frozen=True)
class FileVerdict:
    """One file. ``by``: whose checksum it was held against: ``manifest``, ``first pull`` or ``hub cache``."""

    name: str
    state: State
    by: str = ""
    why: str = ""


@dataclass(frozen=True)
class Verdict:
    """One model."""

    model: Model
    found: Found
    files: tuple[FileVerdict, ...]
    note: str = ""

    @property
    def state(self) -> State:
        """Of the worst file."""
        order = list(State)
        return max((file.state for file in self.files), key=order.index)


def verify(model: Model, found: Found, store: Store) -> Verdict:
    """Compares every file with what is known of it: the manifest, else what the first pull got."""
    record, note = None, ""
    if found.place is Place.DATA:
        try:
            record = PullRecord.load(store.record_path(model))
        except ManifestError as error:
            note = str(error)
    verdicts: list[FileVerdict] = []
    for file in model.files:
        path = found.files.get(file.name)
        if path is None:
            if not file.optional or (record and file.name in record.files):
                verdicts.append(FileVerdict(file.name, State.MISSING))
            continue
        expected, by = file.sha256, "manifest"
        if expected is None and record and file.name in record.files:
            expected, by = record.files[file.name].sha256, "first pull"
        if expected is None and found.place is Place.HUB and (named := _hub_name(path)):
            expected, by = named, "hub cache"
        verdicts.append(_verdict(file.name, path, file.size, expected, by))
    return Verdict(model, found, tuple(verdicts), note)


def _verdict(name: str, path: Path, size: int | None, expected: str | None, by: str) -> FileVerdict:
    try:
        has = path.stat().st_size
        if size is not None and has != size:
            return FileVerdict(name, State.DAMAGED, "manifest", f"{has} bytes, {size} expected")
        if expected is not None and sha256_of(path) != expected:
            return FileVerdict(name, State.DAMAGED, by, "wrong checksum")
        check_format(path)
    except WrongFormat as error:
        return FileVerdict(name, State.WRONG_FORMAT, by, str(error))
    except OSError as error:
        return FileVerdict(name, State.DAMAGED, "", f"cannot be read: {error.strerror}")
    return FileVerdict(name, State.OK, by) if expected else FileVerdict(name, State.UNKNOWN)


def _hub_name(path: Path) -> str | None:
    """huggingface_hub names the large files of its cache by their SHA-256, and links to them."""
    name = path.resolve().name
    return name if _SHA256.match(name) else None
