"""Fits what the search runs on: LSA on the articles, and the weights that rank passages and say how sure.

    .venv/bin/python scripts/fit_knowledge.py [--deployment DIR] [--questions FILE] [--check]

Writes models/knowledge.npz (arrays), knowledge.json (terms, weights) and knowledge.md (the card). Run it when
many articles changed; then `voicebot kb ingest`. The weights are fitted on questions whose right articles are
known, for each embedding that is installed, with the articles in a database of the script's own. Seeded: the
same files give the same model. ``--check`` says what would be fitted on, and writes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.optimize import minimize
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.migrate import ensure_schema
from voicebot.dialogue.knowledge.articles import Article, read_articles
from voicebot.dialogue.knowledge.blend import BlendEmbedding
from voicebot.dialogue.knowledge.candidates import Candidate, candidates
from voicebot.dialogue.knowledge.embedding import WORD_VECTORS, Embedding
from voicebot.dialogue.knowledge.ingest import ingest_all, literals, searched_text
from voicebot.dialogue.knowledge.lsa import FORMAT, LsaEmbedding, terms_of
from voicebot.dialogue.knowledge.minilm import MiniLm
from voicebot.dialogue.knowledge.rerank import DEFAULT, Features, Weights, features_of, numbers_of, score_of
from voicebot.dialogue.knowledge.words import asked, places_in

ROOT = Path(__file__).resolve().parent.parent
DIMENSIONS = 256
HEADING_WEIGHT = 2
SEED = 5
NO_INTENT, WRONG_INTENT = 0.35, 0.12  # shares of the questions whose intent is unknown, or was misheard
NO_ARTICLE = 0.25  # share that is asked once more with its articles taken away
ROUNDS = 4
RIDGE = 0.02


@dataclass(frozen=True)
class Question:
    """A question and the articles that answer it; none: nothing does."""

    text: str
    intent: str | None
    expect: frozenset[str]


@dataclass(frozen=True)
class Case:
    """What the search knew when it ranked: features of each candidate, its article, its place."""

    features: np.ndarray
    articles: tuple[str, ...]
    expect: frozenset[str]


def read_questions(path: Path) -> list[Question]:
    """``- {q: ..., intent: ..., expect: [...]}``; one that steers or is out of scope counts as unknown."""
    entries: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        Question(
            one["q"],
            None if one["intent"] in {"out_of_scope", "question", "help", "no_reference"} else one["intent"],
            frozenset(one["expect"]),
        )
        for one in entries
    ]


# --- LSA ------------------------------------------------------------------------------


def fit_lsa(articles: Sequence[Article], dimensions: int) -> tuple[list[str], Any, Any]:
    """Terms, their weights, and their vectors.

    Documents are each chunk and each article whole. How callers ask for the intents was tried as well, and
    made it find less: 300 dimensions had the right article among the first five for 0.83 of them with
    20 sentences of each intent, 0.85 without.
    """
    documents: list[str] = []
    for article in articles:
        texts = [searched_text(article.title, chunk.heading, chunk.body) for chunk in article.chunks]
        headed = [
            f"{article.title} {chunk.heading} " * HEADING_WEIGHT + chunk.body for chunk in article.chunks
        ]
        documents += [*headed, " ".join(texts)]
    vectorizer = TfidfVectorizer(analyzer=lambda text: list(terms_of(text)), sublinear_tf=True, min_df=2)
    matrix = vectorizer.fit_transform(documents)
    svd = TruncatedSVD(n_components=dimensions, random_state=SEED, n_iter=7)
    svd.fit(matrix)
    terms = [str(term) for term in vectorizer.get_feature_names_out()]
    return terms, vectorizer.idf_.astype(np.float32), svd.components_.T.astype(np.float16)


# --- weights --------------------------------------------------------------------------


async def cases_of(url: str, embedding: Embedding, questions: Sequence[Question]) -> list[Case]:
    """Each question as the search sees it: intent known, unknown or misheard; and without its articles."""
    draw = random.Random(SEED)
    known = sorted({q.intent for q in questions if q.intent})
    cases: list[Case] = []
    database = await Database.open(url)
    vectors = literals(embedding.embed([q.text for q in questions]))
    async with database.transaction() as tx:
        for question, vector in zip(questions, vectors, strict=True):
            chance = draw.random()
            intents = {question.intent, None} if chance > NO_INTENT else {None}
            if chance > 1 - WRONG_INTENT:
                intents = {draw.choice(known)}
            words = await asked(tx, question.text)
            for intent in sorted(intents, key=str):
                found = await candidates(tx, words, vector, intent=intent, regions=places_in(question.text))
                numbers = numbers_of(question.text)
                rows = [features_of(one, words.lexemes, numbers, intent) for one in found]
                cases.append(_case(found, rows, question.expect))
                if question.expect and draw.random() < NO_ARTICLE:  # had we no article on it
                    rest = [at for at, one in enumerate(found) if one.article not in question.expect]
                    gone = frozenset[str]()
                    cases.append(_case([found[at] for at in rest], [rows[at] for at in rest], gone))
    await database.close()
    return [case for case in cases if len(case.articles)]


def _case(found: Sequence[Candidate], rows: Sequence[Features], expect: frozenset[str]) -> Case:
    return Case(np.array(rows, dtype=np.float64), tuple(one.article for one in found), expect)


def fit_weights(cases: Sequence[Case]) -> Weights:
    """Weights that rank, then what makes the winner's score the probability that it is right.

    Softmax over the candidates of each question: the best chunk of a right article should win.
    """
    weights = np.array(DEFAULT.features)
    ranked = [case for case in cases if case.expect & set(case.articles)]
    for _ in range(ROUNDS):
        goals = [_best_right(case, weights) for case in ranked]

        def loss(w: np.ndarray, goals: list[int] = goals) -> tuple[float, np.ndarray]:
            total, slope = RIDGE * len(ranked) * float(w @ w) / 2, RIDGE * len(ranked) * w
            for case, goal in zip(ranked, goals, strict=True):
                rivals = [at for at, one in enumerate(case.articles) if at == goal or one not in case.expect]
                features = case.features[rivals]
                scores = features @ w
                chances = np.exp(scores - scores.max())
                chances /= chances.sum()
                total -= float(np.log(chances[rivals.index(goal)] + 1e-12))
                slope = slope + chances @ features - case.features[goal]
            return total / len(ranked), slope / len(ranked)

        weights = minimize(loss, weights, jac=True, method="L-BFGS-B").x
    slope, offset = _calibrated(cases, weights)
    return Weights(
        features=tuple(round(float(one), 4) for one in weights),
        slope=round(slope, 4),
        offset=round(offset, 4),
    )


def _best_right(case: Case, weights: np.ndarray) -> int:
    scores = case.features @ weights
    return max((at for at, one in enumerate(case.articles) if one in case.expect), key=lambda at: scores[at])


def _calibrated(cases: Sequence[Case], weights: np.ndarray) -> tuple[float, float]:
    tops = [
        (float((case.features @ weights).max()), int(np.argmax(case.features @ weights))) for case in cases
    ]
    scores = np.array([score for score, _ in tops])
    right = np.array(
        [case.articles[at] in case.expect for case, (_, at) in zip(cases, tops, strict=True)], float
    )

    def loss(ab: np.ndarray) -> float:
        logits = ab[0] * scores + ab[1]
        return float(np.mean(np.logaddexp(0.0, logits) - right * logits)) + 1e-4 * float(ab @ ab)

    slope, offset = minimize(loss, np.array([1.0, -float(np.median(scores))])).x
    return max(float(slope), 0.01), float(offset)


def scored(cases: Sequence[Case], weights: Weights) -> dict[str, float]:
    """How the weights do: right first, recall, and how far the probability can be believed."""
    answerable = [case for case in cases if case.expect]
    first = recall = 0
    bins: list[Counter[str]] = [Counter() for _ in range(10)]
    for case in cases:
        scores = np.array([score_of(Features(*row), weights) for row in case.features])
        order = np.argsort(-scores)
        names = list(dict.fromkeys(case.articles[at] for at in order))
        chance = 1 / (1 + np.exp(-(weights.slope * scores.max() + weights.offset)))
        right = names[0] in case.expect
        at = min(9, int(chance * 10))
        bins[at].update({"n": 1, "right": int(right), "chance": float(chance)})  # type: ignore[dict-item]
        if case.expect:
            first += right
            recall += bool(case.expect & set(names[:5]))
    error = sum(abs(b["right"] - b["chance"]) for b in bins) / len(cases)
    return {
        "questions": len(answerable),
        "first": round(first / len(answerable), 3),
        "recall_at_5": round(recall / len(answerable), 3),
        "calibration_error": round(error, 3),
    }


# --- the whole ------------------------------------------------------------------------


def fitted_weights(
    articles: Sequence[Article], embeddings: Sequence[Embedding], questions: Sequence[Question]
) -> tuple[dict[str, Weights], dict[str, dict[str, float]]]:
    """Weights and scores by kind of embedding."""
    weights: dict[str, Weights] = {}
    scores: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="vb-fit-") as home:
        Path(home).chmod(0o755)
        with EmbeddedPostgres.start(Path(home) / "data", settings={"fsync": "off"}) as postgres:
            ensure_schema(postgres.url)
            for embedding in embeddings:
                ingest_all(postgres.url, articles, embedding, again=True)
                kind = embedding.id.partition("-")[0]
                cases = asyncio.run(cases_of(postgres.url, embedding, questions))
                halves = [[c for at, c in enumerate(cases) if at // 4 % 2 == side] for side in (0, 1)]
                unseen = [scored(halves[1 - side], fit_weights(halves[side])) for side in (0, 1)]
                weights[kind] = fit_weights(cases)
                scores[kind] = {
                    key: round((unseen[0][key] + unseen[1][key]) / (1 if key == "questions" else 2), 3)
                    for key in unseen[0]
                }
    return weights, scores


def main() -> None:
    """Fits, writes, prints what it wrote."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deployment", type=Path, default=ROOT)
    parser.add_argument("--questions", type=Path, default=ROOT / "scripts" / "bench" / "retrieval_dev.yaml")
    parser.add_argument("--dimensions", type=int, default=DIMENSIONS)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    business, models = options.deployment / "business", options.deployment / "models"
    articles = read_articles(business / "knowledge")
    questions = read_questions(options.questions)
    strange = sorted({one for q in questions for one in q.expect} - {article.id for article in articles})
    if strange:
        print(f"{options.questions}: no such articles: {', '.join(strange)}", file=sys.stderr)
        questions = [q for q in questions if not q.expect or q.expect - set(strange)]
    print(
        f"{len(articles)} articles, {sum(len(a.chunks) for a in articles)} chunks, {len(questions)} questions"
    )
    if options.check:
        return
    terms, idf, projection = fit_lsa(articles, options.dimensions)
    np.savez_compressed(models / "knowledge.npz", weights=idf, projection=projection)
    card: dict[str, Any] = {"format": FORMAT, "terms": terms, "weights": {}}
    (models / "knowledge.json").write_text(json.dumps(card))
    embeddings: list[Embedding] = [LsaEmbedding.load(models)]
    if (models / WORD_VECTORS).is_file():
        embeddings.append(BlendEmbedding.load(models))
    if MiniLm.installed():
        embeddings.append(MiniLm.load())
    weights, scores = fitted_weights(articles, embeddings, questions)
    card["weights"] = {kind: one.model_dump() for kind, one in weights.items()}
    (models / "knowledge.json").write_text(json.dumps(card, indent=0) + "\n")
    (models / "knowledge.md").write_text(_card(embeddings, weights, scores, len(articles), len(terms)))
    for kind, score in scores.items():
        print(kind, score, dict(zip(Features._fields, weights[kind].features, strict=True)))


def _card(
    embeddings: Sequence[Embedding],
    weights: dict[str, Weights],
    scores: dict[str, dict[str, float]],
    articles: int,
    terms: int,
) -> str:
    lines = [
        "# What the search runs on",
        "",
        "Made by `scripts/fit_knowledge.py`; do not edit. `knowledge.npz` holds LSA's arrays,",
        f"`knowledge.json` its terms and the fitted weights. LSA: {articles} articles,",
        f"{terms} terms. The weights rank passages and say how likely the first one answers.",
        "",
        "Scores are from questions the weights were not fitted on (two halves, each scored with the other's",
        "weights), about half of them without their intent, an eighth with a wrong one, some with their",
        "article taken away.",
        "They choose nothing: the figures of docs/knowledge.md come from questions of somebody else.",
        "",
        "| embedding | questions | right article first | among the first five | calibration error |",
        "|---|---|---|---|---|",
    ]
    ids = {embedding.id.partition("-")[0]: embedding.id for embedding in embeddings}
    for kind, score in scores.items():
        lines.append(
            f"| `{ids[kind]}` | {score['questions']:.0f} | {score['first']:.3f} |"
            f" {score['recall_at_5']:.3f} | {score['calibration_error']:.3f} |"
        )
    lines += ["", "| weight | " + " | ".join(weights) + " |", "|---" * (len(weights) + 1) + "|"]
    for at, name in enumerate(Features._fields):
        lines.append(
            f"| {name} | " + " | ".join(f"{one.features[at]:.2f}" for one in weights.values()) + " |"
        )
    lines.append(
        "| slope, offset | " + " | ".join(f"{w.slope:.2f}, {w.offset:.2f}" for w in weights.values()) + " |"
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
