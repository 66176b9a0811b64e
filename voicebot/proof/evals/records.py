"""Run records: one JSON file for each run, below the data directory. The release gate reads them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from voicebot.core.conversation import Strict
from voicebot.core.store.data_dir import make_data_dir
from voicebot.proof.evals.compare import Difference
from voicebot.proof.evals.versions import SetVersions


class RecordError(Exception):
    """A run's record cannot be kept; the message names the file. `VOICEBOT_DATA_DIR` says where they lie."""


class Failed(Strict):
    """One conversation that differs, and where its turn stands."""

    conversation: str
    file: str
    line: int
    turn: int
    differences: tuple[Difference, ...]
    known: str | None = None
    """Why this is accepted for now."""


class RunRecord(Strict):
    """What came of a run. Holds no caller: golden conversations are written by us."""

    id: str
    kind: Literal["golden"] = "golden"
    at: datetime
    seconds: float
    versions: SetVersions
    whole: bool
    """All conversations were held: a run of some proves nothing about a release."""
    conversations: int
    passed: int
    known: int = 0
    """Conversations that differ, and are known to."""
    turns: int
    failed: tuple[Failed, ...] = ()

    @property
    def ok(self) -> bool:
        """Every conversation that was held went as expected, or differs as it is known to."""
        return self.passed + self.known == self.conversations


def new_id() -> str:
    """``er_``, the second, and four hex digits: sorts by time."""
    return f"er_{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{secrets.token_hex(2)}"


def save(data_dir: Path, record: RunRecord) -> Path:
    """Writes a record; returns its file.

    Raises:
        RecordError: the data directory cannot be written.
    """
    path = data_dir / "evals" / f"{record.id}.json"
    try:
        make_data_dir(data_dir)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RecordError(f"the run's record cannot be written to {path}: {error.strerror}") from error
    return path


def latest(data_dir: Path, versions: SetVersions) -> RunRecord | None:
    """The newest whole run of exactly these versions; None when there was none.

    A record that another release wrote in another form is no run of these versions.
    """
    for path in sorted((data_dir / "evals").glob("er_*.json"), reverse=True):
        try:
            record = RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError:
            continue
        if record.whole and record.versions == versions:
            return record
    return None
