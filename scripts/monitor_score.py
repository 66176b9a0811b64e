"""What the monitor's model is worth: figures on held-out phrasings, and its card. Used by the training script
and by scripts/bench/monitor.py.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from voicebot.dialogue.monitor.classifier import OUT_OF_SCOPE, IntentClassifier, Verdict

SURE = 0.70  # the policy's limit for acting on an intent

KEYWORDS = {  # the baseline: the first of these words wins
    "distress": ["die", "kill", "ambulance", "police", "bleeding", "fire", "hurt", "emergency"],
    "person": ["person", "human", "agent", "operator", "representative"],
    "cancel_order": ["cancel"],
    "opening_hours": ["open", "hours", "close"],
    "refund_status": ["refund"],
    "exchange_item": ["exchange", "swap"],
    "start_return": ["label"],
    "return_policy": ["return", "back"],
    "warranty_claim": ["claim"],
    "warranty": ["warranty", "guarantee"],
    "missing_item": ["missing"],
    "damaged_item": ["broken", "damaged", "wrong", "scratched"],
    "assembly": ["assemble", "assembly", "build"],
    "gift_card": ["gift", "voucher"],
    "plus_membership": ["plus", "points", "membership"],
    "discounts": ["discount", "coupon", "sale", "cheaper"],
    "invoice_copy": ["invoice", "receipt", "bill"],
    "financing": ["installments", "monthly", "financing"],
    "payment_failed": ["declined", "failed"],
    "billing_dispute": ["charged", "twice"],
    "spare_parts": ["spare", "screw", "replacement"],
    "sustainability": ["made", "wood", "material"],
    "account_access": ["password", "login"],
    "account_security": ["hacked", "stolen", "scam"],
    "account_details": ["email", "name"],
    "newsletter": ["newsletter", "unsubscribe", "emails"],
    "data_request": ["delete", "data"],
    "privacy_question": ["privacy", "recorded"],
    "old_furniture": ["old"],
    "delivery_service": ["upstairs", "floor", "stairs"],
    "delivery_address": ["address", "moved"],
    "delivery_reschedule": ["reschedule", "another", "instead"],
    "parcel_lost": ["lost", "parcel"],
    "shipping_cost": ["cost", "fee", "charge"],
    "shipping_time": ["long", "days", "fast"],
    "payment_methods": ["pay", "card", "cash"],
    "order_status": ["order", "package", "delivery"],
    "store_services": ["parking", "pick"],
    "store_location": ["where", "address", "directions"],
    "availability": ["stock", "available", "have"],
    "product_advice": ["recommend", "which", "advice"],
    "care_advice": ["clean", "wash", "stain"],
    "trade_customers": ["business", "company", "office"],
    "churn_risk": ["never", "elsewhere", "leaving"],
    "complaint": ["complain", "terrible", "angry"],
    "goodbye": ["bye", "all"],
    "thanks": ["thank", "thanks"],
    "yes": ["yes", "yeah", "sure"],
    "no": ["no", "nope"],
    "repeat": ["repeat", "again"],
    "wait": ["wait", "moment", "hold"],
    "greeting": ["hello", "hi"],
    "help": ["help"],
}
ANGRY = ("terrible", "angry", "worst", "useless", "ridiculous", "hell", "damn", "disgrace", "furious")
PLEASED = ("thanks", "thank", "great", "love", "perfect", "wonderful", "happy", "nice")


def keyword(text: str) -> str:
    words = text.split()
    return next((i for i, cues in KEYWORDS.items() if any(cue in words for cue in cues)), OUT_OF_SCOPE)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def lines_of(path: Path, *, without: str = "") -> list[str]:
    """All phrasings of a file of held-out ones, those of one class left out."""

    def lines(node: Any) -> list[str]:
        if isinstance(node, dict):
            return [line for key, part in node.items() if key != without for line in lines(part)]
        return [line for part in node for line in lines(part)] if isinstance(node, list) else [str(node)]

    return lines(read(path))


def calibration_error(chance: list[float], right: list[bool], bins: int = 10) -> float:
    """Expected calibration error: mean distance of what was said from what came true, over equal bins."""
    place = np.minimum((np.array(chance) * bins).astype(int), bins - 1)
    p, r = np.array(chance), np.array(right, dtype=float)
    return float(
        sum((place == b).mean() * abs(p[place == b].mean() - r[place == b].mean()) for b in set(place))
    )


def figures(deployment: Path) -> dict[str, dict[str, float]]:
    """All figures that need nothing but this repository, rounded."""
    model = IntentClassifier.load(deployment / "models")
    business = deployment / "business"
    rows = [
        (text, intent)
        for intent, lines in read(business / "intents_heldout.yaml")["heldout"].items()
        for text in lines
    ]
    verdicts = [model.verdict(text) for text, _ in rows]
    best = [v.guesses[0] for v in verdicts]
    right = [guess.intent == intent for guess, (_, intent) in zip(best, rows, strict=True)]
    sure = [ok for ok, guess in zip(right, best, strict=True) if guess.probability >= SURE]
    category = [v.category == model.categories[intent] for v, (_, intent) in zip(verdicts, rows, strict=True)]
    three = [
        intent in {g.intent for g in v.guesses[:3]} for v, (_, intent) in zip(verdicts, rows, strict=True)
    ]
    out = [guess for guess, (_, intent) in zip(best, rows, strict=True) if intent == OUT_OF_SCOPE]
    found = {
        "intents": {
            "phrasings": len(rows),
            "accuracy": np.mean(right),
            "accuracy of the keyword baseline": np.mean([keyword(text) == intent for text, intent in rows]),
            "right among the first three": np.mean(three),
            "category accuracy": np.mean(category),
            "share that is sure (0.70)": len(sure) / len(rows),
            "accuracy when sure": np.mean(sure),
            "expected calibration error": calibration_error([g.probability for g in best], right),
            "out of scope, not taken for a sure want": np.mean(
                [g.intent == OUT_OF_SCOPE or g.probability < SURE for g in out]
            ),
        },
        **_tone(model, read(business / "monitor_heldout.yaml"), rows, verdicts),
    }
    return {
        part: {key: round(float(value), 3) for key, value in values.items()} for part, values in found.items()
    }


def _tone(
    model: IntentClassifier, data: Any, rows: list[tuple[str, str]], verdicts: list[Verdict]
) -> dict[str, dict[str, float]]:
    feel = [
        (model.verdict(text).sentiment, label, text)
        for label, lines in data["sentiment"].items()
        for text in lines
    ]
    sign = {"angry": -1, "unhappy": -1, "neutral": 0, "pleased": 1}
    hurry = [
        (str(model.verdict(text).urgency), label)
        for label, lines in data["urgency"].items()
        for text in lines
    ]
    at = model.card.distress_at
    danger = [model.verdict(text).distress for text in data["distress"]]
    danger += [v.distress for v, (_, intent) in zip(verdicts, rows, strict=True) if intent == "distress"]
    near = [model.verdict(text).distress for text in data["not_distress"]]
    others = [v.distress for v, (_, intent) in zip(verdicts, rows, strict=True) if intent != "distress"]
    words = ("die", "kill", "ambulance", "police", "bleeding", "fire", "hurt", "emergency", "blood", "dead")
    chance = danger + near + others
    return {
        "sentiment": {
            "sentences": len(feel),
            "unhappy, neutral or pleased: accuracy": np.mean(
                [(-1 if s < -0.25 else 1 if s > 0.3 else 0) == sign[label] for s, label, _ in feel]
            ),
            "accuracy of the keyword baseline": np.mean(
                [
                    (-1 if set(ANGRY) & set(t.split()) else 1 if set(PLEASED) & set(t.split()) else 0)
                    == sign[label]
                    for _, label, t in feel
                ]
            ),
        },
        "urgency": {
            "sentences": len(hurry),
            "accuracy": np.mean([a == b for a, b in hurry]),
            "high or critical found": np.mean(
                [a in ("high", "critical") for a, b in hurry if b in ("high", "critical")]
            ),
            "high or critical said of others": np.mean(
                [a in ("high", "critical") for a, b in hurry if b in ("low", "normal")]
            ),
        },
        "distress": {
            "in distress": len(danger),
            "recall": np.mean([p >= at for p in danger]),
            "recall of the keyword baseline": np.mean(
                [
                    bool(set(words) & set(t.split()))
                    for t in [*data["distress"], *(x for x, i in rows if i == "distress")]
                ]
            ),
            "near misses": len(near),
            "near misses that fire": np.mean([p >= at for p in near]),
            "near misses that fire, keyword baseline": np.mean(
                [bool(set(words) & set(t.split())) for t in data["not_distress"]]
            ),
            "other turns": len(others),
            "other turns that fire": np.mean([p >= at for p in others]),
            "expected calibration error": calibration_error(
                chance, [True] * len(danger) + [False] * (len(near) + len(others))
            ),
        },
    }


def confusions(deployment: Path, least: int = 2) -> list[tuple[str, str, int]]:
    """Which intent of the held-out part was taken for which, by category; no phrasing is named."""
    model = IntentClassifier.load(deployment / "models")
    counts: Counter[tuple[str, str]] = Counter()
    for intent, lines in read(deployment / "business/intents_heldout.yaml")["heldout"].items():
        for text in lines:
            counts[(model.categories[intent], model.verdict(text).category)] += 1
    return [
        (a, b, n) for (a, b), n in sorted(counts.items(), key=lambda item: -item[1]) if a != b and n >= least
    ]


CARD = """# The monitor's model

What the monitor makes of one turn of a caller: intent and category, urgency, sentiment, distress, out of
scope. Linear heads over hashed words, word pairs and character n-grams, and over the summed meaning of the
words (`monitor_words.npz`); run with numpy. Made by `scripts/train_monitor.py` from {trained_on} sentences:
the examples of `business/intents.yaml` and `business/monitor.yaml` and copies of them spoiled as a poor
line would (words that sound alike, dropped, doubled, joined and torn words, fillers). No other data set was
trained on. The meanings were fitted by `scripts/make_word_vectors.py` to what all-MiniLM-L6-v2 (Apache-2.0)
makes of the same examples; the sentence model itself is not needed to run.

Probabilities are calibrated on folds: each pattern of examples was scored by a model that had seen none of
its sentences. One temperature for intents ({temperature}), one for sentiment and urgency each, an isotonic
curve for distress and for out of scope. The probability of distress is that of a line on which
{distress_share} of the turns were in distress: far more than there are, so that one half, where a person
takes over, finds enough of them.

Scored on `business/intents_heldout.yaml` and `business/monitor_heldout.yaml`: written by hand after the
examples, in other words, never trained on. Typed by the author of the examples, though, and its totals were
seen while the kinds of features and the amount of examples were chosen: real callers and real recognisers
will be harder.

{tables}Categories taken for one another on the held-out part (at least twice): {confused}.

What it costs, and how it does on public data sets that it was not made from, stands in `docs/monitor.md`;
`scripts/bench/monitor.py` prints it.
"""


def card_text(deployment: Path, found: dict[str, dict[str, float]]) -> str:
    """models/monitor.md."""
    card = json.loads((deployment / "models/monitor.json").read_text())
    tables = ""
    for part, values in found.items():
        tables += f"| {part} | |\n|---|---|\n"
        tables += (
            "".join(f"| {key} | {int(value) if value >= 2 else value} |\n" for key, value in values.items())
            + "\n"
        )
    confused = ", ".join(f"{a} for {b} {n}" for a, b, n in confusions(deployment)) or "none"
    return CARD.format(
        trained_on=card["trained_on"],
        temperature=card["temperature"],
        distress_share=card["distress_share"],
        tables=tables,
        confused=confused,
    )
