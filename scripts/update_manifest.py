"""Writes sizes and checksums of the models made in this repository into models/manifest.json.

To be run after a training script has written its model. ``--check`` only says whether it is due. Entries of
models on the hub are left as they are: their checksums are not ours to make.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from voicebot.audio.engines.models.check import sha256_of  # noqa: E402  # after the path is set
from voicebot.audio.engines.models.manifest import Manifest  # noqa: E402

LICENCE = {
    "name": "Apache-2.0",
    "url": "https://www.apache.org/licenses/LICENSE-2.0",
    "note": "made in this repository",
}

OURS: tuple[tuple[dict[str, Any], str], ...] = (
    (
        {
            "name": "demo-whisper",
            "kind": "whisper",
            "language": "en",
            "licence": LICENCE,
            "folder": "demo-whisper",
            "demo": True,
            "note": "for synthetic voices in demo and tests, not people; by scripts/train_demo_whisper.py",
        },
        "demo-whisper/*",
    ),
    (
        {
            "name": "monitor",
            "kind": "monitor",
            "language": "en",
            "licence": LICENCE,
            "folder": ".",
            "note": "what a caller wants and how it sounds; by scripts/train_monitor.py, card: monitor.md",
        },
        "monitor*.*",
    ),
)
"""The entry of each model of ours, and which files below models/ are its own (cards apart)."""


def updated(text: str, models: Path) -> str:
    """The manifest with our entries as the files now are; a model that is not there has none."""
    manifest = json.loads(text)
    names = {entry["name"] for entry, _ in OURS}
    entries = [model for model in manifest["models"] if model["name"] not in names]
    for entry, pattern in OURS:
        paths = sorted(path for path in models.glob(pattern) if path.is_file() and path.suffix != ".md")
        files = [{"name": p.name, "size": p.stat().st_size, "sha256": sha256_of(p)} for p in paths]
        if files:
            entries.append({**entry, "files": files})
    return _laid_out({**manifest, "models": entries})


def _laid_out(manifest: dict[str, Any]) -> str:
    """A line per model and one per file, so that a changed checksum is one changed line."""
    blocks: list[str] = []
    for model in manifest["models"]:
        head = json.dumps({key: value for key, value in model.items() if key != "files"})
        files = ",\n".join(f"   {json.dumps(file)}" for file in model["files"])
        blocks.append(f'  {head[:-1]}, "files": [\n{files}\n  ]}}')
    rest = "".join(f" {json.dumps(k)}: {json.dumps(v)},\n" for k, v in manifest.items() if k != "models")
    return "{\n" + rest + ' "models": [\n' + ",\n".join(blocks) + "\n ]\n}\n"


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if it is due")
    options = parser.parse_args()
    path = ROOT / "models" / "manifest.json"
    old = path.read_text(encoding="utf-8")
    new = updated(old, path.parent)
    Manifest.model_validate_json(new)
    if options.check:
        print("due: run scripts/update_manifest.py" if new != old else "up to date")
        return int(new != old)
    path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
