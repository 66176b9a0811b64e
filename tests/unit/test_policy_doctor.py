"""`voicebot doctor --policy` shows the whole matrix in 100 columns, and says what would refuse to start."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from policy_kit import BUSINESS, CASES, INTENTS, ROOT, boot, shipped
from typer.testing import CliRunner, Result

from voicebot.cli import app
from voicebot.safety.policy import PolicyCases
from voicebot.safety.policy.matrix import matrix

DOCS = (ROOT / "docs" / "policy.md").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the doctor reads, to be spoilt."""
    for name in ("policy.yaml", "policy_tests.yaml", "intents.yaml"):
        (tmp_path / "business").mkdir(exist_ok=True)
        shutil.copy(BUSINESS / name, tmp_path / "business" / name)
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def doctor(folder: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["doctor", "--policy", "--deployment", str(folder), *more])


def spoil(folder: Path, old: str, new: str) -> None:
    path = folder / "business" / "policy.yaml"
    text = path.read_text()
    assert old in text, f"{old!r} is not in policy.yaml any more: change this test with it"
    path.write_text(text.replace(old, new, 1))


def test_the_shipped_policy_is_shown_whole_and_fits_a_hundred_columns(folder: Path) -> None:
    """Every intent with its actions, nothing cut off, proof and tests below."""
    result = doctor(folder)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 100
    shown = {line.split()[0].rstrip("*") for line in lines if line.startswith(" ") and line.split()}
    assert shown >= INTENTS
    assert "…" not in result.output
    assert re.search(r"proved +59 intents|proved +\d+ intents, \d{5,} cases", result.output)
    assert f"{len(CASES.cases)} policy tests hold" in result.output


def test_machines_get_the_same(folder: Path) -> None:
    """One JSON document, with the rows of the matrix."""
    result = doctor(folder, "--json")
    found = json.loads(result.output)
    assert (result.exit_code, found["ok"], found["problems"]) == (0, True, [])
    rows = {row["intent"]: row for row in found["intents"]}
    assert set(rows) == INTENTS
    assert rows["order_status"]["actions"] == {
        "sure": "answer", "doubtful": "abstain", "ungrounded": None, "unverified": "clarify",
        "unsure": "clarify",
    }  # fmt: skip
    assert rows["distress"]["actions"]["unsure"] == "escalate"


def test_what_would_not_start_is_shown_with_its_row(folder: Path) -> None:
    """The matrix is printed all the same, so that one sees what is wrong in it."""
    spoil(folder, "unverified: clarify, unsure: clarify}\n  1:", "unverified: answer, unsure: clarify}\n  1:")
    result = doctor(folder)
    assert result.exit_code == 1
    assert re.search(r"refused +tiers\.0\.unverified: `answer` gives more freedom", result.output)
    assert "What happens" in result.output


def test_a_stricter_ruling_than_agreed_differs_and_a_freer_one_is_refused(folder: Path) -> None:
    """The doctor wants the very ruling; it says which of the two it is."""
    spoil(folder, "sure: 0.70 ", "sure: 0.72 ")
    result = doctor(folder)
    assert result.exit_code == 1
    assert "differs  opening_hours/tier0/unsure" in result.output
    assert "refused" not in result.output
    spoil(folder, "criticality: medium, vulnerability: raised", "criticality: medium, vulnerability: low")
    assert "refused  financing/tier0/sure" in doctor(folder).output


def test_a_row_without_a_policy_test_is_named(folder: Path) -> None:
    """What nobody tests could be changed without anybody noticing."""
    path = folder / "business" / "policy_tests.yaml"
    path.write_text(path.read_text().replace("old_furniture", "availability"))
    result = doctor(folder)
    assert result.exit_code == 1
    assert "untested intents.old_furniture" in result.output


def test_a_file_that_cannot_be_read_is_one_line(folder: Path) -> None:
    """No traceback, exit status 2."""
    spoil(folder, "route: strong", "route: stronk")
    result = doctor(folder)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)


def test_the_examples_of_the_documentation_boot(tmp_path: Path) -> None:
    """Every YAML block of docs/policy.md is used as it stands there."""
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)]
    assert {key for block in blocks for key in block} == {"overrides", "grants", "cases"}
    for block in blocks:
        if "cases" in block:
            PolicyCases.model_validate_json(json.dumps(block))
            continue
        document = shipped()
        for key, rows in block.items():
            document[key] = {**document[key], **rows}
        policy = boot(document, tmp_path)
        assert len(matrix(policy)) == len(INTENTS)


def test_the_tables_of_the_documentation_are_complete() -> None:
    """Every band, action, route and reason of the code is explained."""
    from voicebot.core.conversation import Action, Route
    from voicebot.safety.policy import Band, Concern

    for word in (*Action, *Route, *Band, *Concern):
        assert re.search(rf"\b{word}\b", DOCS), word
