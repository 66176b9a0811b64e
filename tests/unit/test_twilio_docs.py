"""docs/twilio.md keeps up with the code: every refusal with its close code, every check, every setting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voicebot.channels.twilio import resumption, selftest_room, selftest_script
from voicebot.channels.twilio.connect import webhooks_of
from voicebot.channels.twilio.refusals import Refusal, close_code
from voicebot.core.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "twilio.md").read_text()
SCRIPT = "".join(Path(str(module.__file__)).read_text() for module in (selftest_script, selftest_room))

ROWS = [row for row in PAGE.splitlines() if row.startswith("|")]


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_refusal_is_explained(refusal: Refusal) -> None:
    """In a row of the table, with the close code it really has."""
    (row,) = [row for row in ROWS if re.search(rf"`{refusal.value}`.*\| (close|40|50|\()", row)]
    if "close" in row:
        assert f"close {close_code(refusal)}" in row


def test_every_check_of_the_selftest_stands_in_the_table() -> None:
    """And the table names no other."""
    in_code = set(re.findall(r'Check\(\s*"([^"]+)"', SCRIPT)) | set(
        re.findall(r'_aftermath\(\s*run, "([^"]+)"', SCRIPT)
    )
    table = PAGE.partition("| self-test |")[2]
    in_table = {
        name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.rpartition(" | ")[2])
    }
    assert in_table == in_code - {"media socket"}  # no socket at all is no open point


def test_settings_exist() -> None:
    """A name in the page that no setting has would send readers astray."""
    names = {f"VOICEBOT_{name.upper()}" for name in Settings.model_fields} | {
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
    }
    assert set(re.findall(r"\b(?:VOICEBOT|TWILIO)_[A-Z_]+\b", PAGE)) <= names


def test_figures() -> None:
    """Times the page states are the ones in force."""
    assert f"after {resumption.GRACE_S} s without a sign" in PAGE
    assert f"({resumption.CONNECT_WAIT_S:.0f} s for a socket" in PAGE
    assert f"no sign of life for {resumption.NO_WORD_S:.0f} s" in PAGE
    assert resumption.MAX_SESSIONS == 6
    assert "loses its media six times" in PAGE


def test_routes() -> None:
    """The routes in the picture are those a number is pointed at."""
    from voicebot.channels.twilio.addresses import Addresses

    paths = {
        url.removeprefix("https://x") for url in webhooks_of(Addresses("https://x")).values() if "/" in url
    }
    assert {"/twilio/voice", "/twilio/resume", "/twilio/status"} <= paths
    assert all(path in PAGE for path in ("/twilio/voice", "/twilio/resume", "/twilio/status"))
