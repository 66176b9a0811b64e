"""How the desk's pages look, and the little they do in the browser itself."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent

STYLE = (_HERE / "desk.css").read_text(encoding="utf-8")
SCRIPT = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in ("desk.js", "panels/chat.js"))
PLAYER_STYLE = (_HERE / "player.css").read_text(encoding="utf-8")
PLAYER_SCRIPT = (_HERE / "player.js").read_text(encoding="utf-8")
