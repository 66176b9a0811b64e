"""What a player shows and plays is where it was heard, and nothing that nobody has looked at."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from voicebot.audio import mulaw
from voicebot.audio.recording.engine_notes import text_key
from voicebot.audio.recording.muting import checked, hushed, mute, unchecked
from voicebot.audio.recording.peaks import Loudness
from voicebot.channels.phone.leg_lines import HeardLine, Held, may_be_heard
from voicebot.console.player import wav
from voicebot.console.player.listening import QUIET_S, Listening
from voicebot.console.player.stored_words import NOT_SHOWN, as_stored
from voicebot.console.player.words import PREROLL_MS, Timed, bot_words, caller_words, placed
from voicebot.dialogue.cut_offs import REACTION_MS, cut_offs

# --- words ----------------------------------------------------------------------------


def known(*words: tuple[str, int, int]) -> list[Timed]:
    return [Timed(text, at, until, True) for text, at, until in words]


def test_words_that_were_recognised_lie_exactly_and_a_token_between_its_neighbours() -> None:
    heard = known(
        ("it", 100, 200), ("is", 200, 300), ("four", 400, 600), ("two", 600, 900), ("thanks", 1000, 1300)
    )
    found = placed(["it", "is", "[order number 1]", "thanks."], heard, 100, 1300)
    assert [(word.text, word.at_ms, word.until_ms, word.exact) for word in found] == [
        ("it", 100, 200, True),
        ("is", 200, 300, True),
        ("[order number 1]", 400, 900, False),
        ("thanks.", 1000, 1300, True),
    ]


@pytest.mark.parametrize("texts", [["one"], ["one", "two", "three"], ["[card 1]"], []])
def test_without_any_times_words_fill_their_stretch_in_order(texts: list[str]) -> None:
    found = placed(texts, [], 1000, 1900)
    assert [word.text for word in found] == texts
    if texts:
        assert (found[0].at_ms, found[-1].until_ms) == (1000, 1900)
    assert all(a.until_ms == b.at_ms for a, b in pairwise(found))


def stt(at_ms: int, *words: list[Any]) -> dict[str, Any]:
    answers = [
        ["partial", 100, 0.0, {"words": [["no", 0, 1, None]]}],
        ["final", 900, 40.0, {"words": [*words]}],
    ]
    return {"type": "engine.stt", "at_ms": at_ms, "answers": answers}


def test_a_callers_words_come_from_the_final_answer_of_their_own_utterance() -> None:
    events = [stt(5000, ["hello", 416, 700, 1.0]), stt(9000, ["hello", 416, 700, 1.0])]
    (word,) = caller_words("hello", 5000, 5400, events)
    assert (word.at_ms, word.until_ms) == (5000 - PREROLL_MS + 416, 5000 - PREROLL_MS + 700)
    withheld = {
        "type": "engine.stt",
        "at_ms": 5000,
        "answers": [["final", 900, 40.0, {}]],
        "withheld": "card",
    }
    (word,) = caller_words("[card 1]", 5000, 5400, [withheld])
    assert (word.at_ms, word.until_ms, word.exact) == (5000, 5400, False)


def test_what_was_heard_of_an_answer_follows_its_clauses() -> None:
    first, second = "Thank you.", "It left on [date 1] then."
    fact = {"type": "engine.tts", "key": text_key(first), "audio_ms": 800, "words": [[0, 300], [300, 800]]}
    clauses = [(2000, first), (2600, second)]
    found = bot_words("Thank you. It left", clauses, 2050, 4000, [fact])
    assert [(word.text, word.at_ms, word.exact) for word in found[:2]] == [
        ("Thank", 2050, True),
        ("you.", 2350, True),
    ]
    assert 2850 <= found[2].at_ms < found[3].at_ms < 4000


# --- what may be heard ------------------------------------------------------------------


def spoke(at_ms: int) -> dict[str, Any]:
    return {"type": "hearing.SpeechStarted", "at_ms": at_ms}


def turn(at_ms: int, started_ms: int, last_voiced_ms: int, kind: str = "utterance") -> dict[str, Any]:
    given = {"kind": kind, "started_ms": started_ms, "last_voiced_ms": last_voiced_ms}
    return {"type": "turn.committed", "at_ms": at_ms, "turn": 2, "input": given}


def late(at_ms: int, kind: str) -> dict[str, Any]:
    return {"type": "turn.committed", "at_ms": at_ms, "turn": 3, "input": {"kind": kind}}


def overlap(at_ms: int, verdict: str) -> dict[str, Any]:
    return {"type": "hearing.OverlapEnded", "at_ms": at_ms, "verdict": verdict}


def clause(at_ms: int | None) -> dict[str, Any]:
    return {"type": "speaking.ClauseStarted", "at_ms": at_ms, "turn": 2, "text": "one moment"}


SAID = [spoke(6000), turn(8000, 6000, 7000)]
TALK = {"type": "talk", "at_ms": 0}
LINES = [checked("caller", 1000, 2000), checked("bot", 2000, 3000), checked("caller", 1500, 2500)]
FROM_THEN = None


@pytest.mark.parametrize(
    ("events", "whole", "silent"),
    [
        pytest.param(SAID, True, [], id="all of it became words"),
        pytest.param([*SAID, spoke(9000)], True, [("caller", 8800, FROM_THEN)], id="hung up in mid-sentence"),
        pytest.param([spoke(6000)], True, [("caller", 5800, FROM_THEN)], id="no turn at all"),
        pytest.param(
            [spoke(6000), spoke(7300), turn(8000, 6000, 7000)],
            True,
            [("caller", 7100, FROM_THEN)],
            id="went on before the turn was committed",
        ),
        *(
            pytest.param(
                [*SAID, spoke(9000), late(10_000, kind)],
                True,
                [("caller", 8800, FROM_THEN)],
                id=f"another turn while they speak: {kind}",
            )
            for kind in ("agent_decision", "late_result", "silence", "keys")
        ),
        pytest.param(
            [spoke(3000), turn(5000, 3000, 4000, "not_heard"), *SAID],
            True,
            [("caller", 2800, 6000)],
            id="not understood, then understood",
        ),
        pytest.param(
            [spoke(3000), late(5000, "not_heard"), *SAID],
            True,
            [("caller", 2800, 6000)],
            id="not understood, without its times",
        ),
        pytest.param([*SAID, spoke(9000), overlap(9400, "backchannel")], True, [], id="mm-hm"),
        pytest.param(
            [*SAID, spoke(9000), overlap(9400, "noise")],
            True,
            [("caller", 8800, FROM_THEN)],
            id="somebody else in the room",
        ),
        pytest.param(
            [clause(1000), clause(5000), *SAID],
            False,
            [("bot", 4800, FROM_THEN), ("caller", 6800, FROM_THEN)],
            id="cut short in a clause",
        ),
        pytest.param(
            [*SAID, clause(9000), clause(12_000)],
            False,
            [("bot", 8800, FROM_THEN), ("caller", 6800, FROM_THEN)],
            id="cut short before it was told what the clause before was",
        ),
        pytest.param(
            [*SAID, clause(None), late(9000, "silence")],
            False,
            [("bot", 0, FROM_THEN), ("caller", 6800, FROM_THEN)],
            id="cut short in a greeting",
        ),
        pytest.param([], False, [("bot", 0, FROM_THEN), ("caller", 0, FROM_THEN)], id="nothing is known"),
        *(
            pytest.param(
                [TALK, *LINES],
                whole,
                [
                    ("bot", 0, 2000),
                    ("bot", 3000, FROM_THEN),
                    ("caller", 0, 1000),
                    ("caller", 2500, FROM_THEN),
                ],
                id=f"a talk, whole: {whole}",
            )
            for whole in (True, False)
        ),
        pytest.param(
            [TALK], True, [("bot", 0, FROM_THEN), ("caller", 0, FROM_THEN)], id="a talk that nobody heard"
        ),
    ],
)
def test_what_nobody_has_looked_at_counts_as_personal(
    events: list[dict[str, Any]], whole: bool, silent: list[tuple[str, int, int | None]]
) -> None:
    found = unchecked(events, whole=whole)
    ends = [(one.channel, one.first // 8, None if one.last is None else one.last // 8) for one in found]
    assert sorted(ends, key=str) == sorted(silent, key=str)


@pytest.mark.parametrize(
    ("sure", "held", "audible"),
    [(True, "nothing", True), (False, "nothing", False), (True, "personal", False), (True, "card", False)],
)
def test_of_a_talk_what_was_understood_and_harmless_is_heard(sure: bool, held: Held, audible: bool) -> None:
    line = HeardLine(1, "it is about my order", sure, datetime(2026, 11, 21, tzinfo=UTC), 1000, 2000)
    assert may_be_heard(line, held) == audible


def test_silence_is_put_where_it_belongs_and_the_rest_is_left() -> None:
    sound = np.full((800, 2), 7, dtype=np.uint8)
    found = hushed(sound, 8000, [mute("bot", 1250, 1251)])
    # 1050 to 1451 ms of the call with margins; the sound begins at 1000 ms and is 100 ms long
    assert (found[400:, 1] == mulaw.SILENCE).all()
    assert (found[:400, 1] == 7).all()
    assert (found[:, 0] == 7).all()
    assert (sound == 7).all()
    assert hushed(sound, 80_000, [mute("bot", 1250, 1251)]) is sound


def test_loudness_is_the_loudest_of_each_stretch_whatever_pieces_it_came_in() -> None:
    pcm = np.zeros((8000, 2), dtype=np.int16)
    pcm[4000:4004, 0], pcm[7999, 1] = 30_000, -30_000
    ulaw = np.frombuffer(mulaw.encode(pcm.reshape(-1)), dtype=np.uint8).reshape(-1, 2)
    whole, pieces = Loudness(), Loudness()
    whole.add(ulaw)
    for at in range(0, 8000, 333):
        pieces.add(ulaw[at : at + 333])
    for points in (1, 7, 10, 100, 1000):
        found = whole.points(0, 1000, points)
        assert (found == pieces.points(0, 1000, points)).all()
        assert found.shape == (points, 2)
        assert found[points // 2, 0] > 230
        assert found[-1, 1] > 230
        assert (found[: points // 2, 0] == 0).all()
    assert not whole.points(5000, 6000, 10).any()
    assert Loudness().points(0, 1000, 3).tolist() == [[0, 0]] * 3


# --- the sound in parts -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "first", "last", "whole"),
    [
        (None, 0, 443, True),
        ("bytes=0-", 0, 443, False),
        ("bytes=10-19", 10, 19, False),
        ("bytes=440-9999", 440, 443, False),
        ("bytes=-4", 440, 443, False),
        ("bytes=-9999", 0, 443, False),
        ("bytes=0-1,5-6", 0, 443, True),
        ("lines=1-2", 0, 443, True),
        ("bytes=-", 0, 443, True),
    ],
)
def test_which_bytes_are_meant(asked: str | None, first: int, last: int, whole: bool) -> None:
    part = wav.part(asked, 100)
    assert (part.first, part.last, part.whole, part.size) == (first, last, whole, 444)
    begin, end = part.samples
    assert wav.HEADER_BYTES + begin * wav.FRAME_BYTES <= max(wav.HEADER_BYTES, part.first)
    assert wav.HEADER_BYTES + end * wav.FRAME_BYTES > part.last


@pytest.mark.parametrize("asked", ["bytes=444-", "bytes=9-3", "bytes=-0"])
def test_bytes_that_are_not_there_are_refused(asked: str) -> None:
    with pytest.raises(wav.OutsideRange):
        wav.part(asked, 100)


def test_many_parts_are_one_listening_until_it_was_quiet_for_long() -> None:
    now = [0.0]
    listening = Listening(lambda: now[0])
    assert listening.begins("ada", "cv")
    assert listening.begins("ada", "cv"), "it was not logged, so nobody knows of it"
    listening.goes_on("ada", "cv")
    assert not listening.begins("ada", "cv")
    assert listening.begins("ben", "cv")
    now[0] += QUIET_S
    assert not listening.begins("ada", "cv")
    listening.goes_on("ada", "cv")
    now[0] += QUIET_S
    assert not listening.begins("ada", "cv")
    now[0] += 1
    assert listening.begins("ada", "cv")


# --- turns that were cut off ------------------------------------------------------------


def said(
    started_ms: int | None, ended_ms: int, heard_ms: int | None, kind: str = "utterance"
) -> dict[str, Any]:
    timings = {"turn_ended_ms": ended_ms, "first_heard_ms": heard_ms}
    return {"input": {"kind": kind, "started_ms": started_ms}, "timings": timings}


@pytest.mark.parametrize(
    ("after", "cut"),
    [
        (said(2000 + REACTION_MS - 1, 4000, 4100), 1),
        (said(1900, 4000, 4100), 1),
        (said(2000 + REACTION_MS, 4000, 4100), 0),
        (said(500, 4000, 4100), 0),  # another media session: its clock began anew
        (said(None, 4000, 4100), 0),
        (said(1900, 4000, 4100, "keys"), 0),
    ],
)
def test_who_speaks_on_into_the_first_sound_had_not_finished(after: dict[str, Any], cut: int) -> None:
    assert cut_offs([said(0, 1800, 2000), after]) == cut


# --- a replay's report ------------------------------------------------------------------


def test_a_report_is_no_clearer_than_what_is_stored() -> None:
    """Neither where they stand nor where the bot repeats them, nor in a turn that stands for none."""
    was = [
        ("hello", "hi"),
        ("it is six one seven", "six one seven?"),
        ("yes", "six one seven, good"),
        ("bye", "bye"),
    ]
    now = [
        ("hello", "hi"),
        ("it is six one eleven", "six what?"),
        ("six one seven", "six one seven?"),
        ("yes", "six"),
        ("bye", "bye now"),
    ]
    call = {
        "recorded": [{"turn": n, "words": words, "heard": heard} for n, (words, heard) in enumerate(was)],
        "turns": [{"turn": n, "words": words, "heard": heard} for n, (words, heard) in enumerate(now)],
        "pairs": [[0, 0], [1, 1], [None, 2], [2, 3], [3, 4]],
        "differences": [
            {"turn": 1, "what": "words", "was": "it is six one seven", "now": "it is six one eleven"},
            {"turn": 1, "what": "spoken", "was": "six one seven?", "now": "six what?"},
            {"turn": 2, "what": "turns", "was": "no turn", "now": "utterance at 8.0 s: six one seven"},
            {"turn": 2, "what": "spoken", "was": "six one seven, good", "now": "six"},
            {"turn": 3, "what": "spoken", "was": "bye", "now": "bye now"},
        ],
    }  # fmt: skip
    stored = {n: {"input": {"text": words}} for n, (words, _) in enumerate(was)}
    assert as_stored(call, stored) == call
    stored[1] = {"input": {"text": "it is [phone number 1]"}}
    found = as_stored(call, stored)
    assert "six" not in str(found)
    assert [one["words"] for one in found["turns"]] == [
        "hello", "it is [phone number 1]", NOT_SHOWN, "yes", "bye",
    ]  # fmt: skip
    assert [one["heard"] for one in found["recorded"]] == ["hi", NOT_SHOWN, NOT_SHOWN, "bye"]
    assert found["differences"][-1] == call["differences"][-1]
