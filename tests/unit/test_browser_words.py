"""What a browser call decides by tables: its end, its marks, its helpers, what its page is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from voicebot.channels.browser import ice, rtvi
from voicebot.channels.browser.ice import IceRefused
from voicebot.channels.browser.session import Marks, new_call
from voicebot.channels.browser.settling import settle
from voicebot.channels.browser.showing import Screen
from voicebot.channels.legs import CallOutcome, EndKind, SessionEnd, is_browser
from voicebot.channels.twilio.settlement import Settlement
from voicebot.core.conversation import Event
from voicebot.core.settings import SettingsError, load_settings

DONE = CallOutcome("ended", "goodbye")
PERSON = CallOutcome("handoff", "asked_for_person")
LOST = CallOutcome("lost", "media ended")


@pytest.mark.parametrize(
    ("end", "outcome", "settlement", "reason"),
    [
        (None, DONE, Settlement.ENDED, "goodbye"),
        (None, PERSON, Settlement.HANDOFF, "asked_for_person"),
        (None, None, Settlement.OPEN, "pipeline_failed"),
        (EndKind.STOP, LOST, Settlement.ENDED, "caller_hung_up"),
        (EndKind.STOP, PERSON, Settlement.HANDOFF, "asked_for_person"),
        (EndKind.CALL_OVER, LOST, Settlement.ENDED, "caller_hung_up"),
        (EndKind.BROKEN, LOST, Settlement.OPEN, "broken"),
        (EndKind.TAKEN_OVER, LOST, Settlement.NOT_OURS, "taken_over"),
        (EndKind.TAKEN_OVER, PERSON, Settlement.NOT_OURS, "taken_over"),
        (None, CallOutcome("away", "payment"), Settlement.ENDED, "payment"),
    ],
)
def test_what_an_end_means(
    end: EndKind | None, outcome: CallOutcome | None, settlement: Settlement, reason: str
) -> None:
    assert settle(SessionEnd(end) if end is not None else None, outcome) == (settlement, reason)


def test_marks_come_back_when_their_sound_has_played_and_never_out_of_order() -> None:
    marks = Marks()
    marks.left("a", 1.0, delay_s=0.3)
    marks.left("b", 1.1, delay_s=0.1)  # the network got faster meanwhile
    assert marks.next_s == 1.3
    assert marks.due(1.29) == []
    assert marks.due(1.3) == ["a", "b"]
    marks.left("c", 2.0, delay_s=0.1)
    assert marks.all() == ["c"]
    assert marks.next_s is None


def test_names_of_calls_are_long_and_told_from_twilios() -> None:
    assert is_browser(new_call())
    assert len(new_call()) == 34
    assert new_call() != new_call()
    assert not is_browser("CA" + "0" * 32)


@pytest.mark.parametrize(
    ("setting", "urls"),
    [
        ("", []),
        ("stun:a.example:3478", ["stun:a.example:3478"]),
        ("stun:a.example, turns:b.example:443?transport=tcp",
         ["stun:a.example", "turns:b.example:443?transport=tcp"]),
        ('[{"urls": "turn:t.example", "username": "u", "credential": "p"}]', ["turn:t.example"]),
    ],
)  # fmt: skip
def test_servers_that_help_to_connect(setting: str, urls: list[str]) -> None:
    servers = ice.parse(setting)
    assert [server.urls for server in servers] == urls
    assert [server.urls for server in ice.for_aiortc(servers)] == urls


@pytest.mark.parametrize("setting", ["http://a.example", "[{]", '[{"url": "stun:a"}]', '["stun:a"]', "stun:"])
def test_servers_that_are_none_are_refused_without_their_credentials(setting: str) -> None:
    with pytest.raises(IceRefused, match="VOICEBOT_WEBRTC_ICE"):
        ice.parse(setting)


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        ({"buttons": ["1", "#"]}, "1#"),
        ({"buttons": ["11"]}, ""),
        ({"buttons": ["1"] * 33}, ""),
        ({"buttons": []}, ""),
        ({"button": "1"}, ""),
        (None, ""),
        ("12", ""),
    ],
)
def test_keys_of_a_page(data: Any, keys: str) -> None:
    assert rtvi.keys_of({"label": "rtvi-ai", "type": "dtmf", "data": data}) == keys


def test_messages_that_are_none_have_no_kind() -> None:
    assert [rtvi.kind_of(one) for one in ({}, {"type": "dtmf"}, {"label": "rtvi-ai", "type": 3})] == [""] * 3
    assert rtvi.id_of({"id": "x" * 65}) is None


def event(kind: str, **data: Any) -> Event:
    return Event(
        id="e", type=kind, conversation_id="cv_1", time=datetime(2026, 11, 21, tzinfo=UTC), data=data
    )


def test_a_page_is_shown_who_said_what_and_what_was_heard_of_it() -> None:
    screen = Screen()

    def shown(kind: str, **data: Any) -> list[tuple[str, Any, Any]]:
        told = screen.event(event(kind, **data))
        return [
            (one["type"], one.get("data", {}).get("text"), one.get("data", {}).get("spoken_status"))
            for one in told
        ]

    assert shown("caller.partial", text="what") == [("user-transcription", "what", None)]
    said = screen.event(event("turn.committed", input={"kind": "utterance", "text": "what time"}))
    assert [(one["data"]["text"], one["data"]["final"]) for one in said] == [("what time", True)]
    assert shown("turn.committed", input={"kind": "silence"}) == []
    assert shown("bot.clause", text="We open", turn=1) == [
        ("bot-started-speaking", None, None),
        ("bot-output", "We open", "new"),
    ]
    assert shown("bot.clause", text="at nine.", turn=1) == [
        ("bot-output", "We open", "completed"),
        ("bot-output", "at nine.", "new"),
    ]
    assert [one["type"] for one in screen.spoken(complete=False)] == ["bot-stopped-speaking"]
    assert shown("bot.clause", text="Yes.", turn=2)[-1] == ("bot-output", "Yes.", "new")
    assert [one["type"] for one in screen.spoken(complete=True)] == ["bot-output", "bot-stopped-speaking"]
    assert screen.spoken(complete=True) == []


@pytest.mark.parametrize("password", [None, "short"])
def test_a_password_must_be_one(password: str | None) -> None:
    with pytest.raises(SettingsError, match="VOICEBOT_BROWSER_PASSWORD"):
        load_settings(browser="password", browser_password=password)
    load_settings(browser="password", browser_password="long enough 12")
