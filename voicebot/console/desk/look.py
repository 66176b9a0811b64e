"""How the desk's pages look."""

from __future__ import annotations

from pathlib import Path

STYLE = (Path(__file__).parent / "desk.css").read_text(encoding="utf-8")
