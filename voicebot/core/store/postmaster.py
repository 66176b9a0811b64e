"""What runs in a Postgres data directory, read from its ``postmaster.pid`` and from /proc.

Never trusts a process id alone: after ``kill -9`` the file stays, and its number may by
then belong to somebody else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Postmaster:
    """The lines of ``postmaster.pid`` that matter (PostgreSQL, miscadmin.h, "LOCK_FILE_LINE")."""

    pid: int
    socket_dir: str
    port: int
    ready: bool

    def runs_in(self, cluster: Path) -> bool:
        """Whether this pid is alive and is a Postgres of ``cluster``."""
        return self.pid in processes(cluster)


def read(cluster: Path) -> Postmaster | None:
    """The running (or once running) server's file; None if there is none or it is half written.

    Raises:
        PermissionError: it belongs to another user.
    """
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 5 or not lines[0].strip().lstrip("-").isdigit():
        return None
    return Postmaster(
        pid=abs(int(lines[0])),
        socket_dir=lines[4].strip(),
        port=int(lines[3]),
        ready=len(lines) >= 8 and lines[7].strip() == "ready",
    )


def processes(cluster: Path) -> list[int]:
    """Ids of all living Postgres processes of ``cluster``: postmaster and its children, orphans too.

    They all keep the data directory as their working directory. Zombies do not count.
    """
    found: list[int] = []
    wanted = os.path.realpath(cluster)
    for process in psutil.process_iter():
        try:
            if process.name().startswith("postgres") and os.path.realpath(process.cwd()) == wanted:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return sorted(found)
