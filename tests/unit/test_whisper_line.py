"""The line in front of the model: finals, then peeks, then partials; no call twice while another waits."""

from __future__ import annotations

from voicebot.audio.engines.whisper.line import Line, Urgency
from voicebot.audio.engines.whisper.pace import ALL_SHARE, LATEST_MS, SOONEST_MS, Pace

FINAL, PEEK, PARTIAL = Urgency.FINAL, Urgency.PEEK, Urgency.PARTIAL


def _line(*places: tuple[str, Urgency]) -> Line[str]:
    line: Line[str] = Line()
    for nth, (call, urgency) in enumerate(places):
        line.put(call, call.partition("/")[0], urgency, now=float(nth))
    return line


def _all(line: Line[str]) -> list[str]:
    return [line.take()[0] for _ in range(len(line))]


def test_finals_before_peeks_before_partials() -> None:
    line = _line(("a", PARTIAL), ("b", PEEK), ("c", FINAL), ("d", PARTIAL), ("e", FINAL))
    assert _all(line) == ["c", "e", "b", "a", "d"]


def test_an_utterance_has_one_place_and_the_more_urgent_request_stands() -> None:
    work = "a"
    line: Line[str] = Line()
    line.put(work, "a", PARTIAL, 0.0)
    line.put("b", "b", PEEK, 0.1)
    line.put(work, "a", FINAL, 0.2)
    line.put(work, "a", PARTIAL, 0.3)
    assert len(line) == 2
    assert line.replaced == 1
    assert _all(line) == ["a", "b"]


def test_among_equals_the_call_served_longest_ago_comes_first() -> None:
    line = _line(("a", PARTIAL), ("b", PARTIAL))
    served = []
    for _ in range(6):
        (work,) = line.take()
        served.append(work)
        line.put(work, work, PARTIAL, 0.0)
    assert served == ["a", "b"] * 3


def test_one_call_with_many_utterances_does_not_starve_another() -> None:
    line = _line(("a/1", PEEK), ("a/2", PEEK), ("a/3", PEEK), ("b/1", PEEK))
    assert _all(line)[:2] == ["a/1", "b/1"]


def test_a_batch_is_of_one_urgency() -> None:
    line = _line(("a", PARTIAL), ("b", FINAL), ("c", FINAL), ("d", PARTIAL))
    assert line.take(8) == ["b", "c"]
    assert line.take(1) == ["a"]


def test_an_utterance_that_ended_leaves() -> None:
    line = _line(("a", FINAL), ("b", PARTIAL))
    line.drop("a")
    line.drop("a")
    assert _all(line) == ["b"]
    assert line.take() == []


def test_the_wait_that_counts_is_a_caller_s() -> None:
    line = _line(("a", PARTIAL), ("b", PEEK), ("c", FINAL))
    assert line.oldest_s(now=10.0) == 9.0
    assert _line(("a", PARTIAL)).oldest_s(now=10.0) == 0.0


def test_partials_come_less_often_the_more_they_cost_and_the_more_speak() -> None:
    cheap, dear = Pace(1), Pace(1)
    cheap.ran(0.004, 1, 0.0)
    dear.ran(0.030, 1, 0.0)
    assert cheap.partial_ms(1) == SOONEST_MS
    assert SOONEST_MS < dear.partial_ms(1) < LATEST_MS
    assert dear.partial_ms(40) == LATEST_MS
    paces = [cheap.partial_ms(n) for n in (1, 10, 60, 120)]
    assert paces == sorted(paces)
    assert 60 * 0.004 / (cheap.partial_ms(60) / 1000) <= ALL_SHARE * 1.01


def test_load_rises_with_work_and_falls_without() -> None:
    pace = Pace(1)
    assert pace.load(0.0) == 0.0
    for second in range(20):
        pace.ran(1.0, 1, float(second))
    assert pace.load(19.0) > 0.9
    assert pace.load(60.0) < 0.01
