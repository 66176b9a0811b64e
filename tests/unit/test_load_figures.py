"""A load test counts what callers heard, finds the knee, and believes no run of late callers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebot.audio.mulaw import encode
from voicebot.channels.twilio import twiml
from voicebot.channels.twilio.addresses import Addresses
from voicebot.proof.loadtest import knee, page, plan, plots, report, words
from voicebot.proof.loadtest.figures import StepFigures, overtaken, step_figures
from voicebot.proof.loadtest.hearing import Gap, HeardCall, HeardTurn, SaidLine, heard_turns
from voicebot.proof.loadtest.knee import Knee, Strain
from voicebot.proof.loadtest.line import waits
from voicebot.proof.loadtest.plan import LoadError, LoadStep
from voicebot.proof.loadtest.validity import Generator, why_invalid
from voicebot.proof.simulation.lateness import Lateness

OVER_MS = 20_000.0
AT = Addresses.at("https://voice.example.com")


def heard(*spans_ms: tuple[int, int]) -> bytes:
    """What a bot sounds like that hums at those times."""
    t = np.arange(int(OVER_MS * 8))
    loud = np.zeros(len(t), bool)
    for start, end in spans_ms:
        loud[start * 8 : end * 8] = True
    return encode((np.sin(2 * np.pi * 300 * t / 8000) * 8000 * loud).astype(np.int16))


def turns_of(bot: bytes, *said: SaidLine, over_ms: float = OVER_MS) -> list[HeardTurn]:
    return heard_turns(bot, said, began_s=100.0, over_ms=over_ms)


def line(start: float, end: float, **more: bool) -> SaidLine:
    return SaidLine("words", start, end, **more)


def test_the_latency_runs_from_the_callers_last_sound_to_the_answers_first() -> None:
    (turn,) = turns_of(heard((500, 1500), (5400, 7000)), line(3000, 5000))
    assert turn.kind == "turn"
    assert turn.latency_ms == pytest.approx(400, abs=2)
    assert turn.at_s == 105.0
    assert not turn.cut_off
    assert not turn.unanswered


def test_the_tail_of_what_the_bot_was_saying_is_no_answer() -> None:
    (turn,) = turns_of(heard((3100, 3190), (5600, 7000)), line(3000, 5000))
    assert turn.latency_ms == pytest.approx(600, abs=2)


def test_a_bot_that_speaks_into_the_callers_pause_cut_them_off() -> None:
    (turn,) = turns_of(heard((500, 1500), (4000, 6000)), line(3000, 5000))
    assert turn.cut_off
    assert turn.latency_ms is None


def test_nothing_before_the_caller_speaks_again_is_no_answer() -> None:
    first, second = turns_of(heard((12_000, 13_000)), line(3000, 5000), line(10_000, 11_000))
    assert first.unanswered
    assert second.latency_ms == pytest.approx(1000, abs=2)


@pytest.mark.parametrize(("over_ms", "unanswered"), [(6000.0, False), (9100.0, True)])
def test_a_call_that_ends_too_soon_leaves_its_last_turn_open(over_ms: float, unanswered: bool) -> None:
    (turn,) = turns_of(heard(), line(3000, 5000), over_ms=over_ms)
    assert turn.unanswered is unanswered


@pytest.mark.parametrize(("falls_silent", "silence_ms"), [(3240, 240), (4600, 1600), (9000, None)])
def test_an_interruption_runs_to_the_bots_last_sound(falls_silent: int, silence_ms: float | None) -> None:
    (turn,) = turns_of(heard((1000, falls_silent)), line(3000, 4000))
    assert turn.kind == "interruption"
    assert turn.latency_ms is None
    assert turn.silence_ms == (None if silence_ms is None else pytest.approx(silence_ms, abs=2))


@pytest.mark.parametrize(
    ("bot", "ended"),
    [
        (((1000, 6000),), False),  # never stopped
        (((1000, 3200), (3900, 6000)), False),  # stopped and went on
        (((1000, 3200),), True),
        (((1000, 3200), (7000, 8000)), True),  # that is another answer
    ],
)
def test_a_murmur_must_not_end_an_answer(bot: tuple[tuple[int, int], ...], ended: bool) -> None:
    (turn,) = turns_of(heard(*bot), line(3000, 3500, murmur=True))
    assert turn.kind == "murmur"
    assert turn.ended is ended


def test_keys_and_lines_that_were_broken_off_are_no_spoken_turns() -> None:
    (keys,) = turns_of(heard((5400, 6000)), line(3000, 5000, keys=True), line(9000, 9900, whole=False))
    assert (keys.kind, keys.latency_ms) == ("keys", pytest.approx(400, abs=2))


# --- a step -----------------------------------------------------------------------------


def late(*values_ms: float) -> Lateness:
    made = Lateness()
    for value in values_ms:
        made.add(value)
    return made


ON_TIME = Generator(late(*[1.0] * 1000), busiest=0.2, core_per_call=0.004)
WINDOW_S = (100.0, 160.0)


def a_call(**more: object) -> HeardCall:
    base = HeardCall(
        caller="questions", voice="rms", call_sid="CA1", began_s=100.0, ended_s=160.0, outcome="served",
        status="completed", answer_ms=20.0, first_sound_ms=300.0, speech_ms=30_000.0,
    )  # fmt: skip
    return replace(base, **more)  # type: ignore[arg-type]


def a_step(*calls: HeardCall, generator: Generator = ON_TIME, count: int = 2) -> StepFigures:
    return step_figures(LoadStep(count, 60.0), calls, WINDOW_S, generator)


def spoken(at_s: float, latency_ms: float) -> HeardTurn:
    return HeardTurn("turn", at_s, latency_ms=latency_ms)


def test_only_what_happened_while_the_step_was_held_counts() -> None:
    step = a_step(
        a_call(
            turns=(spoken(99.0, 9000), spoken(120.0, 400), spoken(161.0, 9000)),
            gaps=(Gap(99.0, 50), Gap(110.0, 80)),
        ),
        a_call(began_s=130.0, ended_s=190.0),
    )
    assert (step.latency.count, step.latency.p50) == (1, 400)
    assert step.gaps.count == 1
    assert step.speech_s == 45.0  # all of the one, half of the other
    assert step.long_gaps_a_100_s == pytest.approx(100 / 45, abs=0.01)


def test_kinds_of_turns_are_kept_apart() -> None:
    turns = (
        spoken(110, 400),
        HeardTurn("turn", 111, cut_off=True),
        HeardTurn("turn", 112, unanswered=True),
        HeardTurn("keys", 113, latency_ms=90),
        HeardTurn("interruption", 114, silence_ms=200),
        HeardTurn("interruption", 115),
        HeardTurn("murmur", 116, ended=True),
        HeardTurn("murmur", 117),
    )
    step = a_step(a_call(turns=turns))
    assert (step.turns, step.cut_offs, step.unanswered) == (3, 1, 1)
    assert (step.latency.p50, step.keys.p50, step.barge_in.p50, step.talked_on) == (400, 90, 200, 1)
    assert (step.murmurs, step.murmurs_ended) == (2, 1)


def test_calls_that_no_bot_took_are_counted_with_how_fast() -> None:
    step = a_step(a_call(), a_call(outcome="busy", answer_ms=35.0), a_call(outcome="failed", answer_ms=None))
    assert (step.refused, step.refused_in.count, step.refused_in.worst) == (2, 1, 35.0)
    assert step.outcomes == {"busy": 1, "failed": 1, "served": 1}


def test_calls_that_waited_are_no_refusals_but_break_the_knee_all_the_same() -> None:
    step = a_step(
        a_call(answer_ms=20.0),
        a_call(answer_ms=90.0, waited_ms=12_000.0),
        a_call(outcome="queued", answer_ms=80.0, waited_ms=30_000.0),
    )
    assert (step.refused, step.refused_in.count, step.refused_in.worst) == (1, 2, 90.0)
    assert (step.waited.count, step.waited.worst) == (2, 30_000.0)
    assert step.strain.refused == 2


@pytest.mark.parametrize(
    ("calls", "count"),
    [
        pytest.param([], 0, id="nobody waited"),
        pytest.param([(0, 10), (1, 12), (2, 12)], 0, id="in order"),
        pytest.param([(0, 14), (1, 12), (2, 13)], 1, id="the first one last"),
        pytest.param([(0, 14), (1, 13), (2, 12)], 2, id="the wrong way round"),
    ],
)
def test_who_is_taken_after_one_who_came_later_was_overtaken(
    calls: list[tuple[float, float]], count: int
) -> None:
    waited = [a_call(began_s=came, waited_ms=(taken - came) * 1000) for came, taken in calls]
    assert overtaken([*waited, a_call(), a_call(outcome="queued", waited_ms=1.0)]) == count


@pytest.mark.parametrize(
    ("document", "does"),
    [
        (twiml.queue(AT, 1, first=True), True),
        (twiml.busy(), False),
        (twiml.connect_stream(AT, "t"), False),
        (twiml.play_then_dial(AT, "handing_over", twiml.Person("+4930123456")), False),
        (twiml.apology(AT), False),
    ],
)
def test_the_servers_own_music_is_known_as_waiting(document: str, does: bool) -> None:
    assert waits(document) is does


def test_a_call_comes_through_a_pipe_as_it_was() -> None:
    call = a_call(turns=(spoken(1, 2),), gaps=(Gap(1, 2),), leads_ms=(300.0,), said=("a",), errors=(31921,))
    assert HeardCall.of_dict(json.loads(json.dumps(call.as_dict()))) == call


# --- whether to believe it ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("generator", "says"),
    [
        (ON_TIME, ""),
        (replace(ON_TIME, lateness=late(*[1.0] * 980, *[15.0] * 20)), "1 in 100 by more than"),
        (replace(ON_TIME, lateness=late(*[1.0] * 995, *[25.0] * 5)), "more than 20 ms late"),
        (replace(ON_TIME, lateness=late(*[1.0] * 999, 500.0)), ""),  # once is no one's fault
        (replace(ON_TIME, lateness=Lateness()), "sent nothing"),
        (replace(ON_TIME, busiest=0.9), "--processes"),
        (replace(ON_TIME, failures=1), "broke down"),
    ],
)
def test_a_run_whose_callers_were_late_is_not_believed(generator: Generator, says: str) -> None:
    reasons = why_invalid(generator)
    assert bool(reasons) == bool(says)
    assert all(says in reason for reason in reasons)
    assert a_step(a_call(), generator=generator).valid == (not says)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.floats(0, 199), min_size=1, max_size=200), st.integers(1, 100))
def test_latenesses_in_fixed_space_are_right_to_a_quarter(values: list[float], percent: int) -> None:
    made, other = late(*values[::2]), late(*values[1::2])
    made.join(Lateness.of_sparse(other.sparse(), other.worst_ms))
    exact = sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]
    assert abs(made.percentile_ms(percent) - exact) <= 0.25
    assert made.total == len(values)


# --- the knee -----------------------------------------------------------------------------

FINE = Strain(5, 600.0, unanswered=0.01, cut_off=0.0, gaps_a_minute=0.0, long_gaps_a_100_s=0.0, refused=0)


@pytest.mark.parametrize(
    ("worse", "because"),
    [
        ({"p95_ms": 901.0}, "1.5 times"),
        ({"p95_ms": None}, "no turn"),
        ({"unanswered": 0.04}, "unanswered"),
        ({"cut_off": 0.03}, "cut off"),
        ({"gaps_a_minute": 1.1}, "holes"),
        ({"long_gaps_a_100_s": 1.2}, "over 60 ms"),
        ({"refused": 1}, "refused"),
    ],
)
def test_the_knee_is_before_the_first_step_that_hurts(worse: dict[str, float], because: str) -> None:
    steps = [FINE, replace(FINE, calls=10), replace(FINE, calls=15, **worse), replace(FINE, calls=20)]
    found = knee.find(steps)
    assert (found.calls, found.broke_at) == (10, 15)
    assert because in found.because[0]


@pytest.mark.parametrize(
    "near", [{"p95_ms": 899.0}, {"unanswered": 0.029}, {"cut_off": 0.02}, {"gaps_a_minute": 1.0}]
)
def test_what_nobody_notices_is_no_knee(near: dict[str, float]) -> None:
    assert knee.find([FINE, replace(FINE, calls=10, **near)]) == Knee(10, None)


def test_a_fast_server_may_be_slower_by_what_nobody_notices() -> None:
    fast = replace(FINE, p95_ms=100.0)
    assert knee.find([fast, replace(fast, calls=10, p95_ms=240.0)]).calls == 10


def test_a_step_that_is_not_believed_is_no_knee_and_no_base() -> None:
    late_ones = [replace(FINE, valid=False, p95_ms=100.0), replace(FINE, calls=10), replace(FINE, calls=15)]
    assert knee.find(late_ones) == Knee(15, None)
    assert knee.find([replace(FINE, valid=False)]) == Knee(None, None)


# --- the plan -----------------------------------------------------------------------------


def test_steps() -> None:
    assert [step.calls for step in plan.steps(None, "5:17:5", 60)] == [5, 10, 15, 17]
    assert plan.steps(40, None, 60) == [LoadStep(40, 60)]
    assert LoadStep(1000, 60).settle_s == 11.0
    assert plan.shares(10, 3) == [4, 3, 3]


@pytest.mark.parametrize(
    ("calls", "ramp", "hold_s"),
    [(None, None, 60), (5, "1:2:1", 60), (None, "5:1:1", 60), (None, "1:5:0", 60), (None, "five", 60),
     (0, None, 60), (5, None, 0), (6000, None, 60), (None, "1:1000:1", 60), (5, None, float("nan"))],
)  # fmt: skip
def test_a_plan_that_makes_no_run(calls: int | None, ramp: str | None, hold_s: float) -> None:
    with pytest.raises(LoadError):
        plan.steps(calls, ramp, hold_s)


# --- words --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "read", "rate"),
    [
        ("It is four two seven.", "it is 427", 0.0),
        ("a b c d", "a x c", 0.5),
        ("a b", "", 1.0),
        ("a", "a b c", 2.0),
        ("", "a", None),
    ],
)
def test_word_error_rate(said: str, read: str, rate: float | None) -> None:
    assert words.rate([(said, read)]) == rate


# --- the report ---------------------------------------------------------------------------


def a_report(*steps: StepFigures) -> report.LoadReport:
    return report.make("http://127.0.0.1:1", [("questions", 1.0)], steps, note="<script>alert(1)</script>")


def test_the_page_loads_nothing_and_escapes_what_it_shows() -> None:
    calls = [a_call(turns=tuple(spoken(101 + n, 300 + n) for n in range(30)))]
    text = page.page(a_report(a_step(*calls), a_step(*calls, count=4)))
    assert "<script" not in text
    assert "src=" not in text
    assert "http" not in text.replace("http://127.0.0.1:1", "")
    assert text.count("<figure>") >= 5
    assert "prefers-color-scheme: dark" in text


def test_the_page_says_first_when_a_run_is_not_to_be_believed() -> None:
    made = a_report(a_step(a_call(), generator=replace(ON_TIME, busiest=0.9)))
    assert not made.valid
    assert "Not valid" in page.page(made)
    assert made.as_dict()["why_invalid"]
    assert "Not valid" not in page.page(a_report(a_step(a_call())))


def test_the_report_is_json() -> None:
    data = json.loads(json.dumps(a_report(a_step(a_call(turns=(spoken(101, 300),)))).as_dict()))
    assert data["valid"]
    assert data["steps"][0]["latency"]["p50"] == 300
    assert data["knee"]["criterion"]


def test_a_plot_leaves_out_what_was_not_measured() -> None:
    drawn = plots.chart("T", "x", "y", [plots.Series("s", [(1, 5.0), (2, None), (3, 7.0)], "a")])
    assert drawn.count("<circle") == 2
    assert plots.chart("T", "x", "y", [plots.Series("s", [(1, None)], "a")]) == ""
    assert [plots.nice(v) for v in (0.3, 1, 1.2, 7, 70)] == [0.5, 1, 2, 10, 100]
