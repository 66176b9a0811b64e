"""Whisper as voicebot runs it against Pipecat's WhisperSTTService: the same weights, the same callers.

    .venv/bin/python -m scripts.bench.stt [--model models/demo-whisper] [--lines 16] [--data DIR] [--sizes]
                                          [--sweep] [--json] [--out FILE]

One run measures, for both: turn over -> final text, processor seconds per second of speech, memory with
one and eight calls, word error rate; for voicebot the first partial, too. ``--sizes`` adds what decodes of
OpenAI's sizes cost (random weights), ``--sweep`` the word error rate by window, ``--data`` real speech: a
folder with a ``transcripts.tsv`` (columns file, text).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from scripts.bench import report

ROOT = Path(__file__).resolve().parent.parent.parent
LINES = ROOT / "recordings" / "lines"
DEMO = ROOT / "models" / "demo-whisper"
SIZES = ("tiny", "base", "small")
SPOKEN_S = 3.0
SPOKEN_TOKENS = 12  # a sentence of three seconds, in OpenAI's tokens
MANY = 8
HEAD = ("", "voicebot", "Pipecat", "ratio")


def recorded(count: int) -> list[dict[str, str]]:
    """Every n-th of the callers' lines, so that all voices take part."""
    entries = yaml.safe_load((LINES / "lines.yaml").read_text())
    usable = [e for e in entries if e.get("text") and (LINES / e["voice"] / f"{e['name']}.wav").is_file()]
    chosen = usable[:: max(1, len(usable) // count)][:count]
    return [{"file": str(LINES / e["voice"] / f"{e['name']}.wav"), "text": e["text"]} for e in chosen]


def real(folder: Path) -> list[dict[str, str]]:
    """Lines of a folder with ``transcripts.tsv``."""
    with (folder / "transcripts.tsv").open(encoding="utf-8") as rows:
        found = list(csv.DictReader(rows, delimiter="\t"))
    return [{"file": str(folder / row["file"]), "text": row["text"]} for row in found]


def words(text: str) -> list[str]:
    """Lower case, without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Substitutions, insertions and deletions (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]


def error_rate(pairs: Sequence[tuple[str, str]]) -> float:
    """Word error rate over (said, heard)."""
    total = sum(len(words(said)) for said, _ in pairs)
    return sum(errors(words(said), words(heard)) for said, heard in pairs) / max(1, total)


def side(name: str, model: Path, lines: list[dict[str, str]], calls: int) -> dict[str, Any]:
    """One side in a process of its own, as it comes: voicebot's host pins one thread, Pipecat's does not."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(lines, file)
        file.flush()
        command = [sys.executable, "-m", "scripts.bench.stt_sides", name, str(model), file.name]
        environment = os.environ | ({"OMP_NUM_THREADS": "1"} if name == "voicebot" else {})
        done = subprocess.run(
            [*command, "--calls", str(calls)], capture_output=True, cwd=ROOT, env=environment, check=False
        )
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.decode()[-2000:]}")
    return json.loads(done.stdout.decode().strip().splitlines()[-1])


def summary(alone: dict[str, Any], many: dict[str, Any]) -> dict[str, Any]:
    """Figures of one side."""
    heard = alone["heard"]
    speech_s = sum(h["speech_ms"] for h in heard) / 1000
    finals = [h["final_ms"] for h in heard]
    firsts = [h["first_ms"] for h in heard if h["first_ms"] is not None]
    busy = [h["final_ms"] for h in many["heard"]]
    return {
        "final_ms_p50": report.quantile(finals, 0.5),
        "final_ms_p95": report.quantile(finals, 0.95),
        "final_ms_p50_many": report.quantile(busy, 0.5),
        "final_ms_p95_many": report.quantile(busy, 0.95),
        "first_partial_ms_p50": report.quantile(firsts, 0.5),
        "first_partial_ms_p95": report.quantile(firsts, 0.95),
        "cpu_per_speech": alone["cpu_s"] / speech_s,
        "pss_mb": alone["pss_mb"],
        "pss_mb_many": many["pss_mb"],
        "mb_per_call": (many["pss_mb"] - alone["pss_mb"]) / (MANY - 1),
        "wer": error_rate([(h["text"], h["heard"]) for h in heard]),
        "counts": alone["counts"],
    }


def compare(model: Path, lines: list[dict[str, str]]) -> dict[str, Any]:
    """Both sides, one after the other."""
    result: dict[str, Any] = {"lines": len(lines), "model": model.name}
    for name in ("voicebot", "pipecat"):
        print(f"  {name}: {len(lines)} lines, one call, then {MANY} at once ...", file=sys.stderr)
        alone, many = side(name, model, lines, 1), side(name, model, lines, MANY)
        result[name] = summary(alone, many)
    return result


def sizes() -> list[dict[str, Any]]:
    """Processor ms for a sentence of three seconds, by OpenAI's sizes: random weights, 4 tokens a second."""
    found = []
    for name in SIZES:
        code = f"from scripts.bench import stt; import json; print(json.dumps(stt.size_cost({name!r})))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"size {name}: {done.stderr.decode()[-2000:]}")
        found.append(json.loads(done.stdout.decode().strip().splitlines()[-1]))
        print(f"  {found[-1]}", file=sys.stderr)
    return found


def size_cost(name: str) -> dict[str, Any]:
    """One size, one thread: a stock decode, and everything that voicebot decodes for the same sentence."""
    from faster_whisper import WhisperModel as FasterWhisper

    from scripts.bench.random_whisper import SHAPES, make
    from voicebot.audio.engines.whisper import model as whisper_model
    from voicebot.audio.engines.whisper.model import WhisperModel, Window
    from voicebot.audio.engines.whisper.pace import FIRST_MS, Pace

    def tokens_for(samples: int) -> int:
        return max(1, round(samples / 8000 * SPOKEN_TOKENS / SPOKEN_S))

    whisper_model.tokens_for = tokens_for  # random weights never end a sentence by themselves
    pcm = np.random.default_rng(0).normal(0, 2000, int(SPOKEN_S * 8000)).astype(np.int16)
    with tempfile.TemporaryDirectory() as folder:
        directory = make(Path(folder) / name, SHAPES[name])
        ours = WhisperModel(directory, device="cpu")
        stock = FasterWhisper(str(directory), device="cpu", compute_type="int8", cpu_threads=1)
    wide = np.repeat(pcm, 2).astype(np.float32) / 32768

    def stock_decode() -> None:
        # Pipecat's arguments; the ladder of temperatures and the filters would only add to it.
        segments, _ = stock.transcribe(
            wide,
            language="en",
            temperature=0.0,
            max_new_tokens=SPOKEN_TOKENS,
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
        )
        list(segments)

    def cpu_ms(work: Any, repeats: int = 3) -> float:
        work()
        took = []
        for _ in range(repeats):
            began = time.process_time()
            work()
            took.append((time.process_time() - began) * 1000)
        return float(np.median(took))

    def read(ms: int) -> float:
        return cpu_ms(lambda: ours.read([Window(pcm[: ms * 8])]))

    tail = cpu_ms(lambda: ours.read([Window(pcm, ended=True)]))
    pace = Pace(1)
    pace.ran((tail + read(1500)) / 2000, 1, 0.0)  # what a host has seen by then: ends and partials
    at, partials = FIRST_MS, []
    while at < SPOKEN_S * 1000:
        partials.append(read(at))
        pace.ran(partials[-1] / 1000, 1, 0.0)
        at += pace.partial_ms(1)
    stock_ms = cpu_ms(stock_decode)
    return {
        "size": name,
        "pipecat_ms": stock_ms,
        "final_ms": tail,
        "partials": len(partials),
        "all_ms": tail + sum(partials),
        "final_ratio": tail / stock_ms,
        "cpu_ratio": (tail + sum(partials)) / stock_ms,
    }


def sweep(model: Path, lines: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Word error rate of whole lines by floor and margin of the window, whole windows of 30 s last."""
    from scripts.bench.stt_sides import load
    from voicebot.audio.engines.whisper import windows
    from voicebot.audio.engines.whisper.model import WhisperModel, Window

    loaded = [(line["text"], np.frombuffer(load(Path(line["file"]))[0], np.int16)) for line in lines]
    ours = WhisperModel(model, device="cpu")
    found = []
    for floor, margin in (
        (100, 20),
        (200, 40),
        (300, 60),
        (300, 100),
        (500, 60),
        (500, 100),
        (1000, 100),
        (3000, 0),
    ):
        windows.FLOOR_FRAMES, windows.MARGIN_FRAMES = floor, margin  # one floor for all
        began = time.process_time()
        heard = [(text, ours.read([Window(pcm)])[0].text) for text, pcm in loaded]
        took = (time.process_time() - began) * 1000 / len(loaded)
        found.append({"floor_s": floor / 100, "margin_s": margin / 100, "wer": error_rate(heard), "ms": took})
        print(f"  {found[-1]}", file=sys.stderr)
    return found


def rows(result: dict[str, Any]) -> list[list[str]]:
    """The comparison as a table."""
    ours, theirs = result["voicebot"], result["pipecat"]

    def row(title: str, key: str, digits: int, ratio: bool = True) -> list[str]:
        one, other = ours[key], theirs[key]
        both = one is not None and other
        return [
            title,
            report.show(one, digits),
            report.show(other, digits),
            f"{one / other:.3f}" if ratio and both else "–",
        ]

    return [
        row("turn over -> final text, p50, ms", "final_ms_p50", 1),
        row("the same, p95", "final_ms_p95", 1),
        row(f"with {MANY} calls at once, p50", "final_ms_p50_many", 1),
        row("the same, p95", "final_ms_p95_many", 1),
        row("first partial after speech began, p50, ms", "first_partial_ms_p50", 0),
        row("the same, p95", "first_partial_ms_p95", 0),
        row("processor seconds per second of speech", "cpu_per_speech", 4),
        row("memory with one call, MB", "pss_mb", 0),
        row(f"memory with {MANY} calls, MB", "pss_mb_many", 0),
        row("each further call, MB", "mb_per_call", 1),
        row("word error rate", "wer", 3, ratio=False),
    ]


def size_rows(found: list[dict[str, Any]]) -> list[list[str]]:
    """The sizes as a table."""
    return [
        [
            f["size"],
            f"{f['pipecat_ms']:.0f}",
            f"{f['final_ms']:.0f}",
            f"{f['final_ratio']:.3f}",
            f"{f['partials']} + 1",
            f"{f['all_ms']:.0f}",
            f"{f['cpu_ratio']:.2f}",
        ]
        for f in found
    ]


SIZE_HEAD = ("size", "Pipecat, ms", "our final, ms", "ratio", "our decodes", "all of them, ms", "ratio")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=DEMO)
    parser.add_argument("--lines", type=int, default=16, help="of the callers' recordings")
    parser.add_argument("--data", type=Path, help="real speech: a folder with transcripts.tsv")
    parser.add_argument("--sizes", action="store_true", help="costs of tiny, base and small")
    parser.add_argument("--sweep", action="store_true", help="word error rate by window")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result as JSON")
    options = parser.parse_args()
    lines = recorded(options.lines)
    result: dict[str, Any] = {"callers": compare(options.model.resolve(), lines)}
    if options.data is not None:
        result["people"] = compare(options.model.resolve(), real(options.data))
    if options.sweep:
        result["sweep"] = sweep(options.model.resolve(), recorded(1000))
    if options.sizes:
        result["sizes"] = sizes()
    if not options.json:
        for key in ("callers", "people"):
            if key in result:
                print(f"\n{key}, {result[key]['lines']} lines, {result[key]['model']}\n")
                print(report.markdown_table(HEAD, rows(result[key])))
        if "sizes" in result:
            print("\n" + report.markdown_table(SIZE_HEAD, size_rows(result["sizes"])))
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
