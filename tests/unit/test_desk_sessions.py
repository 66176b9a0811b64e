"""A cookie of the desk is one agent's, for a shift; nobody else can make one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from voicebot.console.desk.sessions import LASTS, Sessions

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
SESSIONS = Sessions(b"a" * 32)


def test_a_cookie_names_its_agent_until_the_shift_is_over() -> None:
    cookie = SESSIONS.issue("ada", NOW)
    session = SESSIONS.read(cookie, NOW + LASTS - timedelta(seconds=1))
    assert session is not None
    assert session.agent == "ada"
    assert SESSIONS.read(cookie, NOW + LASTS) is None


def test_two_cookies_of_one_agent_differ() -> None:
    assert SESSIONS.issue("ada", NOW) != SESSIONS.issue("ada", NOW)


@pytest.mark.parametrize("cookie", [None, "", ".", "x", "x.y", "WyJhZGEiLCAxXQ."])
def test_what_is_no_cookie_of_ours_is_nobody(cookie: str | None) -> None:
    assert SESSIONS.read(cookie, NOW) is None


def test_an_altered_cookie_and_one_under_another_secret_are_nobody() -> None:
    cookie = SESSIONS.issue("ada", NOW)
    body, _, signature = cookie.partition(".")
    other = SESSIONS.issue("cleo", NOW).partition(".")[0]
    assert SESSIONS.read(f"{other}.{signature}", NOW) is None
    assert SESSIONS.read(f"{body}.{signature[:-1]}", NOW) is None
    assert Sessions(b"b" * 32).read(cookie, NOW) is None


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sessions(b"short")
