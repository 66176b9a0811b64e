"""Every table of the page of benchmarks has its bench, and every bench its place on the page."""

from __future__ import annotations

import re

from scripts.bench.all import BENCHES, BY_THEMSELVES, PAGE, insert


def test_tables_and_benches_are_the_same() -> None:
    """`make bench` leaves no table behind and no figure nowhere."""
    marked = set(re.findall(r"<!-- ([a-z -]+) -->", PAGE.read_text()))
    assert marked == set(BENCHES) | BY_THEMSELVES


def test_the_monitors_figures_become_a_table() -> None:
    """Each figure under what it is of; the prose around stays."""
    figures = {
        "version": "monitor-1",
        "held-out phrasings": {"distress": {"recall": 0.75}},
        "ms per turn (one core)": {"p50": 0.4},
        "date": "2026-01-01",
        "machine": "one",
    }
    rows = BENCHES["monitor"].rows(figures)
    assert rows == [["distress: recall", "0.75"], ["ms per turn (one core): p50", "0.4"]]
    page = insert("before\n<!-- monitor -->\n<!-- /monitor -->\nafter", "monitor", figures, "| a |")
    assert page == "before\n<!-- monitor -->\n| a |\n\n*2026-01-01, one*\n<!-- /monitor -->\nafter"
