"""How well the grounded responder chooses its sentences.

    .venv/bin/python -m scripts.bench.sentences [--show] [--json] [--out FILE] [--keep FILE]

Each question goes through the real search, with the intent of the article that answers, on a database of the
bench's own; those of the first six passages that may back an answer are
what the responder is given. *Found*: everything that answers was
said. *Exact*: and nothing else. Questions whose answer is not among the passages are the search's and are
left out. Every second question is held out: it was not looked at while the choice was made better.
`--keep` writes what was found to a file, or reads it from there, so that the choice can be tried again
without a database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.bench import report
from scripts.bench.servers import ROOT
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.migrate import ensure_schema
from voicebot.dialogue.generation.backing import back
from voicebot.dialogue.generation.sentences import choose, leans, sentences_of
from voicebot.dialogue.knowledge.articles import Article, read_articles
from voicebot.dialogue.knowledge.embedding import choose_embedding
from voicebot.dialogue.knowledge.ingest import ingest
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.knowledge.retriever import PASSAGES, Retriever, read_weights

LIMIT = 2
Way = Callable[[str, Sequence[Passage]], tuple[str, ...]]


@dataclass(frozen=True)
class Question:
    """One row of sentences.yaml with what the search found for it."""

    text: str
    need: tuple[str, ...]
    may: tuple[str, ...]
    lead: bool
    passages: tuple[Passage, ...]

    @property
    def reachable(self) -> bool:
        """Whether the search found everything that answers."""
        return all(any(need in passage.body for passage in self.passages) for need in self.need)

    def judged(self, said: Sequence[str]) -> tuple[bool, bool]:
        """Whether everything that answers was said, and whether nothing else was."""
        has = all(any(need in sentence for sentence in said) for need in self.need)
        fine = [*self.need, *self.may]
        extra = [
            at
            for at, sentence in enumerate(said)
            if not any(one in sentence for one in fine)
            and not (self.lead and at + 1 < len(said) and leans(said[at + 1]))
        ]
        return has, has and not extra


def first_sentence(question: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    return sentences_of(passages[0].body)[:1]


def whole_passage(question: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    return sentences_of(passages[0].body)[:LIMIT]


def chosen(question: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    return tuple(one.text for one in choose(question, back(question, passages).passages, LIMIT))


WAYS: dict[str, Way] = {
    "the first sentence": first_sentence,
    "the first two": whole_passage,
    "chosen": chosen,
}


def questions(kept: Path | None) -> list[Question]:
    """All questions with their passages. Rows whose article was edited away are named and left out."""
    articles = read_articles(ROOT / "business" / "knowledge")
    rows = yaml.safe_load((ROOT / "scripts/bench/sentences.yaml").read_text())
    if kept is not None and kept.exists():
        found = json.loads(kept.read_text())
    else:
        found = searched([(row["q"], intent_of(row, articles)) for row in rows], articles)
        if kept is not None:
            kept.write_text(json.dumps(found))
    out: list[Question] = []
    for row in rows:
        if intent_of(row, articles) is None:
            print(f"no sentence holds {row['need']}: the article was edited, mend sentences.yaml")
        out.append(
            Question(
                row["q"],
                tuple(row["need"]),
                tuple(row.get("may", ())),
                bool(row.get("lead")),
                tuple(Passage.model_validate_json(json.dumps(one)) for one in found[row["q"]]),
            )
        )
    return out


def intent_of(row: dict[str, Any], articles: Sequence[Article]) -> str | None:
    for article in articles:
        if any(row["need"][0] in chunk.body for chunk in article.chunks):
            return article.intents[0] if article.intents else None
    return None


def searched(
    asked: Sequence[tuple[str, str | None]], articles: Sequence[Article]
) -> dict[str, list[dict[str, Any]]]:
    """The passages of each question, through the real search."""
    models = ROOT / "models"
    embedding = choose_embedding("auto", models)
    retriever = Retriever(embedding, read_weights(models))
    with tempfile.TemporaryDirectory(prefix="vb-bench-") as home:
        Path(home).chmod(0o755)
        with EmbeddedPostgres.start(Path(home) / "data") as postgres:
            ensure_schema(postgres.url)
            ingest(postgres.url, articles, embedding)
            return asyncio.run(search_all(postgres.url, retriever, asked))


async def search_all(
    url: str, retriever: Retriever, asked: Sequence[tuple[str, str | None]]
) -> dict[str, list[dict[str, Any]]]:
    """The first passages of each question, as plain values."""
    database = await Database.open(url, timeout_s=30)
    try:
        found: dict[str, list[dict[str, Any]]] = {}
        for text, intent in asked:
            async with database.transaction() as tx:
                got = await retriever.search(tx, text, intent=intent, limit=PASSAGES)
            found[text] = [one.model_dump(mode="json") for one in got.passages]
        return found
    finally:
        await database.close()


def figures(asked: Sequence[Question], *, show: bool) -> dict[str, Any]:
    """Shares by way and part, and the time of a choice."""
    rows: dict[str, dict[str, float]] = {}
    took: list[float] = []
    parts = {"tuned on": asked[0::2], "held out": asked[1::2]}
    for name, way in WAYS.items():
        for part, those in parts.items():
            judged: list[tuple[bool, bool]] = []
            words: list[int] = []
            for one in those:
                if not one.reachable:
                    continue
                began = time.perf_counter()
                said = way(one.text, one.passages)
                if way is chosen:
                    took.append(time.perf_counter() - began)
                judged.append(one.judged(said))
                words.append(sum(len(sentence.split()) for sentence in said))
                if show and name == "chosen" and part == "tuned on" and not judged[-1][1]:
                    what = "extra" if judged[-1][0] else "MISSED"
                    print(f"{what} {one.text!r}: {' | '.join(said)} NEED {one.need}")
            rows[f"{name}, {part}"] = {
                "questions": len(judged),
                "found": round(sum(one[0] for one in judged) / len(judged), 3),
                "exact": round(sum(one[1] for one in judged) / len(judged), 3),
                "words": round(statistics.mean(words), 1),
            }
    out = [one.text for one in asked if not one.reachable]
    return {"rows": rows, "not_retrieved": len(out), "choice_ms": round(1000 * statistics.median(took), 2)}


HEAD = ["", "questions", "found", "exact", "words"]


def measure(kept: Path | None = None, *, show: bool = False) -> dict[str, Any]:
    """All figures. ``kept``: a file with what the search found, read or written."""
    return figures(questions(kept), show=show)


def rows(made: dict[str, Any]) -> list[list[str]]:
    """The table's rows."""
    return [
        [name, str(row["questions"]), f"{row['found']:.0%}", f"{row['exact']:.0%}", str(row["words"])]
        for name, row in made["rows"].items()
    ]


def main() -> None:
    """Prints the table, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--show", action="store_true", help="the misses of the questions that are not held out"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path, help="write, or read, what was found")
    options = parser.parse_args()
    made = measure(options.keep, show=options.show)
    report.finish(made, as_json=options.json, out=options.out)
    if not options.json:
        report.print_table("The choice of sentences", HEAD, rows(made))
        print(
            f"a choice takes {made['choice_ms']} ms (median); {made['not_retrieved']} questions not retrieved"
        )


if __name__ == "__main__":
    main()
