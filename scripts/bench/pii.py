"""What is personal and missed, what is masked and should not be, and what masking costs.

    .venv/bin/python -m scripts.bench.pii [--lines 200] [--tuned] [--json] [--show]

Utterances are generated (`pii_lines`) with a recogniser's errors. *missed*: three digits or a whole word of
the value is still readable in the masked text. *false masks*: something is masked in an utterance without
anything personal. The templates are the held-out ones unless ``--tuned``. Times are of the processor.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

from scripts.bench.pii_lines import ORDER_DIGITS, POST_CODE_DIGITS, Line, benign, personal
from voicebot.dialogue.door import Veil
from voicebot.safety.pii.finding import Shapes
from voicebot.safety.pii.masking import Masker
from voicebot.safety.pii.spoken_form import normalise
from voicebot.safety.pii.words import Kind

SHAPES = Shapes({"order number": ORDER_DIGITS, "post code": POST_CODE_DIGITS})
HELD = {"[order number 1]": "427103", "[post code 1]": "94107", "[phone number 1]": "6175550123"}
SEED = 20261121


def measure(lines: int, *, held_out: bool = True) -> dict[str, Any]:
    """Misses by kind, false masks, and milliseconds per utterance and partial."""
    said = personal(lines, SEED, held_out=held_out)
    plain = benign(5 * lines, SEED + 1, held_out=held_out)
    kinds: dict[str, dict[str, Any]] = {}
    for line in said:
        one = kinds.setdefault(line.kind or "", {"lines": 0, "missed": 0, "examples": []})
        one["lines"] += 1
        if missed(line):
            one["missed"] += 1
            one["examples"].append([line.text, _masked(line)])
    wrong = [[line.text, masked] for line in plain if (masked := _masked(line)) != line.text]
    return {
        "kinds": kinds,
        "false_masks": {"lines": len(plain), "masked": len(wrong), "examples": wrong},
        "ms": _costs([*said, *plain]),
    }


def missed(line: Line) -> bool:
    """Whether something of the value can still be read."""
    found = Masker(SHAPES).mask(line.text, line.expected).found
    left = "".join(
        "," if any(one.start <= at < one.end for one in found) else letter
        for at, letter in enumerate(line.text)
    )[line.begin : line.end]
    tokens = normalise(left)
    digits = sum(len(token.digits) for token in tokens if token.kind is not Kind.WORD)
    if line.kind in {"name", "email", "address"}:
        return any(token.kind is Kind.WORD and len(token.text) > 3 for token in tokens) or digits > 2
    return digits >= 3


def _masked(line: Line) -> str:
    return Masker(SHAPES).mask(line.text, line.expected).text


def _costs(lines: list[Line]) -> dict[str, float]:
    turns, partials, hidden = list[float](), list[float](), list[float]()
    veil = Veil(SHAPES, HELD)
    for line in lines:
        turns.append(_ms(lambda line=line: Masker(SHAPES, HELD).mask(line.text, line.expected)))
        partials.append(_ms(lambda line=line: veil.partial(line.text)))
        hidden.append(_ms(lambda line=line: veil.bot(line.text)))
    named = {"utterance": turns, "partial": partials, "clause of the bot": hidden}
    out: dict[str, float] = {}
    for name, values in named.items():
        out[f"{name}, median"] = statistics.median(values)
        out[f"{name}, p99"] = sorted(values)[int(len(values) * 0.99)]
    return {name: round(value, 3) for name, value in out.items()}


def _ms(work: Any) -> float:
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1000


def rows(result: dict[str, Any]) -> list[list[str]]:
    """The table: what, and how often."""
    out = [
        [f"missed: {kind}", f"{one['missed']} of {one['lines']} ({one['missed'] / one['lines']:.1%})"]
        for kind, one in result["kinds"].items()
    ]
    lines = sum(one["lines"] for one in result["kinds"].values())
    misses = sum(one["missed"] for one in result["kinds"].values())
    false = result["false_masks"]
    out += [
        ["missed, all kinds", f"{misses} of {lines} ({misses / lines:.1%})"],
        ["false masks", f"{false['masked']} of {false['lines']} ({false['masked'] / false['lines']:.1%})"],
    ]
    return out + [[f"{name}, ms", f"{value:.3f}"] for name, value in result["ms"].items()]


def main() -> None:
    """Prints the table, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    result = measure(options.lines, held_out=not options.tuned)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, figure in rows(result):
        print(f"{name:32} {figure:>22}")
    if options.show:
        for kind, one in result["kinds"].items():
            for text, masked in one["examples"][:12]:
                print(f"missed {kind}: {text}  =>  {masked}")
        for text, masked in result["false_masks"]["examples"][:25]:
            print(f"false: {text}  =>  {masked}")


if __name__ == "__main__":
    main()
