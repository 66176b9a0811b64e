"""Pulling a model: every file fetched and checked aside, then put in place in one step.

An engine never sees half a model: files come into ``models/.partial/``, and only a whole one that was
checked is moved to where ``choice`` looks. One pull of a model at a time, across processes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from voicebot.audio.engines.models.check import check_format, sha256_of
from voicebot.audio.engines.models.download import NO_ROOM, Absent, Downloader, Got
from voicebot.audio.engines.models.errors import DiskFull, NotWritable, PullRunning, UnknownModel, WrongFormat
from voicebot.audio.engines.models.manifest import Model, ModelFile
from voicebot.audio.engines.models.store import FileRecord, PullRecord, Store

RECORD = "pull.json"

SPARE_BYTES = 64 << 20
"""Room that stays free for the server that runs on the same disk (64 MiB)."""

FileProgress = Callable[[ModelFile, int, int | None], None]
"""A file, its bytes so far, and in all (None: not known yet)."""


@dataclass(frozen=True)
class Pulled:
    """What a pull did.

    Attributes:
        path: what an engine is given.
        first_use: files whose checksum nobody knew before; what came is what ``verify`` compares with.
    """

    path: Path
    size: int
    first_use: tuple[str, ...]


def pull(model: Model, store: Store, downloader: Downloader, progress: FileProgress) -> Pulled:
    """Fetches a model into the data directory, in the place of what lies there.

    Raises:
        ModelsError: see there. A broken download is gone on with next time; whatever else happens, the
            place of the model holds a whole one, the old one, or nothing.
    """
    if model.repository is None:
        raise UnknownModel(
            f"{model.name} is not on the hub: it was made in this repository, or copied here by hand"
        )
    try:
        with _alone(model, store.staging(model)) as staging:
            record = _pull(model, model.repository, store, staging, downloader, progress)
    except OSError as error:
        raise NotWritable(
            f"{error.filename or store.models}: {error.strerror}. Mend it, or set VOICEBOT_DATA_DIR to a "
            "directory that this user can write"
        ) from error
    found = store.find(model)
    assert found is not None
    first = tuple(name for name, file in record.files.items() if file.checked == "first use")
    return Pulled(found.path, found.size, first)


def _pull(
    model: Model,
    repository: str,
    store: Store,
    staging: Path,
    downloader: Downloader,
    progress: FileProgress,
) -> PullRecord:
    _demand_room(model, store)
    try:
        got = _fetch_all(model, repository, staging, downloader, progress)
        for name in got:
            _check_or_drop(staging / name)
        record = _record(model, downloader, got)
        (staging / RECORD).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        _put_in_place(model, store, staging, tuple(got))
    except DiskFull:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        shutil.rmtree(staging, ignore_errors=True)
        raise _full(store, 0) from error
    return record


def _fetch_all(
    model: Model, repository: str, staging: Path, downloader: Downloader, progress: FileProgress
) -> dict[str, Got]:
    got: dict[str, Got] = {}
    for file in model.files:
        target = staging / file.name
        if target.is_file():
            # Came whole in an earlier try. Without a known checksum it is cheaper to believe than to prove.
            there = Got(target.stat().st_size, sha256_of(target))
            if there.sha256 == file.sha256 or (
                file.sha256 is None and there.size == (file.size or there.size)
            ):
                got[file.name] = there
                progress(file, there.size, there.size)
                continue
            target.unlink()
        url = downloader.url(repository, model.revision, file.hub_path)
        try:
            got[file.name] = downloader.fetch(
                url, file, target, lambda done, total, file=file: progress(file, done, total)
            )
        except Absent:
            if not file.optional:
                raise
    return got


def _check_or_drop(path: Path) -> None:
    try:
        check_format(path)
    except WrongFormat:
        path.unlink()
        raise


def _record(model: Model, downloader: Downloader, got: dict[str, Got]) -> PullRecord:
    known = {file.name: file.sha256 for file in model.files}
    files = {
        name: FileRecord(size=g.size, sha256=g.sha256, checked="manifest" if known[name] else "first use")
        for name, g in got.items()
    }
    return PullRecord(
        name=model.name, source=f"{downloader.hub}/{model.repository}", revision=model.revision, files=files
    )


def _put_in_place(model: Model, store: Store, staging: Path, names: tuple[str, ...]) -> None:
    home = store.home(model)
    if model.kind == "whisper":
        home.parent.mkdir(parents=True, exist_ok=True)
        # The new directory is made whole beside the old one; two renames change them over.
        fresh, old = staging.with_name(staging.name + ".new"), staging.with_name(staging.name + ".old")
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir()
        for name in (*names, RECORD):
            (staging / name).rename(fresh / name)
        if home.exists():
            home.rename(old)
        fresh.rename(home)
        shutil.rmtree(old, ignore_errors=True)
    else:
        home.mkdir(parents=True, exist_ok=True)
        # No old voice with a new configuration, and the voice last: alone it is not taken by ``choice``.
        (home / f"{model.name}.onnx").unlink(missing_ok=True)
        for name in sorted(names, key=lambda name: name.endswith(".onnx")):
            (staging / name).replace(home / name)
        (staging / RECORD).replace(store.record_path(model))
    shutil.rmtree(staging, ignore_errors=True)


def _demand_room(model: Model, store: Store) -> None:
    size = model.size
    if size is None:
        return
    due = size - store.partial_bytes(model)
    if due + SPARE_BYTES > shutil.disk_usage(store.models).free:
        raise _full(store, due)


def _full(store: Store, due: int) -> DiskFull:
    free = shutil.disk_usage(store.models).free
    spare = f"{SPARE_BYTES / 1e6:.0f} MB stay free for the server"
    need = f"{due / 1e6:.0f} MB are still to come and {spare}, " if due else ""
    return DiskFull(
        f"no room for the model: {need}{free / 1e6:.0f} MB are free on the disk of {store.models}. "
        "Free some space, or set VOICEBOT_DATA_DIR to another disk"
    )


@contextmanager
def _alone(model: Model, staging: Path) -> Generator[Path]:
    """Nobody else pulls this model meanwhile; the lock goes with the process, however that ends."""
    staging.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(staging.with_name(staging.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PullRunning(f"{model.name} is being pulled by another process: wait for it") from error
        staging.mkdir(exist_ok=True)
        yield staging
    finally:
        os.close(lock)
