"""Where an embedded database lies and as which user it runs.

An ordinary user: ``DATA_DIR/postgres``, as that user. Root: Postgres refuses to run as root,
so an ordinary account runs it, and where that account cannot reach ``DATA_DIR`` (a closed
directory above it) the database lies below ``/var/lib/voicebot`` instead; ``DATA_DIR/
postgres.place`` then says where, so that the answer stays the same however permissions change.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SYSTEM_DIR = Path("/var/lib/voicebot")
LAUNCHER = Path(__file__).with_name("launch.py")
_ACCOUNTS = ("voicebot", "postgres", "nobody")


class PlacementError(Exception):
    """No place or no user for an embedded database; the message says what to do."""


@dataclass(frozen=True)
class Account:
    """The ordinary user that runs Postgres."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Placement:
    """``cluster`` is Postgres' own data directory, ``account`` runs the server."""

    cluster: Path
    account: Account


def place(data_dir: Path) -> Placement:
    """Decides and remembers where the database of ``data_dir`` lies; makes the folders above it.

    Only for whoever holds the data directory's lock.

    Raises:
        PlacementError: it cannot lie anywhere, or a remembered place is gone.
    """
    root = os.geteuid() == 0
    cluster = _remembered(data_dir)
    if not root:
        return Placement(cluster or data_dir / "postgres", Account(os.getuid(), os.getgid()))
    account = _owner(cluster or data_dir / "postgres") or _owner(data_dir) or _account()
    if cluster is None:
        cluster = data_dir / "postgres"
        if not can_reach(account, data_dir):
            if (cluster / "PG_VERSION").exists():
                raise PlacementError(
                    f"the database in {cluster} cannot be reached by the user that runs it (uid "
                    f"{account.uid}): open the directories above it (chmod o+x), or run as that user"
                )
            cluster = _elsewhere(data_dir)
    return Placement(cluster, account)


def found(data_dir: Path) -> Path:
    """Where the database of ``data_dir`` lies, if there is one; decides nothing.

    Raises:
        PlacementError: the remembered place is gone.
    """
    return _remembered(data_dir) or data_dir / "postgres"


def can_reach(account: Account, *paths: Path) -> bool:
    """Whether ``account`` may enter (or execute) all ``paths``. Asked by becoming it; root only."""
    command = launch_command(account, 0, "--reach", *map(str, paths))
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode == 0


def launch_command(account: Account, death_signal: int, program: str, *arguments: str) -> list[str]:
    """The command line that runs ``program`` as ``account``, dying by ``death_signal`` with its parent."""
    numbers = (account.uid, account.gid, death_signal, os.getpid())
    return [sys.executable, "-I", "-S", str(LAUNCHER), *map(str, numbers), program, *arguments]


def _remembered(data_dir: Path) -> Path | None:
    marker = data_dir / "postgres.place"
    try:
        cluster = Path(marker.read_text().strip())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise PlacementError(f"{marker} belongs to another user: run as that user, or as root") from error
    try:
        gone = not cluster.parent.is_dir()
    except PermissionError:
        gone = False
    if gone:
        raise PlacementError(
            f"the database of {data_dir} lay in {cluster}, which is gone: restore it, or delete {marker} "
            "to begin with an empty one"
        )
    return cluster


def _elsewhere(data_dir: Path) -> Path:
    name = hashlib.sha256(str(data_dir).encode()).hexdigest()[:8] + "-" + secrets.token_hex(2)
    home = SYSTEM_DIR / name
    home.mkdir(parents=True, mode=0o711)
    SYSTEM_DIR.chmod(0o755)
    (home / "origin").write_text(f"{data_dir}\n")
    cluster = home / "postgres"
    (data_dir / "postgres.place").write_text(f"{cluster}\n")
    return cluster


def _owner(path: Path) -> Account | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return Account(status.st_uid, status.st_gid) if status.st_uid != 0 else None


def _account() -> Account:
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise PlacementError(
        "Postgres does not run as root and there is no account to run it: `useradd --system voicebot`, "
        "or start voicebot as an ordinary user, or set DATABASE_URL"
    )
