"""``voicebot eval``: what the bot must do, held against what it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from voicebot.core.settings import Settings
    from voicebot.proof.evals.reading import GoldenSet
    from voicebot.proof.evals.redteam.run import RedteamRun
    from voicebot.proof.evals.runner import HeldConversation, Run

commands = typer.Typer(
    help="What the bot must do, and must never do: golden conversations, attacks.", no_args_is_help=True
)

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@commands.callback()
def _group() -> None:
    """Evals of the dialogue."""


@commands.command("golden")
def golden(
    deployment: Annotated[Path | None, typer.Option(help="folder with business/golden/")] = None,
    only: Annotated[str | None, typer.Option(help="a name, file or tag; * and ? stand for letters")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for machines: one JSON document")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="write what came into the files, to be read as a diff")
    ] = False,
) -> None:
    """Hold the golden conversations with the bot as it is; exit status 1 if anything differs.

    Runs on a database of its own and stores a record of the run, with the versions it was a run of, in the
    data directory.
    """
    with _says_why():
        _golden(deployment, only, as_json=as_json, update=update)


def _golden(deployment: Path | None, only: str | None, *, as_json: bool, update: bool) -> None:
    from voicebot.core.settings import load_settings
    from voicebot.core.telemetry import configure_logging
    from voicebot.proof.evals.reading import read_set
    from voicebot.proof.evals.records import save
    from voicebot.proof.evals.show import show_conversation, show_summary
    from voicebot.proof.evals.update import update as write

    configure_logging("eval")
    logging.getLogger().setLevel(logging.WARNING)
    settings = load_settings(deployment=str(deployment) if deployment else None)
    golden_set = read_set(settings.deployment / "business" / "golden")

    def shown(held: HeldConversation) -> None:
        if not as_json:
            show_conversation(held, out)

    run = asyncio.run(_run(golden_set, settings, only, shown))
    path = save(settings.data_dir, run.record)
    written = write(golden_set.folder, run.held) if update else ()
    if as_json:
        print(_document(run, path))  # noqa: T201  # the answer
    else:
        show_summary(run, out)
        out.print(f"record: {path}", markup=False)
        for line in written:
            out.print(f"updated {line}", markup=False, style="yellow")
    raise typer.Exit(0 if run.record.ok else 1)


async def _run(
    golden_set: GoldenSet, settings: Settings, only: str | None, shown: Callable[[HeldConversation], None]
) -> Run:
    from voicebot.dialogue.deployment import Deployment
    from voicebot.proof.evals.runner import chosen, run_set
    from voicebot.proof.evals.scratch import prepare, scratch_database

    chosen(golden_set, only)  # a pattern that fits nothing is said before a database is made
    deployment = Deployment.load(settings.deployment)
    with scratch_database() as url:
        await prepare(url, deployment, golden_set.rules)
        return await run_set(
            golden_set, url=url, deployment=deployment, settings=settings, only=only, done=shown
        )


@commands.command("redteam")
def redteam(
    deployment: Annotated[Path | None, typer.Option(help="folder with business/redteam/")] = None,
    only: Annotated[str | None, typer.Option(help="a name or category; * and ? stand for letters")] = None,
    by_voice: Annotated[
        bool,
        typer.Option("--voice", help="the recorded attacks, as the recogniser (VOICEBOT_STT) hears them"),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for machines: one JSON document")] = False,
) -> None:
    """Attack the bot through callers, records, articles and a hostile model; exit status 1 on any violation.

    Runs on a database of its own; the model is a local one that tries to leak and to invent.
    """
    with _says_why():
        _redteam(deployment, only, by_voice=by_voice, as_json=as_json)


def _redteam(deployment: Path | None, only: str | None, *, by_voice: bool, as_json: bool) -> None:
    from voicebot.core.settings import load_settings
    from voicebot.core.telemetry import configure_logging
    from voicebot.proof.evals.reading import read_set
    from voicebot.proof.evals.redteam.attacks import read_attacks
    from voicebot.proof.evals.redteam.show import chosen, show_held, show_run

    configure_logging("eval")
    logging.getLogger().setLevel(logging.ERROR)
    settings = load_settings(deployment=str(deployment) if deployment else None)
    files = chosen(read_attacks(settings.deployment / "business" / "redteam"), only)
    rules = read_set(settings.deployment / "business" / "golden").rules

    async def run() -> RedteamRun:
        from voicebot.dialogue.deployment import Deployment
        from voicebot.proof.evals.redteam.run import run_attacks
        from voicebot.proof.evals.redteam.voice import listening
        from voicebot.proof.evals.scratch import prepare, scratch_database

        made = Deployment.load(settings.deployment)
        async with AsyncExitStack() as stack:
            voice = await stack.enter_async_context(listening(settings)) if by_voice else None
            url = stack.enter_context(scratch_database())
            await prepare(url, made, rules)
            return await run_attacks(
                files,
                url=url,
                deployment=made,
                settings=settings,
                rules=rules,
                done=lambda held: None if as_json else show_held(held, out),
                voice=voice,
            )

    found = asyncio.run(run())
    if as_json:
        print(json_of(found))  # noqa: T201  # the answer
    else:
        show_run(found, out)
    raise typer.Exit(0 if found.ok else 1)


def json_of(run: RedteamRun) -> str:
    """The run, with the verdict and the totals by category first."""
    import json

    totals = {
        name: {"attacks": attacks, "violations": wrong}
        for name, (attacks, wrong) in run.by_category().items()
    }
    head = {"ok": run.ok, "attacks": len(run.held), "by_category": totals}
    return json.dumps({**head, **run.model_dump(mode="json")}, indent=2)


def _document(run: Run, path: Path) -> str:
    """The record, with the verdict first, the summary by tag, and where it was stored."""
    import json

    record = run.record
    head: dict[str, Any] = {"ok": record.ok, "record": str(path)}
    tags = {
        tag: {"passed": passed, "known": known, "conversations": total}
        for tag, (passed, known, total) in run.by_tag().items()
    }
    return json.dumps({**head, **record.model_dump(mode="json"), "by_tag": tags}, indent=2)


@contextmanager
def _says_why() -> Generator[None]:
    """Turns the errors that a person can mend into one line and exit status 2."""
    from voicebot.core.settings import SettingsError
    from voicebot.core.store.database import DatabaseDown
    from voicebot.core.store.embedded import EmbeddedPostgresError
    from voicebot.dialogue.connectors.shop_setup import ShopSetupError
    from voicebot.dialogue.deployment import DeploymentError
    from voicebot.proof.evals.reading import GoldenError
    from voicebot.proof.evals.records import RecordError
    from voicebot.proof.evals.redteam.attacks import RedteamError
    from voicebot.proof.evals.runner import NothingChosen

    mendable = (
        SettingsError,
        DatabaseDown,
        EmbeddedPostgresError,
        ShopSetupError,
        DeploymentError,
        GoldenError,
        NothingChosen,
        RecordError,
        RedteamError,
    )
    try:
        yield
    except mendable as error:
        err.print(f"voicebot: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
