"""What is known of a customer is handed out when a line of clearances.yaml says so, and never otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from voicebot.core.documents import parse_yaml
from voicebot.dialogue.memory.clearances import ClearanceError, Clearances
from voicebot.dialogue.memory.features import Feature, Layer, Purpose, Role

FILE = Path(__file__).parents[2] / "business" / "clearances.yaml"
INTENTS = parse_yaml((FILE.parent / "intents.yaml").read_text())["intents"]
CLEARANCES = Clearances.read(FILE, intents=INTENTS)
DOCUMENT: dict[str, Any] = parse_yaml(FILE.read_text())


def says(feature: Feature, intent: str, role: Role, region: str | None, purpose: Purpose) -> bool:
    """The same question, asked of the file itself."""
    return any(
        role.value in line["roles"]
        and purpose.value in line["purposes"]
        and ({intent, "*"} & set(line["intents"]))
        and ({region, "*"} & set(line.get("regions", ["*"])))
        for line in DOCUMENT["features"][feature.value]
    )


def test_every_combination_that_no_line_clears_is_refused():
    refused = granted = 0
    for feature, role, purpose in itertools.product(Feature, Role, Purpose):
        for intent, region in itertools.product([*INTENTS, "unheard_of"], [None, "canada"]):
            refusal = CLEARANCES.refusal(feature, intent=intent, role=role, region=region, purpose=purpose)
            assert (refusal is None) == says(feature, intent, role, region, purpose)
            refused, granted = refused + (refusal is not None), granted + (refusal is None)
    assert granted > 0
    assert refused > granted  # no is the rule


@pytest.mark.parametrize("purpose", [Purpose.TRAINING, Purpose.MARKETING])
def test_what_is_remembered_serves_the_customer_and_nothing_else(purpose: Purpose):
    for feature, role, intent in itertools.product(Feature, Role, INTENTS):
        if feature.layer is not Layer.PROFILE:
            assert CLEARANCES.refusal(feature, intent=intent, role=role, region=None, purpose=purpose)


def test_an_unknown_region_is_covered_only_by_a_line_for_any(tmp_path: Path):
    clearances = edited(tmp_path, lambda d: line_of(d, "segment").update(regions=["canada"]))
    asked: dict[str, Any] = {"intent": "order_status", "role": Role.BOT, "purpose": Purpose.ROUTE}
    assert clearances.refusal(Feature.SEGMENT, region="canada", **asked) is None
    assert clearances.refusal(Feature.SEGMENT, region=None, **asked) == "not_cleared"
    assert clearances.refusal(Feature.SEGMENT, region="hawaii", **asked) == "not_cleared"


def line_of(document: dict[str, Any], feature: str) -> dict[str, Any]:
    return document["features"][feature][0]


def edited(folder: Path, edit: Callable[[dict[str, Any]], object]) -> Clearances:
    document = parse_yaml(FILE.read_text())
    edit(document)
    path = folder / "clearances.yaml"
    path.write_text(yaml.safe_dump(document))
    return Clearances.read(path, intents=INTENTS)


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda d: d["features"].update(shoe_size=[]), "shoe_size"),
        (lambda d: d["features"].pop("segment"), "segment"),
        (lambda d: line_of(d, "segment").update(intents=["order_stats"]), "order_stats"),
        (lambda d: line_of(d, "segment").update(roles=["boss"]), "features.segment.0.roles"),
        (lambda d: line_of(d, "segment").update(purposes=["fun"]), "features.segment.0.purposes"),
        (lambda d: line_of(d, "segment").update(intents=[]), "features.segment.0.intents"),
        (lambda d: line_of(d, "segment").update(why="because"), "features.segment.0.why"),
        (lambda d: line_of(d, "last_mood").update(purposes=["marketing"]), "last_mood"),
        (lambda d: d.update(never_recalled=["distres"]), "distres"),
        (lambda d: d.update(keep_days={"contact": 0, "slot": 3}), "keep_days.contact"),
        (lambda d: d.pop("version"), "version"),
        (lambda d: d.update(fetures={}), "fetures"),
    ],
)
def test_a_mistake_refuses_to_boot_and_is_named(
    edit: Callable[[dict[str, Any]], object], named: str, tmp_path: Path
):
    with pytest.raises(ClearanceError, match=named):
        edited(tmp_path, edit)


@pytest.mark.parametrize("text", ["", "[]", "features: {", "\x00", "version: 1"])
def test_a_file_that_is_no_such_file_is_named(text: str, tmp_path: Path):
    path = tmp_path / "clearances.yaml"
    path.write_text(text)
    with pytest.raises(ClearanceError, match=r"clearances\.yaml"):
        Clearances.read(path, intents=INTENTS)
    with pytest.raises(ClearanceError, match="nothing is cleared"):
        Clearances.read(tmp_path / "absent.yaml", intents=INTENTS)
