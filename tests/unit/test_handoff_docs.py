"""docs/handoff.md says what the code does: its receiver, its pattern, its statuses, its settings."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import yaml

from voicebot.core.store.handoffs import FOLLOWS, FREE
from voicebot.handoff.connectors.signing import signature
from voicebot.handoff.patterns import Pattern, Patterns
from voicebot.handoff.payload import Payload
from voicebot.handoff.people import Webhook
from voicebot.handoff.queue import PRIORITY

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "handoff.md").read_text()


def block(language: str, nth: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[nth]


def test_the_receiver_of_the_page_takes_what_is_sent_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)  # noqa: S102  # the page's own example
    given = signature(b"secret", "de_1", b"{}", int(time.time()))
    assert names["is_genuine"](b"secret", "de_1", b"{}", given)
    for wrong in (b"other", "de_1", b"{}"), (b"secret", "de_2", b"{}"), (b"secret", "de_1", b"[]"):
        assert not names["is_genuine"](*wrong, given)
    old = signature(b"secret", "de_1", b"{}", int(time.time()) - 600)
    assert not names["is_genuine"](b"secret", "de_1", b"{}", old)


def test_the_pattern_of_the_page_stands_in_the_library() -> None:
    (written,) = yaml.safe_load(block("yaml"))
    library = Patterns.read(ROOT / "business" / "patterns.yaml").patterns
    shown = Pattern.model_validate_json(json.dumps(written))
    assert shown in library


def test_the_webhook_of_the_page_can_be_used() -> None:
    assert Webhook(**yaml.safe_load(block("yaml", 1))["webhook"]).tries == 12


def test_fields_statuses_and_priorities_are_those_of_the_code() -> None:
    table = PAGE[PAGE.index("| field | is |") :].split("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line)}
    assert set(Payload.model_fields) <= named
    rows = re.findall(
        r"^\| `(\w+)` \| [^|]+\| ?([^|]*)\|$", PAGE[PAGE.index("| status | is |") :], re.MULTILINE
    )
    for (status, after), known in zip(rows, FOLLOWS.items(), strict=False):
        assert (status, set(re.findall(r"\w+", after.partition(";")[0]))) == (known[0], set(known[1]))
        assert ("by a claim" in after) is (status in FREE), status
    assert len(rows) >= len(FOLLOWS)
    for urgency, priority in PRIORITY.items():
        assert f"{urgency} {priority}" in PAGE
