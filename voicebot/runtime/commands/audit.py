"""``voicebot audit``: verify the chain, export it, anchor it, rotate its key, apply its retention."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

from voicebot.core.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from voicebot.core.store.chain.linking import Linker
    from voicebot.core.store.chain.verifying import Verdict
    from voicebot.core.store.database import Database

commands = typer.Typer(help="The audit: verify its chain, export it, keep it.", no_args_is_help=True)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

T = TypeVar("T")

JsonFlag = Annotated[bool, typer.Option("--json", help="for machines: one JSON document")]


@commands.command("verify")
def verify_command(
    anchors: Annotated[
        list[Path] | None, typer.Option(help="a file of anchors, several times; else this machine's")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Walk the whole chain; exit status 1, and the first bad row by name, if anything was changed."""
    from voicebot.core.store.chain.anchors import anchors_path
    from voicebot.core.store.chain.verifying import verify
    from voicebot.core.store.keys import KeyRing

    settings = _settings()
    own = anchors_path(settings.data_dir)
    files = anchors or ([own] if own.exists() else [])
    if missing := [path for path in files if not path.is_file()]:
        raise typer.BadParameter(f"{missing[0]} is no file", param_hint="--anchors")
    with _database_url(settings) as url:
        verdict = verify(url, KeyRing.from_settings(settings), anchors=files)
    if not files:
        verdict.notes.append("no anchors were given: an end that was cut off would not be seen")
    if as_json:
        typer.echo(json.dumps(verdict.as_dict(), indent=2))
    else:
        _show(verdict)
    raise typer.Exit(0 if verdict.ok else 1)


@commands.command("export")
def export_command() -> None:
    """Every chained row with its link as JSON lines, checkable without the key up to the seals."""
    from voicebot.core.store.chain.exporting import export

    with _database_url(_settings()) as url:
        for line in export(url):
            typer.echo(json.dumps(line, separators=(",", ":")))


@commands.command("anchor")
def anchor_command() -> None:
    """Write the heads into the file of anchors now."""
    from voicebot.runtime.audit_keeping import AuditKeeping

    settings = _settings()

    async def now(database: Database, linker: Linker) -> str | None:
        return await AuditKeeping(database, linker, settings, "cli").anchor()

    digest = _run(settings, now)
    out.print(f"anchored: {digest}" if digest else "nothing new since the last anchor", markup=False)


@commands.command("rotate")
def rotate_command(by: Annotated[str, typer.Option(help="who, for the audit")] = "operator") -> None:
    """Seal with a new key from now on; old ones still prove what they sealed."""
    from voicebot.core.store import audit

    async def rotate(database: Database, linker: Linker) -> str:
        async with database.transaction() as tx:
            key = await linker.seals.rotate(tx)
            await audit.record(tx, action="audit.key_rotated", actor=by, facts={"key": key.id})
        return key.id

    out.print(f"sealing with {_run(_settings(), rotate)} from now on", markup=False)


@commands.command("prune")
def prune_command() -> None:
    """Delete now what is older than VOICEBOT_AUDIT_DAYS and VOICEBOT_ACCESS_LOG_DAYS, and sign for it."""
    from voicebot.runtime.audit_keeping import AuditKeeping

    settings = _settings()

    async def now(database: Database, linker: Linker) -> int:
        return await AuditKeeping(database, linker, settings, "cli").prune()

    out.print(f"{_run(settings, now)} rows were over their time", markup=False)


def _show(verdict: Verdict) -> None:
    for bad in verdict.bad:
        out.print(f"[red]BAD[/red] {bad}")
    for one in verdict.pruned:
        out.print(
            f"shard {one.shard}: pruned up to seq {one.up_to}, {one.rows} rows of before {one.before:%F %T}Z"
        )
    for note in verdict.notes:
        out.print(f"[yellow]note[/yellow] {note}")
    rows, shards = sum(verdict.links.values()), len(verdict.links)
    if verdict.ok:
        out.print(
            f"[green]genuine[/green]: {rows} rows in {shards} shards, {verdict.anchors} anchored heads held"
        )
    else:
        out.print(f"[red]the audit was changed[/red]; the first bad row: {verdict.bad[0]}")


def _run(settings: Settings, do: Callable[[Database, Linker], Awaitable[T]]) -> T:
    from voicebot.core.store.chain.linking import Linker
    from voicebot.core.store.database import Database
    from voicebot.core.store.keys import KeyRing

    async def run(url: str) -> T:
        keys = KeyRing.from_settings(settings)
        linker = Linker(keys)
        database = await Database.open(url, max_size=2, timeout_s=30, at_commit=linker)
        try:
            async with database.transaction() as tx:
                await keys.verify(tx)
            return await do(database, linker)
        finally:
            await database.close()

    with _database_url(settings) as url:
        return asyncio.run(run(url))


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        raise _said(error) from error


@contextmanager
def _database_url(settings: Settings) -> Generator[str]:
    """The database, started for the time of the command if need be; errors that a person can mend, said."""
    from voicebot.core.store.chain.pruning import ChainBroken
    from voicebot.core.store.database import DatabaseDown
    from voicebot.core.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
    from voicebot.core.store.keys import KeysError
    from voicebot.core.store.migrate import SchemaMismatch, expected_version, found_version

    postgres = None
    try:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        else:
            postgres = EmbeddedPostgres.attach(settings.data_dir)
            url = postgres.url
        if (found := found_version(url)) != expected_version():
            raise SchemaMismatch(found or "", expected_version())
        yield url
    except (KeysError, DatabaseDown, EmbeddedPostgresError, SchemaMismatch, ChainBroken, OSError) as error:
        raise _said(error) from error
    finally:
        if postgres is not None:
            postgres.stop()


def _said(error: Exception) -> typer.Exit:
    err.print(f"voicebot: {error}", style="red", markup=False)
    return typer.Exit(2)
