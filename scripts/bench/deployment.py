"""The reference deployment, changed so that a language model writes every answer that a bench asks for.

A copy in a folder of its own. Policy sends the chosen intents to the small route, without the duty to quote,
wherever an article may be quoted; the greeting and the question after an answer are the stock bot's. Nothing
of the shipped files changes, and all else (identity, guards, tools, phrases) stays as it is.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from scripts.bench.servers import ROOT, BenchError

PARTS = ("business", "tools", "pipelines")
LINKED = ("models", "recordings")


def make(folder: Path, *, intents: Sequence[str], greeting: str, more: str) -> Path:
    """Writes the deployment to ``folder`` and returns it.

    Args:
        folder: an existing, empty folder.
        intents: which a language model is to answer.
        greeting: said first, in place of all three parts of the greeting.
        more: said behind each answer.

    Raises:
        BenchError: the reference deployment no longer has what is changed here.
    """
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in LINKED:
        (folder / part).symlink_to(ROOT / part)
    business = folder / "business"
    policy = business / "policy.yaml"
    policy.write_text(_policy(policy.read_text(), intents))
    tests = business / "policy_tests.yaml"
    tests.write_text(_tests(tests.read_text()))
    phrases = business / "phrases.yaml"
    phrases.write_text(_phrases(phrases.read_text(), greeting, more))
    return folder


def _policy(text: str, intents: Sequence[str]) -> str:
    """Those intents to the small route; a model may write wherever an article may be quoted."""
    for intent in intents:
        row = re.search(rf"^  {intent}: +\{{.*\}}$", text, re.MULTILINE)
        if row is None:
            raise BenchError(f"business/policy.yaml has no row {intent!r} on one line: mend {__name__}")
        plain = re.sub(r", (route|compliance): \w+", "", row.group())
        text = text.replace(row.group(), plain.removesuffix("}") + ", route: small}")
    floor = re.search(r"^  grounding: ([0-9.]+)", text, re.MULTILINE)
    if floor is None:
        raise BenchError(f"business/policy.yaml has no threshold `grounding`: mend {__name__}")
    return re.sub(r"^  writing: [0-9.]+", f"  writing: {floor.group(1)}", text, flags=re.MULTILINE)


def _tests(text: str) -> str:
    """The policy's own tests, without what they say of who writes."""
    document = yaml.safe_load(text)
    for case in document["cases"]:
        case["expect"].pop("route", None)
    return yaml.safe_dump(document, sort_keys=False)


def _phrases(text: str, greeting: str, more: str) -> str:
    document = yaml.safe_load(text)
    spoken = document["spoken"]
    for key in ("greeting.notice", "greeting.person", "greeting.question", "ask.more"):
        if key not in spoken:
            raise BenchError(f"business/phrases.yaml has no line {key!r}: mend {__name__}")
    parts = re.split(r"(?<=[.?!]) ", greeting)
    spoken["greeting.notice"], spoken["greeting.question"] = parts[0], parts[-1]
    spoken["greeting.person"] = " ".join(parts[1:-1])
    spoken["ask.more"] = [more]
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
