"""What the monitor costs and how well it hears: docs/monitor.md has the figures.

    .venv/bin/python scripts/bench/monitor.py [--data DIR]

Prints the scores of the card, the time of a turn on one core, and with ``--data`` two public sets that the
model was not made from: CLINC150 (clinc150/clinc150_train_val.json, keys val and oos_val; Larson et al.
2019) and BANKING77 (banking77/train.csv; Casanueva et al. 2020). Of these only the intents that this shop
has too count as in scope.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import numpy as np  # noqa: E402  # threads are set first
from monitor_score import calibration_error, figures, keyword, lines_of  # noqa: E402

from voicebot.core.conversation import Utterance  # noqa: E402
from voicebot.dialogue.monitor.classifier import OUT_OF_SCOPE, IntentClassifier  # noqa: E402
from voicebot.dialogue.monitor.monitor import Monitor  # noqa: E402

CLINC = {  # what both have, by our name
    "order_status": "order_status",
    "greeting": "greeting",
    "goodbye": "goodbye",
    "thank_you": "thanks",
    "yes": "yes",
    "no": "no",
    "repeat": "repeat",
    "what_can_i_ask_you": "help",
    "are_you_a_bot": "chitchat",
    "what_is_your_name": "chitchat",
    "what_are_your_hobbies": "chitchat",
    "how_old_are_you": "chitchat",
    "who_made_you": "chitchat",
    "where_are_you_from": "chitchat",
    "do_you_have_pets": "chitchat",
}
CLINC_NEITHER = frozenset(  # close to something here: neither in scope nor clearly out of it
    ["directions", "report_fraud", "account_blocked", "damaged_card", "rewards_balance", "redeem_rewards",
     "pay_bill", "bill_balance", "card_declined", "order", "maybe", "cancel", "user_name", "change_user_name",
     "change_ai_name", "who_do_you_work_for", "tell_joke", "order_checks", "make_call", "reset_settings"]
)  # fmt: skip
BANKING = {
    "transaction_charged_twice": "billing_dispute",
    "card_payment_not_recognised": "billing_dispute",
    "extra_charge_on_statement": "billing_dispute",
    "declined_card_payment": "payment_failed",
    "Refund_not_showing_up": "refund_status",
    "edit_personal_details": "account_details",
    "passcode_forgotten": "account_access",
    "terminate_account": "data_request",
}
COVERAGE = 0.95


def turns_ms(model: IntentClassifier, texts: list[str], rounds: int) -> dict[str, float]:
    """Times of one turn: on the clock, and of the processor (what a busy machine does not stretch)."""
    monitor = Monitor(model, is_content=lambda _: True, priority=lambda _: 0, sure=0.7)
    clock: list[float] = []
    processor: list[float] = []
    for _ in range(rounds):
        for text in texts:
            started, used = time.perf_counter(), time.thread_time()
            monitor.read(Utterance(text=text))
            processor.append((time.thread_time() - used) * 1000)
            clock.append((time.perf_counter() - started) * 1000)
    return {
        "turns": len(clock),
        "p50": round(float(np.percentile(clock, 50)), 2),
        "p99": round(float(np.percentile(clock, 99)), 2),
        "p99 of the processor's time": round(float(np.percentile(processor, 99)), 2),
    }


def clinc(data: Path) -> Iterator[tuple[str, str]]:
    document = json.loads((data / "clinc150/clinc150_train_val.json").read_text())
    for text, intent in [*document["val"], *document["oos_val"]]:
        if intent not in CLINC_NEITHER:
            yield text, CLINC.get(intent, OUT_OF_SCOPE)


def banking(data: Path) -> Iterator[tuple[str, str]]:
    with (data / "banking77/train.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["category"] in BANKING:
                yield row["text"], BANKING[row["category"]]


def out_of_scope(model: IntentClassifier, inside: list[str], outside: list[str]) -> dict[str, float]:
    """Recall where 95 % of what is in scope still counts as in scope, and the area under the curve."""
    ours = np.array([model.verdict(text).out_of_scope for text in inside])
    others = np.array([model.verdict(text).out_of_scope for text in outside])
    limit = float(np.quantile(ours, COVERAGE))
    above = (others[:, None] > ours[None, :]).mean() + 0.5 * (others[:, None] == ours[None, :]).mean()
    return {
        "in scope": len(inside),
        "out of scope": len(outside),
        "recall at 95 % coverage": round(float(np.mean(others > limit)), 3),
        "area under the curve": round(float(above), 3),
    }


def scored(model: IntentClassifier, rows: list[tuple[str, str]]) -> dict[str, float]:
    best = [model.guesses(text)[0] for text, _ in rows]
    right = [guess.intent == intent for guess, (_, intent) in zip(best, rows, strict=True)]
    return {
        "turns": len(rows),
        "accuracy": round(float(np.mean(right)), 3),
        "keyword baseline": round(float(np.mean([keyword(text.lower()) == i for text, i in rows])), 3),
        "expected calibration error": round(calibration_error([g.probability for g in best], right), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with clinc150/ and banking77/")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    model = IntentClassifier.load(ROOT / "models")
    business = ROOT / "business"
    texts = lines_of(business / "intents_heldout.yaml") + lines_of(business / "monitor_heldout.yaml")
    spent = turns_ms(model, texts, arguments.rounds)
    long = turns_ms(model, ["and then i said where is my order " * 60], 100)
    report: dict[str, object] = {
        "version": model.version,
        "held-out phrasings": figures(ROOT),
        "ms per turn (one core)": spent,
        "ms for two minutes of talk in one turn": long,
    }
    held = [(t, i) for t, i in clinc(arguments.data)] if arguments.data else []
    if arguments.data:
        ours = lines_of(ROOT / "business/intents_heldout.yaml", without=OUT_OF_SCOPE)
        outside = [text for text, intent in held if intent == OUT_OF_SCOPE]
        report["CLINC150 val"] = {
            "intents both have": scored(model, [row for row in held if row[1] != OUT_OF_SCOPE]),
            "scope: our held-out phrasings against CLINC150": out_of_scope(model, ours, outside),
            "scope: CLINC150's shared intents against the rest of it": out_of_scope(
                model, [text for text, intent in held if intent != OUT_OF_SCOPE], outside
            ),
        }
        report["BANKING77"] = {"intents both have": scored(model, list(banking(arguments.data)))}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
