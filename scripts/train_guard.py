"""Trains the input guard's model and writes its card.

    .venv/bin/python scripts/train_guard.py [--deployment DIR] [--check] [--errors]

Reads scripts/guard_text.yaml (attacks, and near misses that are none), the examples of
business/intents.yaml and
the articles, which are benign. Writes models/guard.npz, models/guard.json and the card models/guard.md.
Seeded: the
same files give the same weights. Half a minute on one core. No collection of attacks is read here;
scripts/bench/guards.py scores the guard on such collections.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from voicebot.dialogue.knowledge.articles import read_articles
from voicebot.dialogue.patterns import expand
from voicebot.safety.guard_in.features import BUCKETS, buckets
from voicebot.safety.guard_in.model import FORMAT, GuardCard, GuardModel
from voicebot.safety.guard_in.wording import plain, windows

TEXT = Path(__file__).parent / "guard_text.yaml"
PER_ATTACK = 40
PER_BENIGN = 24
PER_INTENT = 3
JOINED = 1500  # attacks beside something else a caller or a record says
FOLDS = 5
STRENGTH = 6.0
BENIGN_WEIGHT = 2.0
CALLER_FALSE = 0.0015  # of benign windows that may be deflected, on folds
RECORD_FALSE = 0.0008
SEED = 23


@dataclass
class Rows:
    """Windows of words with their label and the pattern each came from."""

    words: list[list[str]] = field(default_factory=list)
    attack: list[bool] = field(default_factory=list)
    pattern: list[int] = field(default_factory=list)

    def add(self, text: str, pattern: int, *, attack: bool) -> None:
        """The windows of a text."""
        for window in windows(plain(text).split()):
            if window:
                self.words.append(window)
                self.attack.append(attack)
                self.pattern.append(pattern)


def rows_of(deployment: Path) -> Rows:
    rng, rows = random.Random(SEED), Rows()
    text = yaml.safe_load(TEXT.read_text(encoding="utf-8"))
    number = 0
    said: dict[str, list[tuple[int, str]]] = {}
    for key, most in (
        ("attack", PER_ATTACK),
        ("record", PER_ATTACK),
        ("benign", PER_BENIGN),
        ("benign_record", PER_BENIGN),
    ):
        said[key] = []
        for pattern in text[key]:
            number += 1
            sentences = expand(pattern)
            for sentence in rng.sample(sentences, min(most, len(sentences))):
                rows.add(sentence, number, attack=key in {"attack", "record"})
                said[key].append((number, sentence))
    intents = yaml.safe_load((deployment / "business/intents.yaml").read_text(encoding="utf-8"))
    groups = [one["examples"] for one in intents["intents"].values()] + [intents["out_of_scope"]]
    benign: list[str] = []
    for pattern in (pattern for group in groups for pattern in group):
        number += 1
        sentences = expand(pattern)
        for sentence in rng.sample(sentences, min(PER_INTENT, len(sentences))):
            rows.add(sentence, number, attack=False)
            benign.append(sentence)
    articles: list[str] = []
    for article in read_articles(deployment / "business/knowledge"):
        number += 1
        for chunk in article.chunks:
            rows.add(chunk.body, number, attack=False)
            articles.append(chunk.body)
    for _ in range(
        JOINED
    ):  # an attack hidden beside what is harmless keeps its number: it folds with its pattern
        at, one = rng.choice(said["attack"])
        also = rng.choice(benign)
        rows.add(f"{also} {one}" if rng.random() < 0.5 else f"{one} {also}", at, attack=True)
    for _ in range(JOINED // 2):
        at, one = rng.choice(said["record"])
        words = rng.choice(articles).split()
        start = rng.randrange(max(1, len(words) - 20))
        rows.add(f"{' '.join(words[start : start + 20])} {one}", at, attack=True)
    for _ in range(JOINED // 2):  # long speeches of several orders
        several = rng.sample(said["attack"], 4)
        rows.add(" ".join(one for _, one in several), several[0][0], attack=True)
    for _ in range(JOINED):
        rows.add(" ".join(rng.sample(benign, rng.randint(2, 4))), -rng.randint(1, 1000), attack=False)
    return rows


def matrix(words: list[list[str]]) -> csr_matrix:
    data, column, start = [], [], [0]
    for window in words:
        places = sorted(buckets(window))
        column += places
        data += [1 / np.sqrt(len(places))] * len(places)
        start.append(len(column))
    return csr_matrix((data, column, start), shape=(len(words), BUCKETS), dtype=np.float32)


def fit(x: csr_matrix, attack: np.ndarray) -> LogisticRegression:
    weight = np.where(attack, 1.0, BENIGN_WEIGHT)
    return LogisticRegression(C=STRENGTH * 10, max_iter=200).fit(x, attack, weight)


def train(deployment: Path, *, errors: bool) -> dict[str, object]:
    rows = rows_of(deployment)
    x, attack = matrix(rows.words), np.array(rows.attack)
    fold = np.array(rows.pattern) % FOLDS
    scores = np.zeros(len(attack))
    for at in range(FOLDS):
        scores[fold == at] = fit(x[fold != at], attack[fold != at]).decision_function(x[fold == at])
    calibrated = LogisticRegression(C=1e3).fit(scores[:, None], attack)
    scale, shift = float(calibrated.coef_[0, 0]), float(calibrated.intercept_[0])
    chance = 1 / (1 + np.exp(-(scale * scores + shift)))
    limits = {
        name: float(np.clip(np.quantile(chance[~attack], 1 - share), 0.5, most))
        for name, share, most in (("caller_at", CALLER_FALSE, 0.96), ("record_at", RECORD_FALSE, 0.98))
    }
    if errors:
        for words, is_attack, one in zip(rows.words, attack, chance, strict=True):
            if (one >= limits["caller_at"]) != is_attack:
                print("missed " if is_attack else "alarmed", f"{one:.2f}", " ".join(words)[:110])
    model = fit(x, attack)
    weights = model.coef_[0]
    kept = np.flatnonzero(np.abs(weights) > 0.05)
    models = deployment / "models"
    np.savez_compressed(
        models / "guard.npz",
        at=kept.astype(np.uint16),
        weights=weights[kept].astype(np.float16),
        bias=np.float32(model.intercept_[0]),
    )
    card = GuardCard(
        format=FORMAT,
        scale=round(scale, 4),
        shift=round(shift, 4),
        caller_at=round(limits["caller_at"], 4),
        record_at=round(limits["record_at"], 4),
        trained_on=len(attack),
    )
    (models / "guard.json").write_text(json.dumps(card.model_dump(), indent=1) + "\n")
    at = card.caller_at
    return {
        "windows": len(attack),
        "attacks": int(attack.sum()),
        "recall_on_folds": round(float((chance[attack] >= at).mean()), 4),
        "false_alarms_on_folds": round(float((chance[~attack] >= at).mean()), 4),
        "caller_at": card.caller_at,
        "record_at": card.record_at,
        "bytes": (models / "guard.npz").stat().st_size,
    }


def write_card(deployment: Path, found: dict[str, object]) -> None:
    version = GuardModel.load(deployment / "models").version
    lines = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in found.items())
    (deployment / "models/guard.md").write_text(
        f"""# The input guard's model

`{version}`: logistic regression over hashed words, pairs, triples and pairs of stems of a window of 48
words. It is the
second witness beside the rules of `voicebot/safety/guard_in/rules.py`. Made by `scripts/train_guard.py` from
`scripts/guard_text.yaml`, the examples of `business/intents.yaml` and the articles; seeded.

| | |
|---|---|
{lines}

On folds no sentence of a pattern is scored by a model that saw the pattern. What the whole guard finds
of attacks that
others wrote, and how often it is wrong about harmless words, stands in `docs/benchmarks.md`.

It reads English. It sees no tone, no intent over several turns and no picture. A text it passes is not
thereby safe:
nothing a caller, a record or an article says can move the identity gate, the policy or the output guard.
""",
        encoding="utf-8",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deployment", type=Path, default=Path())
    parser.add_argument("--check", action="store_true", help="load what is there and print its limits")
    parser.add_argument("--errors", action="store_true", help="print what the folds got wrong")
    options = parser.parse_args()
    if options.check:
        print(GuardModel.load(options.deployment / "models").card.model_dump_json(indent=1))
        return
    found = train(options.deployment, errors=options.errors)
    write_card(options.deployment, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
