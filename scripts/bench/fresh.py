"""From a fresh clone to the end of `make demo`: minutes, and how much of it is installation.

    .venv/bin/python -m scripts.bench.fresh [--cached] [--json]

Clones this repository's last commit into a temporary folder and runs what a newcomer runs. Packages are
fetched anew unless `--cached` lets pip use its cache; the network's part of the time is whatever it is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.bench import report
from scripts.bench.servers import ROOT, BenchError


def run(command: list[str], where: Path, environment: dict[str, str]) -> float:
    """Seconds of one command; its output is shown only when it fails.

    Raises:
        BenchError: it failed.
    """
    began = time.monotonic()
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        tail = (done.stdout + done.stderr).decode(errors="replace")[-4000:]
        raise BenchError(f"{' '.join(command)} ended with status {done.returncode}:\n{tail}")
    return time.monotonic() - began


def measure(*, cached: bool) -> dict[str, Any]:
    """Seconds of clone, installation and the demo itself."""
    dropped = ("VOICEBOT_", "TWILIO_", "DATABASE_URL", "VIRTUAL_ENV", "PYTHONPATH", "MAKE")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    if not cached:
        environment["PIP_NO_CACHE_DIR"] = "1"
    with tempfile.TemporaryDirectory(prefix="bench-fresh-") as folder:
        clone = Path(folder) / "voicebot"
        cloned = run(["git", "clone", "--quiet", str(ROOT), str(clone)], Path(folder), environment)
        installed = run(["make", ".venv/installed"], clone, environment)
        demo = run(["make", "demo"], clone, environment)
    return {"bench": "fresh", "cached": cached, "clone_s": cloned, "install_s": installed, "demo_s": demo}


HEAD = ["fresh clone to the end of the demo", "seconds", "share"]


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One row per step and the sum."""
    steps = {"git clone": "clone_s", "installation": "install_s", "the call and its checks": "demo_s"}
    whole = sum(result[key] for key in steps.values())
    table = [[name, f"{result[key]:.0f}", f"{result[key] / whole:.0%}"] for name, key in steps.items()]
    return [*table, ["together", f"{whole:.0f} ({whole / 60:.1f} minutes)", "100%"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cached", action="store_true", help="let pip use its cache")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    try:
        result = measure(cached=options.cached)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if not options.json:
        report.print_table("Fresh clone", HEAD, rows(result))
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
