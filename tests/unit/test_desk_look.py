"""Whatever the system's colours are, the desk can be read: every ink on every ground, by WCAG's AA."""

from __future__ import annotations

import re

import pytest

from voicebot.console.desk.look import STYLE

_PAIR = re.compile(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)")
COLOURS = {name: (light, dark) for name, light, dark in _PAIR.findall(STYLE)}

TEXT = [
    *((ink, ground) for ink in ("ink", "soft", "accent", "alarm", "good") for ground in ("ground", "card")),
    ("on-accent", "accent"),
    ("accent", "tint"),
    ("ink", "tint"),
    ("alarm", "alarm-tint"),
    ("ink", "alarm-tint"),
    ("good", "good-tint"),
    *((ink, said) for ink in ("ink", "soft", "accent") for said in ("caller", "bot", "agent")),
    ("on-bar", "bar"),
    ("on-bar-soft", "bar"),
    ("ground", "ink"),
]
"""Which ink stands on which ground in the sheet."""


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio: 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(("ink", "ground"), TEXT)
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(ink: str, ground: str, scheme: int) -> None:
    assert contrast(COLOURS[ink][scheme], COLOURS[ground][scheme]) >= 4.5


@pytest.mark.parametrize("ground", ["card", "ground"])
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_what_can_be_pressed_has_an_edge_that_is_seen(ground: str, scheme: int) -> None:
    assert contrast(COLOURS["edge"][scheme], COLOURS[ground][scheme]) >= 3
