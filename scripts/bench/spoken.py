"""Spoken numbers read into written ones, beside text2num.

    .venv/bin/python -m scripts.bench.spoken --data DIR [--text2num VENV/bin/python] [--json] [--wrong]

``DIR`` holds files ``CLASS.*.txt`` with lines ``spoken~written`` in the convention of NeMo's text processing,
which is mapped to ours first: digits without grouping, dates as ISO 8601, times of 24 hours, "5.2 million" as
5200000. *exact*: the whole line is as it should be. *digits*: only its digits are compared, which is
all that can be asked of text2num; it runs in an interpreter of its own (`pip install text2num==3.1.0`).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

from voicebot.core.number_words import MAGNITUDES, MONTHS
from voicebot.safety.pii.spoken_form import Asked, written

_SCALED = re.compile(r"([\d.]+) (thousand|million|billion|trillion)")
_NOTED = {"money": {"one dollars": "$1"}}
"""Lines of theirs that are no rule: a plural is no reason to leave an amount in words."""
_TEXT2NUM = """
import json, sys
from text_to_num import alpha2digit
print(json.dumps([alpha2digit(line, "en") for line in json.load(sys.stdin)]))
"""


def expected(kind: str, text: str) -> str:
    """NeMo's written form in our convention."""
    text = _NOTED.get(kind, {}).get(text, text)
    text = _SCALED.sub(lambda match: _whole(Decimal(match.group(1)) * MAGNITUDES[match.group(2)]), text)
    text = re.sub(r"(\d)\.0+(?=\D|$)", r"\1", text) if kind == "money" and "." in text else text
    match kind:
        case "date":
            return _date(text)
        case "time":
            return _time(text)
        case "telephone":
            return re.sub(r"[\s-]", "", text.lower())
        case _:
            return re.sub(r"^(-?)\.", r"\g<1>0.", text)


def measure(folder: Path, text2num: Path | None) -> dict[str, Any]:
    """Right lines by class, ours and (if there is an interpreter with it) text2num's."""
    out: dict[str, Any] = {}
    for path in sorted(folder.glob("*.txt")):
        kind = path.name.split(".")[0]
        if kind in {"word", "measure"}:
            continue
        pairs = [line.split("~") for line in path.read_text().splitlines() if "~" in line]
        asked: Asked = "time" if kind == "time" else "free"
        ours = [written(said, asked=asked) for said, _ in pairs]
        wanted = [expected(kind, right) for _, right in pairs]
        if kind == "telephone":
            ours = [re.sub(r"[\s-]", "", one.lower()) for one in ours]
        theirs = _text2num(text2num, [said for said, _ in pairs]) if text2num else None
        plain = [_digits(_scaled(right)) for _, right in pairs]
        out[kind] = {
            "lines": len(pairs),
            "exact": sum(one == right for one, right in zip(ours, wanted, strict=True)),
            "digits": sum(_digits(one) == _digits(right) for one, right in zip(ours, wanted, strict=True)),
            "text2num": None
            if theirs is None
            else sum(_digits(_scaled(one)) == right for one, right in zip(theirs, plain, strict=True)),
            "wrong": [
                {"said": said, "expected": right, "read": one}
                for (said, _), right, one in zip(pairs, wanted, ours, strict=True)
                if one != right
            ],
        }
    return out


def _text2num(python: Path, lines: list[str]) -> list[str]:
    done = subprocess.run(  # the interpreter that the operator names
        [python, "-c", _TEXT2NUM], input=json.dumps(lines), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def _whole(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _scaled(text: str) -> str:
    return _SCALED.sub(lambda match: _whole(Decimal(match.group(1)) * MAGNITUDES[match.group(2)]), text)


def _date(text: str) -> str:
    words = text.split()
    months = [word for word in words if word in MONTHS]
    numbers = [word for word in words if word.isdigit()]
    if len(months) != 1 or len(months) + len(numbers) != len(words):
        return text
    month = f"{MONTHS[months[0]]:02d}"
    if len(numbers) == 1:
        whole = len(numbers[0]) == 4
        return f"{numbers[0]}-{month}" if whole else f"{month}-{int(numbers[0]):02d}"
    day, year = sorted(numbers, key=len)
    return f"{year}-{month}-{int(day):02d}"


def _time(text: str) -> str:
    match = re.match(r"(\d\d):(\d\d)(?: ([ap])\.m\.)?(.*)$", text)
    if match is None:
        return text
    hour, minute, half, rest = match.groups()
    value = int(hour) % 12 + (12 if half == "p" else 0) if half else int(hour)
    return f"{value:02d}:{minute}{rest}"


def main() -> None:
    """Prints the table, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--text2num", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--wrong", action="store_true")
    options = parser.parse_args()
    found = measure(options.data, options.text2num)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'class':12} {'lines':>6} {'exact':>6} {'digits':>7} {'text2num digits':>16}")
    for kind, one in found.items():
        other = "-" if one["text2num"] is None else one["text2num"]
        print(f"{kind:12} {one['lines']:>6} {one['exact']:>6} {one['digits']:>7} {other:>16}")
        for wrong in one["wrong"] if options.wrong else ():
            print(f"    {wrong['said']}: {wrong['read']}, not {wrong['expected']}")


if __name__ == "__main__":
    main()
