"""How well the grounded responder chooses its sentences: `.venv/bin/python scripts/bench/sentences.py`.

Given are the chunks of all articles that share an intent with the one that answers, ranked by shared
words, the first three kept: a stand-in for retrieval that needs no database. Found: everything that
answers was said. Exact: and nothing else. Every second question is held out.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import Counter
from pathlib import Path

import yaml

from voicebot.core.conversation import Source
from voicebot.dialogue.generation.sentences import choose, leans, sentences_of
from voicebot.dialogue.knowledge.articles import Article, read_articles
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.monitor.features import words_of

ROOT = Path(__file__).resolve().parents[2]


def stem(word: str) -> str:
    return word[:5]


def passages(question: str, articles: list[Article], wanted: set[str], count: int) -> list[Passage]:
    """The best chunks of the articles that share one of the intents."""
    pool = [
        (article, chunk, at)
        for article in articles
        if wanted & set(article.intents)
        for at, chunk in enumerate(article.chunks)
    ]
    texts = [{stem(w) for w in words_of(f"{chunk.heading} {chunk.body}")} for _, chunk, _ in pool]
    frequency = Counter(word for text in texts for word in text)
    asked = {stem(word) for word in words_of(question)}
    weigh = {word: math.log((len(pool) + 1) / (frequency[word] + 0.5)) for word in asked}
    total = sum(weigh.values()) or 1.0
    ranked = []
    for (article, chunk, at), text in zip(pool, texts, strict=True):
        score = sum(weigh[word] for word in asked & text) / total + (0.05 if at == 0 else 0)
        ranked.append((score, article, chunk))
    ranked.sort(key=lambda one: -one[0])
    return [
        Passage(
            source=Source(article=article.id, title=article.title, version="1", score=score),
            heading=chunk.heading,
            body=chunk.body,
            grounding=min(1.0, 0.5 + 0.5 * score),
            tagged=True,
        )
        for score, article, chunk in ranked[:count]
    ]


def first(question: str, found: list[Passage], limit: int) -> tuple[str, ...]:
    """The baseline: the first sentences of the first passage."""
    return sentences_of(found[0].body)[:limit]


def chosen(question: str, found: list[Passage], limit: int) -> tuple[str, ...]:
    return tuple(one.text for one in choose(question, found, limit))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--show", action="store_true", help="the misses of the questions that are not held out"
    )
    options = parser.parse_args()
    articles = list(read_articles(ROOT / "business" / "knowledge"))
    questions = yaml.safe_load((ROOT / "scripts/bench/sentences.yaml").read_text())
    everything = [(a, s) for a in articles for c in a.chunks for s in sentences_of(c.body)]
    results: dict[tuple[str, str], list[tuple[bool, bool, int]]] = {}
    took: list[float] = []
    for nth, row in enumerate(questions):
        homes = [[a for a, s in everything if need in s] for need in row["need"]]
        if not all(homes):
            print(f"no sentence holds {row['need']}: the article was edited, mend sentences.yaml")
            continue
        wanted = set(row.get("intents") or {intent for home in homes for intent in home[0].intents[:1]})
        found = passages(row["q"], articles, wanted, 3)
        reachable = all(any(need in p.body for p in found) for need in row["need"])
        part = "held out" if nth % 2 else "tuned on"
        for name, way in (("first two", first), ("chosen", chosen)):
            began = time.perf_counter()
            said = way(row["q"], found, 2)
            took.append(time.perf_counter() - began)
            has = all(any(need in s for s in said) for need in row["need"])
            fine = [*row["need"], *row.get("may", ())]
            extra = [s for s in said if not any(one in s for one in fine)]
            if row.get("lead"):
                extra = [s for s in extra if not any(leans(t) for t in said[said.index(s) + 1 :][:1])]
            words = sum(len(s.split()) for s in said)
            if reachable:
                results.setdefault((name, part), []).append((has, has and not extra, words))
            shown = options.show and name == "chosen" and part == "tuned on" and reachable
            if shown and (not has or extra):
                print(
                    f"{'MISSED' if not has else 'extra'} {row['q']!r}: {' | '.join(said)} NEED {row['need']}"
                )
        if not reachable and options.show:
            print(f"not retrieved: {row['q']!r}")
    print(f"{'':10} {'':9} {'n':>4} {'found':>7} {'exact':>7} {'words':>6}")
    for (name, part), rows in sorted(results.items()):
        share = [sum(one[k] for one in rows) / len(rows) for k in (0, 1)]
        words = statistics.mean(one[2] for one in rows)
        print(f"{name:10} {part:9} {len(rows):4} {share[0]:7.2f} {share[1]:7.2f} {words:6.1f}")
    print(f"a choice takes {1000 * statistics.median(took[1::2]):.2f} ms (median)")


if __name__ == "__main__":
    main()
