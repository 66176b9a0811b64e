"""``voicebot kb``: the articles as the bot finds them, what it could not answer, what needs a review."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from voicebot.core.documents import parse_yaml

if TYPE_CHECKING:
    from voicebot.core.settings import Settings
    from voicebot.core.store.database import Transaction
    from voicebot.dialogue.knowledge.articles import Article
    from voicebot.dialogue.knowledge.passage import Passage, Retrieval

T = TypeVar("T")

commands = typer.Typer(help="Knowledge: articles, gaps, reviews due.", no_args_is_help=True)

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_SHOWN = 20

JsonFlag = Annotated[bool, typer.Option("--json", help="for machines: one JSON document")]
DeploymentOption = Annotated[Path | None, typer.Option(help="folder with business/ and models/")]


@commands.command("ingest")
def ingest_command(
    deployment: DeploymentOption = None,
    index: Annotated[
        str | None, typer.Option(help="auto | exact | hnsw: how vectors are searched from now on")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write new and changed articles; make the vectors anew if the embedding changed."""
    with _says_why():
        from voicebot.dialogue.knowledge.embedding import choose_embedding
        from voicebot.dialogue.knowledge.ingest import ingest_all

        if index not in {None, "auto", "exact", "hnsw"}:
            raise typer.BadParameter("--index is one of auto, exact, hnsw")
        settings = _settings(deployment)
        articles = _articles(settings)
        _refuse_orders(settings)
        embedding = choose_embedding(settings.embedding, settings.deployment / "models")
        with _database_url(settings) as url:
            done = ingest_all(url, articles, embedding, again=True, index=index)  # pyright: ignore[reportArgumentType]  # checked above
        if as_json:
            _print_json({**done.model_dump(), "embedding": embedding.id, "articles": len(articles)})
            return
        how = "an HNSW index" if done.hnsw else "an exact scan"
        out.print(
            f"{len(articles)} articles, {done.chunks} chunks, searched by {how} with {embedding.id}; "
            f"{len(done.changed)} articles changed, {done.embedded} vectors made",
            markup=False,
        )
        shown = ", ".join(done.changed[:_SHOWN])
        if shown:
            more = f" and {len(done.changed) - _SHOWN} more" if len(done.changed) > _SHOWN else ""
            out.print(f"changed: {shown}{more}", markup=False)


@commands.command("search")
def search_command(
    question: Annotated[str, typer.Argument(help="as a caller would ask it")],
    intent: Annotated[str | None, typer.Option(help="what the caller wants, if it is known")] = None,
    region: Annotated[str | None, typer.Option(help="where the caller is, if it is known")] = None,
    limit: Annotated[int, typer.Option(help="passages shown", min=1, max=30)] = 5,
    deployment: DeploymentOption = None,
    as_json: JsonFlag = False,
) -> None:
    """What the bot would find for a question, and how sure it would be. Exit status 1: it would abstain."""
    with _says_why():
        from voicebot.dialogue.knowledge.embedding import choose_embedding
        from voicebot.dialogue.knowledge.retriever import FLOOR, Retriever, read_weights

        settings = _settings(deployment)
        models = settings.deployment / "models"
        retriever = Retriever(choose_embedding(settings.embedding, models), read_weights(models))
        found = _in_transaction(
            settings, lambda tx: retriever.search(tx, question, intent=intent, region=region, limit=limit)
        )
        verdict = _verdict(question, found, FLOOR)
        if as_json:
            about = {"embedding": retriever.version, "floor": FLOOR, "verdict": verdict}
            _print_json({**about, **found.model_dump(mode="json")})
        else:
            _show_found(found, FLOOR, verdict)
        raise typer.Exit(0 if verdict == "answers" else 1)


@commands.command("gaps")
def gaps_command(
    limit: Annotated[int, typer.Option(help="rows shown", min=1, max=1000)] = 30,
    as_json: JsonFlag = False,
) -> None:
    """Questions without an answer, the most frequent first. Keywords only; rare words are held back."""
    with _says_why():
        from voicebot.dialogue.knowledge.gaps import gaps

        found = _in_transaction(_settings(None), lambda tx: gaps(tx, limit=limit))
        if as_json:
            _print_json([gap.model_dump(mode="json") for gap in found])
            return
        table = _table("asked", "intent", "why no answer", "keywords", "last")
        for gap in found:
            held = f" (+{gap.hidden} held back)" if gap.hidden else ""
            words = " ".join(gap.keywords) + held
            table.add_row(str(gap.count), gap.intent or "-", gap.reason, words, f"{gap.last_at:%Y-%m-%d}")
        out.print(table if found else "no gaps: every question found an article")


@commands.command("stale")
def stale_command(deployment: DeploymentOption = None, as_json: JsonFlag = False) -> None:
    """Articles whose review is overdue, with their owners. Exit status 1 if there are any."""
    with _says_why():
        from voicebot.dialogue.knowledge.stale import stale_articles

        found = stale_articles(_articles(_settings(deployment)), datetime.now(UTC).date())
        if as_json:
            _print_json([one.model_dump(mode="json") for one in found])
        elif found:
            table = _table("article", "owner", "reviewed", "days overdue")
            for one in found:
                table.add_row(one.article, one.owner, one.reviewed.isoformat(), str(one.overdue_days))
            out.print(table)
        else:
            out.print("every article's review holds")
        raise typer.Exit(1 if found else 0)


def _show_found(found: Retrieval, floor: float, verdict: str) -> None:
    for passage in found.passages:
        out.print(*_lines(passage), sep="\n", markup=False, highlight=False)
    titles = " / ".join(passage.source.title for passage in found.ambiguous)
    if titles:
        out.print(f"ambiguous: did you mean {titles}?", markup=False)
    best = f"the best of {found.best_of} has grounding {found.grounding:.2f}, the floor is {floor:.2f}"
    out.print(f"{verdict}: {best}", markup=False)


def _verdict(question: str, found: Retrieval, floor: float) -> str:
    """What the bot would do with it, by the floor of `kb search`."""
    from voicebot.dialogue.generation.backing import NoFact, OtherThing, back

    backing = back(question, found.passages)
    match backing.lack:
        case OtherThing(thing=thing):
            return f"asks whether the {thing} is meant"
        case NoFact(fact=fact):
            return f"abstains, none of it is {fact} for that"
        case None:
            return "answers" if backing.grounding >= floor else "abstains"


def _lines(passage: Passage) -> list[str]:
    """A passage as it is listed: a line of what is known of it, then what stands there."""
    evidence = passage.evidence
    ranks = (evidence.near, evidence.worded, evidence.tagged) if evidence else (None, None, None)
    lists = zip(("meaning", "words", "intent"), ranks, strict=True)
    found_by = ", ".join(f"{name} #{rank}" for name, rank in lists if rank is not None)
    stale = ", review overdue" if passage.stale else ""
    return [
        f"{passage.grounding:.2f}  {passage.source.article}  ({found_by}{stale})",
        f"      {passage.heading}" if passage.heading else "      (no heading)",
        f"      {passage.body}",
        "",
    ]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _settings(deployment: Path | None) -> Settings:
    from voicebot.core.settings import load_settings
    from voicebot.core.telemetry import configure_logging

    configure_logging("kb")
    return load_settings(deployment=str(deployment) if deployment else None)


def _refuse_orders(settings: Settings) -> None:
    """Articles that give orders to the bot are not written.

    Raises:
        ArticleError: names each place, file and line.
    """
    from voicebot.dialogue.knowledge.articles import ArticleError
    from voicebot.dialogue.knowledge.suspicious import suspicious
    from voicebot.safety.guard_in import InputGuard

    guard = InputGuard.load(settings.deployment / "models")
    found = suspicious(settings.deployment / "business" / "knowledge", guard)
    if found:
        places = "\n".join(f"  {one}" for one in found)
        raise ArticleError(f"nothing was written: reword or remove what speaks to the bot\n{places}")


def _articles(settings: Settings) -> tuple[Article, ...]:
    """The deployment's, their intents checked against its catalogue."""
    import yaml

    from voicebot.dialogue.deployment import DeploymentError
    from voicebot.dialogue.knowledge.articles import read_articles

    business = settings.deployment / "business"
    if not business.is_dir():
        raise DeploymentError(
            f"{settings.deployment.resolve()} holds no business/ folder: start there, or give --deployment"
        )
    try:
        document: Any = parse_yaml((business / "intents.yaml").read_text(encoding="utf-8"))
        known = set(document["intents"])
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DeploymentError(f"{business / 'intents.yaml'}: cannot be used: {error}") from error
    return read_articles(business / "knowledge", known)


def _in_transaction(settings: Settings, ask: Callable[[Transaction], Awaitable[T]]) -> T:
    from voicebot.core.store.database import Database

    async def run(url: str) -> T:
        database = await Database.open(url, max_size=1)
        try:
            async with database.transaction() as tx:
                return await ask(tx)
        finally:
            await database.close()

    with _database_url(settings) as url:
        return asyncio.run(run(url))


@contextmanager
def _database_url(settings: Settings) -> Generator[str]:
    """The database at this version's schema; an empty one is made."""
    from voicebot.core.store.embedded import EmbeddedPostgres
    from voicebot.core.store.migrate import ensure_schema

    postgres = None
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
    else:
        postgres = EmbeddedPostgres.attach(settings.data_dir)
        url = postgres.url
    try:
        ensure_schema(url)
        yield url
    finally:
        if postgres is not None:
            postgres.stop()


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2))  # noqa: T201  # the answer


@contextmanager
def _says_why() -> Generator[None]:
    """Turns the errors that a person can mend into one line and exit status 2."""
    from voicebot.core.settings import SettingsError
    from voicebot.core.store.database import DatabaseDown
    from voicebot.core.store.embedded import EmbeddedPostgresError
    from voicebot.core.store.migrate import SchemaMismatch
    from voicebot.dialogue.deployment import DeploymentError
    from voicebot.dialogue.knowledge.articles import ArticleError
    from voicebot.dialogue.knowledge.embedding import EmbeddingError

    try:
        yield
    except (
        SettingsError,
        DatabaseDown,
        EmbeddedPostgresError,
        SchemaMismatch,
        DeploymentError,
        ArticleError,
        EmbeddingError,
    ) as error:
        err.print(f"voicebot: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
