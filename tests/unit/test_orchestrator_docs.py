"""Examples in the docstrings of the dialogue work, and docs/dialogue.md names orders that exist."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from voicebot.dialogue.generation.spoken import digits

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = [
    "voicebot.safety.spoken_numbers",
    "voicebot.safety.guard_in.conduct",
    "voicebot.safety.guard_in.guard",
    "voicebot.safety.guard_in.wording",
    "voicebot.safety.guard_out.clause",
    "voicebot.safety.guard_out.values",
    "voicebot.dialogue.patterns",
    "voicebot.dialogue.monitor.course",
    "voicebot.dialogue.monitor.monitor",
    "voicebot.dialogue.knowledge.fusion",
    "voicebot.dialogue.knowledge.gaps",
    "voicebot.dialogue.knowledge.rerank",
    "voicebot.dialogue.knowledge.similar",
    "voicebot.dialogue.knowledge.words",
    "voicebot.dialogue.generation.clauses",
    "voicebot.dialogue.generation.spoken",
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_are_true(name: str) -> None:
    """Each module has examples, and they run."""
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0


def test_orders_in_the_docs_are_the_seeds_demo_orders() -> None:
    """Somebody who tries an order of the table finds it."""
    spec = importlib.util.spec_from_file_location("shop_seed", ROOT / "business" / "shop" / "seed.py")
    assert spec is not None
    assert spec.loader is not None
    import sys

    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    table = re.findall(
        r"^\| (\d{6}) \| (\d{5}) \|", (ROOT / "docs" / "dialogue.md").read_text(), re.MULTILINE
    )
    assert table == [(order.number, order.post_code) for order in module.DEMO_ORDERS]


def test_the_demo_orders_are_in_no_phrase_a_recogniser_learns() -> None:
    """An expected value never enters a grammar."""
    text = (ROOT / "business" / "phrases.yaml").read_text() + (ROOT / "business" / "intents.yaml").read_text()
    docs = (ROOT / "docs" / "dialogue.md").read_text()
    for number in re.findall(r"\b\d{5,6}\b", docs):
        words = digits(number).replace(",", "")
        assert number not in text
        assert words not in text
        assert words.replace("zero", "oh") not in text
