"""Who is taken off the list of agents is out, and who is put on it is in, without a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.handoff.people import People
from voicebot.handoff.roster import LOOK_S, Roster


class Deployment:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "business" / "people.yaml"
        self.file.parent.mkdir()
        self.now_s = 0.0
        self.list("ada", "ben")
        self.roster = Roster(folder, People.read(folder), lambda: self.now_s)

    def list(self, *names: str) -> None:
        self.write("agents: [" + ", ".join(f"{{id: {name}, skills: [general]}}" for name in names) + "]")

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def test_who_is_taken_off_is_out_within_seconds(here: Deployment) -> None:
    assert here.roster.agent("ben") is not None
    here.list("ada")
    assert here.roster.agent("ben") is not None, "the file is not read at every click"
    here.now_s += LOOK_S
    assert here.roster.agent("ben") is None
    assert [one.id for one in here.roster.agents] == ["ada"]


def test_who_is_put_on_it_is_in(here: Deployment) -> None:
    here.list("ada", "ben", "cleo")
    here.now_s += LOOK_S
    assert here.roster.agent("cleo") is not None


@pytest.mark.parametrize("text", ["agents: [{id: ada", "agents: 7", "what: {is: this}"])
def test_a_file_that_cannot_be_used_locks_nobody_out(here: Deployment, text: str) -> None:
    here.write(text)
    here.now_s += LOOK_S
    assert here.roster.agent("ben") is not None
    here.list("ada")
    here.now_s += LOOK_S
    assert here.roster.agent("ben") is None, "mended, it counts"


def test_a_file_that_is_gone_for_a_moment_locks_nobody_out(here: Deployment) -> None:
    here.file.unlink()
    here.now_s += LOOK_S
    assert here.roster.agent("ada") is not None
