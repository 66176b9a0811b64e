"""The heads in a file outside the database: what shows that its end was cut off, or all of it rolled back.

One JSON document a line, appended and synced, never changed (``DATA_DIR/audit/anchors.jsonl``)::

    {"v": 1, "line": 7, "at": "2026-11-21T08:00:00Z", "chain": "<chain id>", "node": "node-0",
     "heads": {"1-03": [17, "<hash>"]}, "key": "ak_...",
     "prev": "<SHA-256 of the line before>", "seal": "<HMAC>"}

``seal`` is over the line without it, keys sorted. A line that a crash left unfinished is closed by the next
writer, whose own line says so (``"torn": bytes``). Writers of one machine take turns by a lock on the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voicebot.core.store.chain.sealing import Proofs, SealKey
from voicebot.core.store.chain.walking import Bad, Wrong
from voicebot.core.store.data_dir import make_data_dir

VERSION = 1
_START = "0" * 64

Heads = dict[str, tuple[int, bytes]]
"""Shard -> (seq, hash)."""


def anchors_path(data_dir: Path) -> Path:
    """Where a node anchors."""
    return data_dir / "audit" / "anchors.jsonl"


@dataclass(frozen=True, slots=True)
class Anchor:
    """One line: the heads at a time."""

    line: int
    at: str
    chain_id: str
    node: str
    heads: Heads


@dataclass
class AnchorFile:
    """What a file holds, and what is wrong with it."""

    path: Path
    anchors: list[Anchor] = field(default_factory=list[Anchor])
    bad: Bad | None = None
    torn: bool = False


class Anchors:
    """Appends to one file; several processes may."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, heads: Heads, *, chain_id: str, node: str, key: SealKey) -> str | None:
        """Writes the heads down and syncs; None if the last line holds the same already.

        Returns:
            The line's SHA-256, worth logging: a copy of it elsewhere proves the file up to here.

        Raises:
            OSError: it cannot be written.
        """
        make_data_dir(self.path.parent.parent)
        self.path.parent.mkdir(exist_ok=True, mode=0o700)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            last, torn = _last(file)
            shown = {shard: [seq, digest.hex()] for shard, (seq, digest) in sorted(heads.items())}
            before: dict[str, Any] = {} if last is None else json.loads(last)
            if before.get("heads") == shown and before.get("chain") == chain_id and not torn:
                return None
            line: dict[str, Any] = {
                "v": VERSION,
                "line": before.get("line", 0) + 1,
                "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "chain": chain_id,
                "node": node,
                "heads": shown,
                "key": key.id,
                "prev": _START if last is None else hashlib.sha256(last).hexdigest(),
            }
            if torn:
                line["torn"] = torn
            line["seal"] = key.seal("anchor", _sealed_part(line)).hex()
            text = json.dumps(line, separators=(",", ":")).encode()
            _write(file, (b"\n" if torn else b"") + text + b"\n")
            return hashlib.sha256(text).hexdigest()
        finally:
            os.close(file)


def read_anchors(path: Path, proofs: Proofs) -> AnchorFile:
    """Reads and checks a file; stops at the first line that is wrong.

    Raises:
        OSError: it cannot be read.
    """
    found = AnchorFile(path)
    prev, number, torn = _START, 0, 0
    pieces = path.read_bytes().split(b"\n")
    for at, piece in enumerate(pieces):
        if at == len(pieces) - 1:  # after the last newline: nothing, or what a crash left
            found.torn = bool(piece)
            break
        line = _parsed(piece)
        if line is None:
            if torn:
                found.bad = _bad(path, number + 1, "is no anchor")
                break
            torn = len(piece)
            continue
        why = _wrong(line, prev, number + 1, torn, proofs)
        if why is not None:
            found.bad = _bad(path, number + 1, why)
            break
        prev, number, torn = hashlib.sha256(piece).hexdigest(), number + 1, 0
        found.anchors.append(_anchor(line))
    else:
        torn = 0
    if torn and found.bad is None:
        found.bad = _bad(
            path, number + 1, "is no anchor, and the line after it does not say that it was torn"
        )
    return found


def _wrong(line: dict[str, Any], prev: str, number: int, torn: int, proofs: Proofs) -> str | None:
    """Why a line cannot be trusted."""
    try:
        sealed = proofs.holds(line["key"], "anchor", _sealed_part(line), bytes.fromhex(line["seal"]))
        if sealed is None:
            return f"is sealed with {line['key']}, which is no key of this database"
        if not sealed:
            return "was edited: its seal is not ours"
        if line["line"] != number or line["prev"] != prev:
            return "does not follow the line before it: lines were removed, moved or added"
        if line.get("torn", 0) != torn:
            return "follows something that was not there when it was written"
        _anchor(line)
    except (KeyError, TypeError, ValueError, AttributeError):
        return "is no anchor"
    return None


def _anchor(line: dict[str, Any]) -> Anchor:
    heads = {shard: (int(seq), bytes.fromhex(digest)) for shard, (seq, digest) in line["heads"].items()}
    return Anchor(line["line"], line["at"], line["chain"], line["node"], heads)


def _sealed_part(line: dict[str, Any]) -> bytes:
    rest = {name: value for name, value in line.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).digest()


def _parsed(piece: bytes) -> dict[str, Any] | None:
    try:
        line: Any = json.loads(piece)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _bad(path: Path, number: int, why: str) -> Bad:
    return Bad(Wrong.ANCHORS, f"{path.name} line {number} {why}")


def _last(file: int) -> tuple[bytes | None, int]:
    """The last whole line, and how many bytes of an unfinished one follow it."""
    torn = 0
    for at, piece in enumerate(_backwards(file)):
        if at == 0:
            torn = len(piece)  # behind the last newline
        elif _parsed(piece) is not None:
            return piece, torn
    return None, torn


def _backwards(file: int, block: int = 65_536) -> Iterator[bytes]:
    """The pieces between newlines, the last one first."""
    end, rest = os.fstat(file).st_size, b""
    while end > 0:
        start = max(0, end - block)
        rest = os.pread(file, end - start, start) + rest
        end = start
        pieces = rest.split(b"\n")
        yield from reversed(pieces[1:])
        rest = pieces[0]
    yield rest


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
    os.fsync(file)
