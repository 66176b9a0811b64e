"""The data directory's permissions, the same whoever makes it first."""

from __future__ import annotations

import os
from pathlib import Path


def make_data_dir(path: Path) -> None:
    """Makes ``path`` and its parents: closed to others; started by root, others may only pass through.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
