"""A golden run finds what differs, says where it stands, and its record belongs to exactly what was run."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from voicebot.core.settings import Settings
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.dialogue.deployment import Deployment
from voicebot.proof.evals.reading import GoldenSet, read_set
from voicebot.proof.evals.records import RecordError, RunRecord, latest, new_id, save
from voicebot.proof.evals.runner import HeldConversation, NothingChosen, Run, run_set
from voicebot.proof.evals.show import show_conversation, show_summary
from voicebot.proof.evals.update import update
from voicebot.proof.evals.versions import versions_of

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings.model_construct()
RULES = 'today: 2026-11-18\nmost_words: 75\nnever_says: ["eleven to six"]\n'
MADE = """\
about: "Made for this test"
conversations:
  - name: right
    tags: [fine]
    channel: phone
    turns:
      - keys: "3"
        expect: {intent: return_policy, action: answer, says: ["thirty days"]}
  - name: wrong
    tags: [broken]
    channel: phone
    turns:
      - keys: "2"
        expect: {intent: order_status, expects: digits(6)}
      - keys: "427103"
        expect:
          tier: 1
          action: answer
          says: ["side table"]
      - keys: "94107"
        expect: {verified: true, tools: [{tool: order_status, outcome: shipped}], says: ["twentieth"]}
  - name: against-the-rules
    channel: phone
    turns:
      - keys: "1"
"""


@pytest.fixture
def made(tmp_path: Path) -> GoldenSet:
    folder = tmp_path / "golden"
    folder.mkdir()
    (folder / "set.yaml").write_text(RULES)
    (folder / "made.yaml").write_text(MADE)
    return read_set(folder)


@pytest.fixture
def made_record(deployment: Deployment, made: GoldenSet) -> RunRecord:
    versions = versions_of(deployment, writer="grounded", golden=made.folder)
    at = datetime.now(UTC)
    return RunRecord(
        id=new_id(), at=at, seconds=0, versions=versions, whole=True, conversations=0, passed=0, turns=0
    )


async def run(golden: GoldenSet, url: str, deployment: Deployment, only: str | None = None) -> Run:
    return await run_set(golden, url=url, deployment=deployment, settings=SETTINGS, only=only)


def console() -> tuple[Console, io.StringIO]:
    into = io.StringIO()
    return Console(file=into, width=300), into


async def test_a_wrong_expectation_is_found_where_it_stands(
    made: GoldenSet, shop_url: str, deployment: Deployment
) -> None:
    """Not the turn before, not the turn after; and a rule of the set counts without any expectation."""
    ended: list[HeldConversation] = []
    whole = await run_set(made, url=shop_url, deployment=deployment, settings=SETTINGS, done=ended.append)
    record = whole.record
    assert [(f.conversation, f.line, f.turn, [d.field for d in f.differences]) for f in record.failed] == [
        ("wrong", 15, 2, ["action", "says"]),
        ("against-the-rules", 25, 1, ["never_says"]),
    ]
    assert (record.ok, record.conversations, record.passed, record.turns) == (False, 3, 1, 5)
    assert whole.by_tag() == {"broken": (0, 0, 1), "fine": (1, 0, 1)}
    assert sorted(held.name for held in ended) == ["against-the-rules", "right", "wrong"]


async def test_the_difference_is_shown_with_what_was_expected_got_and_said(
    made: GoldenSet, shop_url: str, deployment: Deployment
) -> None:
    out, into = console()
    whole = await run(made, shop_url, deployment, only="wr*")
    for held in whole.held:
        show_conversation(held, out)
    show_summary(whole, out)
    shown = into.getvalue()
    for words in (
        "made.yaml:15",
        "(keys 427103)",
        "expected  answer",
        "got       clarify",
        "post code",
        "1 differ",
    ):
        assert words in shown
    assert "94107" not in shown


async def test_only_by_name_file_or_tag(made: GoldenSet, shop_url: str, deployment: Deployment) -> None:
    fine = await run(made, shop_url, deployment, only="fine")
    assert (fine.record.ok, fine.record.whole, fine.record.conversations) == (True, False, 1)
    with pytest.raises(NothingChosen, match=r"nobody.*made\.yaml.*broken, fine"):
        await run(made, shop_url, deployment, only="nobody")


async def test_a_record_belongs_to_its_versions(
    made: GoldenSet, shop_url: str, deployment: Deployment, tmp_path: Path
) -> None:
    """A run of some conversations, or of another set, is no run of this one."""
    some = await run(made, shop_url, deployment, only="right")
    save(tmp_path, some.record)
    versions = some.record.versions
    assert latest(tmp_path, versions) is None
    whole = await run(made, shop_url, deployment)
    save(tmp_path, whole.record)
    assert latest(tmp_path, versions) == whole.record
    (made.folder / "made.yaml").write_text(MADE + "\n# another set\n")
    other = await run(made, shop_url, deployment, only="right")
    assert other.record.versions != versions
    assert latest(tmp_path, other.record.versions) is None


async def test_update_writes_decisions_only_and_never_makes_a_run_pass(
    made: GoldenSet, shop_url: str, deployment: Deployment
) -> None:
    """One value of one line changes; words stay a person's to change."""
    whole = await run(made, shop_url, deployment)
    assert update(made.folder, whole.held) == ("made.yaml:18: answer -> clarify",)
    assert (made.folder / "made.yaml").read_text() == MADE.replace(
        '          action: answer\n          says: ["side table"]',
        '          action: clarify\n          says: ["side table"]',
    )
    assert not whole.record.ok
    again = await run(read_set(made.folder), shop_url, deployment, only="wrong")
    assert [d.field for f in again.record.failed for d in f.differences] == ["says"]


async def test_a_known_difference_is_counted_apart_and_a_broken_rule_is_never_accepted(
    made: GoldenSet, shop_url: str, deployment: Deployment
) -> None:
    """A gap that is gone is told; what no turn may do fails whatever the file says."""
    text = MADE
    for name in ("right", "wrong", "against-the-rules"):
        text = text.replace(f"name: {name}\n", f"name: {name}\n    known: not yet\n")
    (made.folder / "made.yaml").write_text(text)
    whole = await run(read_set(made.folder), shop_url, deployment)
    verdicts = {held.name: held.verdict for held in whole.held}
    assert verdicts == {"right": "mended", "wrong": "known", "against-the-rules": "failed"}
    record = whole.record
    assert (record.ok, record.passed, record.known) == (False, 1, 1)
    assert {f.conversation: f.known for f in record.failed} == {"wrong": "not yet", "against-the-rules": None}
    out, into = console()
    show_summary(whole, out)
    assert "mended   right: goes as expected now, delete `known` (made.yaml:8)" in into.getvalue()
    assert "1 differ, 1 known to differ" in into.getvalue()


async def test_a_turn_that_fails_is_a_difference_and_ends_its_conversation_only(
    made: GoldenSet, postgres: EmbeddedPostgres, deployment: Deployment
) -> None:
    """On a database without tables no turn can be made: each conversation says so, and the run ends."""
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE golden_empty")
        head, _, query = postgres.url.partition("?")
        whole = await run(made, f"{head.rpartition('/')[0]}/golden_empty?{query}", deployment)
        admin.execute("DROP DATABASE golden_empty WITH (FORCE)")
    assert [(f.turn, [d.field for d in f.differences]) for f in whole.record.failed] == [(1, ["error"])] * 3
    assert "does not exist" in whole.record.failed[0].differences[0].got


async def test_no_conversation_knows_of_another(
    tmp_path: Path, shop_url: str, deployment: Deployment
) -> None:
    """The same verified customer in each of them: the second is not told that he was here before."""
    turns = MADE[
        MADE.index("    channel: phone", MADE.index("name: wrong")) : MADE.index("  - name: against")
    ]
    turns = turns.replace('          action: answer\n          says: ["side table"]\n', "")
    both = "".join(f"  - name: {name}\n{turns}" for name in ("first", "second"))
    (tmp_path / "set.yaml").write_text(RULES)
    (tmp_path / "a.yaml").write_text(f'about: "x"\nconversations:\n{both}')
    whole = await run(read_set(tmp_path), shop_url, deployment)
    first, second = [[turn.got and turn.got.said for turn in held.turns] for held in whole.held]
    assert "side table" in str(first[-1])
    assert first == second


def test_a_record_that_cannot_be_kept_is_said(tmp_path: Path, made_record: RunRecord) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(RecordError, match=r"data/evals/er_"):
        save(tmp_path / "data", made_record)


def test_the_command_says_what_differs_and_leaves_a_record(tmp_path: Path) -> None:
    """In a process of its own, with a server of its own; a file that is wrong is refused with its place."""
    business = tmp_path / "business"
    business.mkdir()
    for entry in (ROOT / "business").iterdir():
        if entry.name != "golden":
            (business / entry.name).symlink_to(entry)
    for name in ("models", "tools", "pipelines"):
        (tmp_path / name).symlink_to(ROOT / name)
    (business / "golden").mkdir()
    (business / "golden" / "set.yaml").write_text(RULES)
    (business / "golden" / "made.yaml").write_text(MADE)
    done = _command(tmp_path, "--json", "--only", "made.yaml")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert (told["ok"], told["conversations"], told["passed"]) == (False, 3, 1)
    assert told["by_tag"]["fine"] == {"passed": 1, "known": 0, "conversations": 1}
    assert told["versions"]["policy"]
    assert json.loads(Path(told["record"]).read_text())["id"] == told["id"]
    (business / "golden" / "made.yaml").write_text(MADE.replace("expects: digits(6)", "expect: digits"))
    refused = _command(tmp_path)
    assert refused.returncode == 2
    assert (
        "made.yaml:14: conversation wrong, turn 1: expect is no key here; did you mean expects?"
        in refused.stderr
    )


def _command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voicebot.cli", "eval", "golden", "--deployment", str(folder), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "VOICEBOT_DATA_DIR": str(folder / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
