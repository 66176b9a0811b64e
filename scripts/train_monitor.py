"""Trains the monitor's model from the deployment's examples and scores it on the held-out phrasings.

    .venv/bin/python scripts/train_monitor.py [--deployment DIR] [--check] [--distress] [--errors]

Reads business/intents.yaml and business/monitor.yaml, and models/monitor_words.npz (what words mean, by
scripts/make_word_vectors.py). Writes models/monitor.npz, models/monitor.json and the card
models/monitor.md. ``--check`` only scores what is there; ``--distress`` fits
that head alone, over the vocabulary that the model has; ``--errors`` prints what the folds got wrong on
our own examples (of what is held out only totals are printed: nobody should learn it by heart). Seeded: the
same files give the same weights. About three minutes on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from monitor_score import card_text, figures
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix, hstack
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from spoiling import spoiled

from voicebot.dialogue.intents import DISTRESS, OUT_OF_SCOPE
from voicebot.dialogue.monitor.classifier import FORMAT, SENTIMENTS, URGENCIES, outside
from voicebot.dialogue.monitor.encoder import BUCKETS, Encoder, buckets_of
from voicebot.dialogue.monitor.features import words_of
from voicebot.dialogue.monitor.word_vectors import WordVectors
from voicebot.dialogue.patterns import expand

PER_PATTERN = 5  # sentences taken of one pattern
PER_TONE_PATTERN = 12  # of those for how a caller sounds, which are fewer
NOISY_SHARE = 0.6  # of them have a spoiled copy
FOLDS = 4
STRENGTH = 10.0  # of the classifier's fit (sklearn's C)
ROUNDS = 45
MEANING = 1.0  # weight of a text's meaning beside its words
RECALL = 0.955  # of callers in distress, on folds: there the probability of distress is put at one half
SEED = 11


@dataclass
class Rows:
    """Sentences with their class and the pattern each came from; ``clean``: not spoiled."""

    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    patterns: list[int] = field(default_factory=list)
    clean: list[bool] = field(default_factory=list)

    def add(
        self,
        examples: list[str],
        label: str,
        rng: random.Random,
        *,
        noisy: bool = True,
        most: int = PER_PATTERN,
    ) -> None:
        """Sentences of each example, and spoiled copies of some."""
        for example in examples:
            pattern = (self.patterns[-1] + 1) if self.patterns else 0
            expanded = expand(example)
            chosen = rng.sample(expanded, min(most, len(expanded)))
            for sentence in chosen:
                self._row(sentence, label, pattern, clean=True)
                # Short ones have few features and are said most: they are repeated instead of spoiled.
                if len(sentence.split()) <= 2:
                    self._row(sentence, label, pattern, clean=False)
                elif noisy and (rng.random() < NOISY_SHARE or len(chosen) == 1):
                    self._row(spoiled(sentence, rng), label, pattern, clean=False)

    def _row(self, text: str, label: str, pattern: int, *, clean: bool) -> None:
        self.texts.append(text)
        self.labels.append(label)
        self.patterns.append(pattern)
        self.clean.append(clean)


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def intent_rows(business: Path) -> Rows:
    data = read(business / "intents.yaml")
    groups = {name: intent["examples"] for name, intent in data["intents"].items()}
    rows, rng = Rows(), random.Random(SEED)
    for intent, examples in {**groups, OUT_OF_SCOPE: data["out_of_scope"]}.items():
        rows.add(examples, intent, rng)
    tone = read(business / "monitor.yaml")
    rows.add(tone["distress"], DISTRESS, rng)
    # Words in no order that means anything are out of scope too.
    vocabulary = sorted({word for sentence in rows.texts for word in sentence.split()})
    salad = [" ".join(rng.choices(vocabulary, k=rng.randint(4, 8))) for _ in range(120)]
    rows.add(salad, OUT_OF_SCOPE, rng, noisy=False)
    refuse_scored(business, rows.texts)
    return rows


def tone_rows(business: Path, intents: Rows) -> dict[str, Rows]:
    """The rows of the three heads for how a caller sounds."""
    data = read(business / "monitor.yaml")
    heads = {name: Rows() for name in ("sentiment", "urgency", "distress")}
    defaults = {"sentiment": "neutral", "urgency": "normal"}
    rng = random.Random(SEED + 1)
    for name, plain in defaults.items():
        for label, examples in data[name].items():
            heads[name].add(examples, label, rng, most=PER_TONE_PATTERN)
        for text, intent, pattern, clean in zip(
            intents.texts, intents.labels, intents.patterns, intents.clean, strict=True
        ):
            if pattern % 2 and clean and rng.random() < 0.25:
                heads[name]._row(
                    text, data["intents"].get(intent, {}).get(name, plain), 10_000 + pattern, clean=True
                )
    for examples in (data["distress"], data["urgency"]["critical"]):
        heads["distress"].add(examples, "yes", rng, most=PER_TONE_PATTERN)
    heads["distress"].add(data["not_distress"], "no", rng, most=PER_TONE_PATTERN)
    for name in ("sentiment", "urgency"):
        for label, examples in data[name].items():
            if label != "critical":
                heads["distress"].add(examples, "no", rng)
    for text, intent, pattern, clean in zip(
        intents.texts, intents.labels, intents.patterns, intents.clean, strict=True
    ):
        heads["distress"]._row(text, "yes" if intent == DISTRESS else "no", 10_000 + pattern, clean=clean)
    for rows in heads.values():
        refuse_scored(business, rows.texts)
    return heads


def add_everyday(business: Path, distress: Rows) -> None:
    examples = read(business / "monitor.yaml")["everyday"]
    distress.add(examples, "no", random.Random(SEED + 2), most=PER_TONE_PATTERN)
    refuse_scored(business, distress.texts)


def refuse_scored(business: Path, texts: list[str]) -> None:
    scored: set[tuple[str, ...]] = set()
    for name in ("intents_heldout.yaml", "monitor_heldout.yaml"):
        scored |= {tuple(words_of(line)) for line in lines_in(read(business / name))}
    for text in texts:
        if tuple(words_of(text)) in scored:
            raise SystemExit(f"{text!r} stands in the examples and in what is only scored")


def lines_in(node: object) -> list[str]:
    if isinstance(node, dict):
        return [line for part in node.values() for line in lines_in(part)]
    return [line for part in node for line in lines_in(part)] if isinstance(node, list) else [str(node)]


def idf_of(texts: list[str]) -> np.ndarray:
    held = np.zeros(BUCKETS)
    for text in texts:
        held[list(buckets_of(words_of(text)))] += 1
    idf = np.log((1 + len(texts)) / (1 + held)) + 1
    return np.where(held >= 2, idf, 0).astype(np.float32)


def matrix(texts: list[str], encoder: Encoder) -> csr_matrix:
    data, column, start, meaning = [], [], [0], []
    for text in texts:
        encoded = encoder.encode(text)
        data.append(encoded.values)
        column.append(encoded.at)
        start.append(start[-1] + len(encoded.at))
        meaning.append(encoded.meaning * MEANING)
    sparse = csr_matrix(
        (np.concatenate(data), np.concatenate(column), start), shape=(len(texts), BUCKETS), dtype=np.float32
    )
    return hstack([sparse, csr_matrix(np.array(meaning, np.float32))]).tocsr().astype(np.float32)


def fit(x: csr_matrix, target: np.ndarray, *, balanced: bool = True) -> LogisticRegression:
    weight = "balanced" if balanced else None
    return LogisticRegression(C=STRENGTH, max_iter=ROUNDS, class_weight=weight).fit(x, target)


def folded(x: csr_matrix, rows: Rows, target: np.ndarray) -> np.ndarray:
    """Scores for every row by a model that saw no sentence of its pattern."""
    fold = np.array(rows.patterns) % FOLDS
    scores: np.ndarray | None = None
    for at in range(FOLDS):
        part = fit(x[fold != at], target[fold != at]).decision_function(x[fold == at])
        part = part if part.ndim > 1 else part[:, None]
        scores = np.zeros((x.shape[0], part.shape[1])) if scores is None else scores
        scores[fold == at] = part
    assert scores is not None
    return scores


def temperature_of(scores: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    def loss(temperature: float) -> float:
        z = scores / temperature
        z = z - z.max(axis=1, keepdims=True)
        each = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(target)), target]
        return float(np.average(each, weights=weight))

    return float(minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded").x)


def logit(chance: np.ndarray | float) -> np.ndarray | float:
    return np.log(chance) - np.log1p(-chance)


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def curve(
    score: np.ndarray, right: np.ndarray, weight: np.ndarray, points: int = 24
) -> dict[str, list[float]]:
    """Isotonic regression, thinned to a few points."""
    model = IsotonicRegression(y_min=0.001, y_max=0.999, out_of_bounds="clip").fit(score, right, weight)
    at = np.unique(np.quantile(model.X_thresholds_, np.linspace(0, 1, points)).round(4))
    return {"score": at.tolist(), "probability": model.predict(at).round(4).tolist()}


def fit_distress(head: Rows, encoder: Encoder) -> tuple[np.ndarray, np.ndarray, dict[str, object]]:
    """The head of distress: its column of weights, its bias, and what the card says of its probability."""
    yes = np.array([label == "yes" for label in head.labels])
    xh = matrix(head.texts, encoder)
    scores = folded(xh, head, yes)[:, 0]
    # One half is where enough callers in distress are found: the share of such callers is taken as so large.
    plain = curve(scores, yes.astype(float), np.ones(len(yes)), points=40)
    clear = yes & np.array(head.clean)
    limit = float(np.quantile(scores[clear], 1 - RECALL))
    shift = -logit(float(np.interp(limit, plain["score"], plain["probability"])))
    chance = 1 / (1 + np.exp(-(logit(np.array(plain["probability"])) + shift)))
    share = 1 / (1 + np.exp(-(logit(float(yes.mean())) + shift)))
    fires = scores >= limit
    print(
        f"distress: as if {share:.2f} of the turns were; recall {np.mean(fires[clear]):.3f}, "
        f"of the others {np.mean(fires[~yes]):.4f}"
    )
    model = fit(xh, yes)
    told: dict[str, object] = {
        "distress": {"score": plain["score"], "probability": chance.round(4).tolist()},
        "distress_at": 0.5,
        "distress_share": round(float(share), 3),
    }
    return model.coef_.T, model.intercept_, told


def train_distress(deployment: Path) -> None:
    """Fits the head of distress anew, over the vocabulary of the model that is there; the others stay."""
    business, models = deployment / "business", deployment / "models"
    with np.load(models / "monitor.npz", allow_pickle=False) as arrays:
        stored = dict(arrays)
    encoder = Encoder(stored["idf"].astype(np.float32), WordVectors.load(models / "monitor_words.npz"))
    head = tone_rows(business, intent_rows(business))["distress"]
    add_everyday(business, head)
    column, offset, calibration = fit_distress(head, encoder)
    column = column[:, 0]
    column[BUCKETS:] *= MEANING
    rows = np.union1d(stored["rows"].astype(int), weighty(encoder, column[:, None]))
    before = np.zeros((len(rows), stored["weights"].shape[1]), np.int8)
    before[np.searchsorted(rows, stored["rows"].astype(int))] = stored["weights"]
    scale = float(np.abs(column[rows]).max() / 127)
    before[:, -1] = np.round(column[rows] / scale)
    stored |= {"rows": rows.astype(np.uint16), "weights": before}
    stored["scale"][-1], stored["bias"][-1] = scale, offset[0]
    stored["meaning"][:, -1] = column[BUCKETS:]
    np.savez_compressed(models / "monitor.npz", **stored)
    card = json.loads((models / "monitor.json").read_text())
    (models / "monitor.json").write_text(json.dumps(card | calibration, indent=1) + "\n")


def weighty(encoder: Encoder, weights: np.ndarray) -> np.ndarray:
    """The buckets that are kept."""
    return np.flatnonzero((encoder.idf > 0) & (np.abs(weights[:BUCKETS]).max(axis=1) > 0.25))


def train(deployment: Path, *, errors: bool) -> None:
    business, models = deployment / "business", deployment / "models"
    rows = intent_rows(business)
    heads = tone_rows(business, rows)
    everything = rows.texts + [text for head in heads.values() for text in head.texts]
    encoder = Encoder(idf_of(list(dict.fromkeys(everything))), WordVectors.load(models / "monitor_words.npz"))
    add_everyday(business, heads["distress"])  # when the vocabulary stands: it is for this head alone
    labels = sorted(set(rows.labels))
    target = np.array([labels.index(label) for label in rows.labels])
    x = matrix(rows.texts, encoder)
    clean = np.array(rows.clean)
    # Each pattern counts once, however many sentences it stands for.
    per_pattern = np.bincount(np.array(rows.patterns)[clean], minlength=rows.patterns[-1] + 1)
    weight = 1.0 / per_pattern[np.array(rows.patterns)[clean]]

    held = folded(x, rows, target)[clean]
    temperature = temperature_of(held, target[clean], weight)
    probabilities = softmax(held / temperature)
    away = np.array([outside(row, tuple(labels)) for row in probabilities.astype(np.float32)])
    is_out = (target[clean] == labels.index(OUT_OF_SCOPE)).astype(float)
    right = probabilities.argmax(axis=1) == target[clean]
    print(
        f"{len(rows.texts)} sentences, on folds right {np.average(right, weights=weight):.3f}, "
        f"T {temperature:.2f}"
    )
    if errors:
        for text, label, at, best in zip(
            np.array(rows.texts)[clean],
            np.array(rows.labels)[clean],
            probabilities.argmax(1),
            probabilities.max(1),
            strict=True,
        ):
            if labels[at] != label and best > 0.6:
                print(f"{label:18s} -> {labels[at]:18s} {best:.2f}  {text}")

    columns, bias = [], []
    main = fit(x, target)
    columns.append(main.coef_.T)
    bias.append(main.intercept_)
    card: dict[str, object] = {
        "format": FORMAT,
        "labels": labels,
        "categories": {
            intent: key
            for key, c in read(business / "intents.yaml")["categories"].items()
            for intent in c["intents"]
        },
        "temperature": round(temperature, 4),
        "out_of_scope": curve(away, is_out, weight),
        "trained_on": len(rows.texts),
    }
    for name, order in (("sentiment", list(SENTIMENTS)), ("urgency", [str(u) for u in URGENCIES])):
        head = heads[name]
        place = np.array([order.index(label) for label in head.labels])
        xh = matrix(head.texts, encoder)
        scores = folded(xh, head, place)
        card[f"{name}_temperature"] = round(temperature_of(scores, place, np.ones(len(place))), 4)
        print(f"{name}: on folds right {np.mean(scores.argmax(1) == place):.3f}")
        model = fit(xh, place)
        columns.append(model.coef_.T)
        bias.append(model.intercept_)
    column, offset, calibration = fit_distress(heads["distress"], encoder)
    card |= calibration
    columns.append(column)
    bias.append(offset)

    weights = np.hstack(columns)
    weights[BUCKETS:] *= MEANING
    kept = weighty(encoder, weights)
    scale = np.abs(weights[kept]).max(axis=0) / 127
    np.savez_compressed(
        models / "monitor.npz",
        rows=kept.astype(np.uint16),
        idf=encoder.idf.astype(np.float16),
        weights=np.round(weights[kept] / scale).astype(np.int8),
        scale=scale.astype(np.float32),
        meaning=weights[BUCKETS:].astype(np.float16),
        bias=np.concatenate(bias).astype(np.float32),
    )
    card["words"] = hashlib.sha256((models / "monitor_words.npz").read_bytes()).hexdigest()
    (models / "monitor.json").write_text(json.dumps(card, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployment", type=Path, default=Path("."))
    parser.add_argument("--check", action="store_true", help="score only")
    parser.add_argument("--distress", action="store_true", help="fit this head alone, the others stay")
    parser.add_argument("--errors", action="store_true", help="print what the folds got wrong")
    arguments = parser.parse_args()
    if arguments.distress:
        train_distress(arguments.deployment)
    elif not arguments.check:
        train(arguments.deployment, errors=arguments.errors)
    found = figures(arguments.deployment)
    print(json.dumps(found, indent=1))
    if not arguments.check:
        (arguments.deployment / "models/monitor.md").write_text(card_text(arguments.deployment, found))
    sys.exit(0 if found["intents"]["accuracy"] >= 0.5 else 1)


if __name__ == "__main__":
    main()
