"""``voicebot models``: what the commands show and do, around ``voicebot.audio.engines.models``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn
from rich.table import Table

from voicebot.audio.engines.choice import Machine, models_dir
from voicebot.audio.engines.models.download import Downloader
from voicebot.audio.engines.models.manifest import Manifest, Model, ModelFile, manifest_path
from voicebot.audio.engines.models.pull import Pulled, pull
from voicebot.audio.engines.models.store import Found, Place, Store
from voicebot.audio.engines.models.verify import State, Verdict, verify
from voicebot.core.settings import Settings

HUB = "https://huggingface.co"


def store_of(settings: Settings) -> Store:
    """The models of the server with these settings.

    Raises:
        ManifestError: the manifest cannot be used.
    """
    path = manifest_path(settings.deployment)
    return Store(Manifest.load(path), models_dir(settings), Machine.here().hub, path.parent)


@dataclass(frozen=True)
class Row:
    """A model, and what of it is here."""

    model: Model
    found: Found | None
    partial_bytes: int

    @property
    def state(self) -> str:
        """In a word or two."""
        if self.found is not None and self.found.complete:
            return "here"
        if self.partial_bytes:
            share = f" {100 * self.partial_bytes // self.model.size} %" if self.model.size else ""
            return f"broken pull{share}"
        return "incomplete" if self.found else "-"

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        model, found = self.model, self.found
        return {
            "name": model.name,
            "aliases": list(model.aliases),
            "kind": model.kind,
            "language": model.language,
            "demo": model.demo,
            "listed": model.listed,
            "repository": model.repository,
            "revision": model.revision if model.repository else None,
            "licence": model.licence.model_dump(),
            "size": model.size,
            "checksums": "all" if model.pinned else "some" if any(f.sha256 for f in model.files) else "none",
            "state": self.state,
            "place": found.place.value if found else None,
            "path": str(found.path) if found else None,
            "missing": list(found.missing) if found else [],
            "partial_bytes": self.partial_bytes,
        }


def rows(store: Store) -> list[Row]:
    """Every model, those of the manifest first."""
    return [Row(model, found, store.partial_bytes(model)) for model, found in store.all()]


def show_rows(listed: Iterable[Row], out: Console) -> None:
    """A table for people."""
    table = Table(box=None, pad_edge=False)
    for column in ("name", "kind", "MB", "licence", "here", "where"):
        justify = "right" if column == "MB" else "left"
        table.add_column(column, justify=justify, no_wrap=column in ("name", "MB"), overflow="fold")
    for row in listed:
        model, found = row.model, row.found
        size = found.size if found and found.complete else model.size
        name = f"{model.name} ({', '.join(model.aliases)})" if model.aliases else model.name
        where = f"{found.place}: {found.path}" if found else ""
        cells = (name, model.kind, f"{size / 1e6:.0f}" if size else "?", model.licence.name, row.state, where)
        table.add_row(*map(escape, cells), style="bold" if found and found.complete else None)
    out.print(table)


def pull_model(name: str, settings: Settings, out: Console, *, force: bool = False) -> Pulled | None:
    """Pulls one model, its licence shown before; None: it is here already, and checked.

    Raises:
        ModelsError: see there.
    """
    store = store_of(settings)
    model = store.manifest.find(name)
    # httpx logs each request with its address at INFO, across the progress bar.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    terms = model.licence
    out.print(f"{model.name}: {model.kind}, {_megabytes(model.size)}", markup=False)
    out.print(f"  licence: {terms.name} ({terms.url}){': ' + terms.note if terms.note else ''}", markup=False)
    here = next((f for f in store.places(model) if f.place is not Place.HUB and f.complete), None)
    if here is not None and not force:
        verdict = verify(model, here, store)
        if not verdict.state.bad:
            out.print(f"  already in {here.path}; checked: {verdict.state}", markup=False)
            return None
        out.print(f"  what lies in {here.path} is {verdict.state}: pulling it again", markup=False)
    with Downloader(settings.models_mirror or HUB) as downloader:
        out.print(f"  from: {downloader.hub}/{model.repository} ({model.revision})", markup=False)
        with _Bar(model, out) as bar:
            done = pull(model, store, downloader, bar.at)
    if done.first_use:
        out.print(
            f"  no checksum was known for {', '.join(done.first_use)}: trusted on this first use. What came "
            "is recorded, and `voicebot models verify` compares with it",
            markup=False,
        )
    out.print(f"  in {done.path} ({done.size / 1e6:.0f} MB)", markup=False)
    return done


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:.0f} MB" if size is not None else "size not known beforehand"


class _Bar:
    """One line per file; a bar where somebody looks at a terminal."""

    def __init__(self, model: Model, out: Console) -> None:
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeLeftColumn(),
        )
        self._progress = Progress(*columns, console=out, disable=not out.is_terminal)
        self._plain = None if out.is_terminal else out
        self._tasks: dict[str, TaskID] = {}
        self._width = max(len(file.name) for file in model.files)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def at(self, file: ModelFile, done: int, total: int | None) -> None:
        """See ``FileProgress``."""
        if file.name not in self._tasks:
            self._tasks[file.name] = self._progress.add_task(file.name.ljust(self._width), total=total)
        self._progress.update(self._tasks[file.name], completed=done, total=total)
        if self._plain and done == total:
            self._plain.print(f"  {file.name}: {done} bytes", markup=False)
            sys.stdout.flush()


def verify_models(name: str | None, store: Store) -> list[Verdict]:
    """One model by name, or all that are on this machine.

    Raises:
        UnknownModel: no such name.
    """
    if name is None:
        return [verify(model, found, store) for model, found in store.all() if found is not None]
    model, found = store.named(name)
    return [verify(model, place, store) for place in store.places(model)] if found else []


def verdict_dict(verdict: Verdict) -> dict[str, Any]:
    """For machines."""
    return {
        "name": verdict.model.name,
        "kind": verdict.model.kind,
        "place": verdict.found.place.value,
        "path": str(verdict.found.path),
        "state": verdict.state.value,
        "note": verdict.note,
        "files": [
            {"name": f.name, "state": f.state.value, "by": f.by or None, "why": f.why} for f in verdict.files
        ],
    }


_COLOURS = {State.OK: "green", State.UNKNOWN: "yellow"}


def show_verdicts(verdicts: Iterable[Verdict], out: Console) -> None:
    """For people: a line per model, and one per file that is not well."""
    for verdict in verdicts:
        colour = _COLOURS.get(verdict.state, "red")
        by = sorted({file.by for file in verdict.files if file.by and file.state is State.OK})
        against = f" (by {', '.join(by)})" if by else ""
        where = escape(f"{verdict.found.place}: {verdict.found.path}")
        out.print(f"[{colour}]{verdict.state}[/{colour}] {escape(verdict.model.name)}{against}  {where}")
        for file in verdict.files:
            if file.state.bad:
                out.print(f"    {file.name}: {file.state}{', ' + file.why if file.why else ''}", markup=False)
        if verdict.note:
            out.print(f"    {verdict.note}", markup=False)
        if verdict.state.bad and verdict.model.repository is not None:
            out.print(f"    -> voicebot models pull {verdict.model.name}", markup=False)


RECOMMENDED = {"whisper": "base.en", "piper": "en_US-ljspeech-medium"}
"""What ``doctor`` names to a server without any: quick on one core, and free for commercial use."""


def better(settings: Settings, store: Store) -> tuple[list[str], list[str]]:
    """The complete models on this machine, and the commands that would get what is missing."""
    found = [f for _, f in store.all() if f is not None and f.complete and f.model.kind in RECOMMENDED]
    here = [f"{f.model.name} ({f.place}{', for demo and tests only' if f.model.demo else ''})" for f in found]
    kinds = {f.model.kind for f in found if not f.model.demo}
    english = settings.language == "en" or settings.language.startswith("en-")
    names = {**RECOMMENDED, "whisper": "base.en" if english else "base"}
    missing = [name for kind, name in names.items() if kind not in kinds and (english or kind == "whisper")]
    return here, [f"voicebot models pull {name}" for name in missing]
