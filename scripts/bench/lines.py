"""How well the engines read the callers' recorded lines: word error rate by voice.

    .venv/bin/python -m scripts.bench.lines [--stt sphinx] [--voice rms] [--each] [--json]

Each line goes to the engine host alone, in 100 ms packets, with what a bot would have asked for before
it: six digits, five digits, yes or no, anything. No endpointing is in it. Digits count as right only whole.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from scripts.bench import report
from voicebot.audio import mulaw
from voicebot.audio.engines.choice import choose
from voicebot.audio.engines.client import GrpcTranscriber
from voicebot.audio.engines.hosts import EngineHosts
from voicebot.audio.engines.types import Transcript
from voicebot.core.conversation import FREE, Expects
from voicebot.core.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent.parent
LINES = ROOT / "recordings" / "lines"
PHRASES = ROOT / "business" / "phrases.yaml"
PACKET = 800  # samples, 100 ms
PAUSE = bytes([mulaw.SILENCE]) * 2400  # 300 ms before and after, as the listener hands over
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
DIGITS = dict(zip(NUMBERS, "0123456789", strict=True))


def expected(name: str) -> Expects:
    """What a bot would wait for when a line of this name is said."""
    if name.startswith("order_"):
        return Expects(kind="digits", length=6)
    if name.startswith("postcode_"):
        return Expects(kind="digits", length=5)
    if name in {"affirm", "deny"}:
        return Expects(kind="yes_no")
    return FREE


def words(text: str, expects: Expects) -> list[str]:
    """Lower case, without punctuation; where digits are expected, digit words and "oh" as figures."""
    plain = re.findall(r"[a-z0-9']+", text.lower())
    if expects.kind != "digits":
        return plain
    return [DIGITS.get("zero" if w == "oh" else w, w) for w in plain]


def errors(said: list[str], heard: list[str]) -> int:
    """Substitutions, insertions and deletions between two word lists (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, a in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


async def read(transcriber: GrpcTranscriber, data: bytes, expects: Expects) -> Transcript:
    """One line (the bytes of its WAV file) through the engine host."""
    ulaw = PAUSE + data[data.index(b"data") + 8 :] + PAUSE
    pcm = mulaw.decode(ulaw)
    recognition = await transcriber.open("bench", expects, lambda partial: None)
    for start in range(0, len(pcm), PACKET):
        recognition.feed(np.ascontiguousarray(pcm[start : start + PACKET]).tobytes())
    return await recognition.finish()


def recorded(voices: set[str]) -> list[dict[str, Any]]:
    """The entries of lines.yaml that have words, of the given voices (empty: all), with their files."""
    entries = yaml.safe_load((LINES / "lines.yaml").read_text())
    entries = [e for e in entries if e["text"] and (not voices or e["voice"] in voices)]
    return [e | {"wav": (LINES / e["voice"] / f"{e['name']}.wav").read_bytes()} for e in entries]


async def measure(stt: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Every one of those lines through one engine."""
    with tempfile.TemporaryDirectory(prefix="bench-lines-") as folder:
        settings = load_settings(stt=stt, data_dir=Path(folder))
        hosts = EngineHosts(choose(settings), Path(folder), phrases=PHRASES)
        await hosts.start()
        try:
            transcriber = GrpcTranscriber(hosts.targets.stt)
            found = []
            for line in lines:
                expects = expected(line["name"])
                transcript = await read(transcriber, line["wav"], expects)
                said, heard = words(line["text"], expects), words(transcript.text, expects)
                found.append(
                    {
                        "voice": line["voice"],
                        "name": line["name"],
                        "words": len(said),
                        "errors": errors(said, heard),
                        "said": " ".join(said),
                        "heard": " ".join(heard),
                        "alternatives": list(transcript.alternatives[:3]),
                        "confidence": transcript.confidence,
                    }
                )
        finally:
            await hosts.stop()
    return {"bench": "lines", "stt": stt, "lines": found}


def rows(result: dict[str, Any]) -> list[list[str]]:
    """One row per voice: word error rate of sentences, lines without an error, digits read whole."""
    table = []
    for voice in dict.fromkeys(line["voice"] for line in result["lines"]):
        mine = [line for line in result["lines"] if line["voice"] == voice]
        digits = [line for line in mine if expected(line["name"]).kind == "digits"]
        free = [line for line in mine if expected(line["name"]).kind == "free"]
        rate = sum(line["errors"] for line in free) / max(1, sum(line["words"] for line in free))
        right = sum(line["errors"] == 0 for line in free)
        whole = sum(line["errors"] == 0 for line in digits)
        table.append([voice, f"{rate:.2f}", f"{right} of {len(free)}", f"{whole} of {len(digits)}"])
    return table


HEAD = ["voice", "word error rate", "sentences without an error", "digit strings whole"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stt", default="sphinx")
    parser.add_argument("--voice", action="append", default=[])
    parser.add_argument("--each", action="store_true", help="print every line that was misread")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    result = asyncio.run(measure(options.stt, recorded(set(options.voice))))
    if not options.json:
        report.print_table(f"Recorded lines read by {options.stt}", HEAD, rows(result))
        for line in result["lines"]:
            if options.each and line["errors"]:
                print(f"{line['voice']:6} {line['name']:20} {line['said']!r} -> {line['heard']!r}")
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
