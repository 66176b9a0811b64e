"""A bad line costs no words, makes none up, and delays no answer: whole calls in virtual time, real Silero.

Two lines of a caller, recorded, over everything a telephone does to them; then sounds that are no speech. For
each: no error, no three seconds in which nobody makes a sound, the caller's words whole at the recogniser, no
turn made of noise, no answer lost to it, and the next turn as quick as on a good line.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
from sound_fakes import FakeEars, FakeJudge
from structlog.testing import capture_logs
from virtual_time import VirtualTimeLoop, virtual

from tests.bad_line_kit import WORDS, Packet, Pcm, Scene, a_call, packets, quiet, speech
from voicebot.audio.hearing.endpointing import DEFAULT_RULES
from voicebot.audio.hearing.events import OverlapEnded, SpeechStarted
from voicebot.audio.mulaw import decode, encode
from voicebot.core.conversation import Utterance
from voicebot.proof.simulation import sounds

LINE = speech("returns")
SECOND = speech("shipping", "slt")
LONGEST_S = 3.0
GOOD_S = 0.55
"""From the last word to the first sound of the answer on a good line: 0.40 to 0.42."""
BEGINS_S = (3.0, 3.0 + len(LINE) / 8000 + 4.0)
ENDS_S = (3.0 + len(LINE) / 8000, BEGINS_S[1] + len(SECOND) / 8000)
CALL: tuple[Pcm, ...] = (quiet(3000), LINE, quiet(4000), SECOND, quiet(4000))
SAID = tuple(zip(BEGINS_S, ENDS_S, strict=True))
Bad = Callable[[list[Packet]], list[Packet]]


def lost(sent: list[Packet]) -> list[Packet]:
    """One frame in twenty."""
    dice = random.Random(1)
    return [packet for packet in sent if dice.random() >= 0.05]


def late(sent: list[Packet]) -> list[Packet]:
    """Every 1.5 s nothing for 230 ms, and then all at once."""
    return [
        p._replace(arrives_s=p.arrives_s - p.arrives_s % 1.5 + 0.23) if p.arrives_s % 1.5 < 0.23 else p
        for p in sent
    ]


def jittery(sent: list[Packet]) -> list[Packet]:
    """Each up to 45 ms late, by itself: they overtake each other all the time."""
    dice = random.Random(2)
    return [p._replace(arrives_s=p.arrives_s + dice.uniform(0, 0.045)) for p in sent]


def duplicated(sent: list[Packet]) -> list[Packet]:
    """Every one twice, the second time 100 ms later."""
    return [*sent, *(p._replace(arrives_s=p.arrives_s + 0.1) for p in sent)]


def everything(sent: list[Packet]) -> list[Packet]:
    """All of these at once."""
    return duplicated(late(jittery(lost(sent))))


def odd_lengths(sent: list[Packet]) -> list[Packet]:
    """1 to 997 bytes, timestamps whole ms."""
    ulaw, dice, at = b"".join(p.ulaw for p in sent), random.Random(3), 0
    cut: list[Packet] = []
    while at < len(ulaw):
        length = dice.choice((1, 7, 33, 159, 160, 161, 320, 997))
        cut.append(Packet((at + length) / 8000, at // 8, ulaw[at : at + length]))
        at += length
    return cut


def broken_timestamps(sent: list[Packet]) -> list[Packet]:
    """Every hundredth from another time altogether."""
    return [p._replace(timestamp_ms=2**31) if n % 100 == 50 else p for n, p in enumerate(sent)]


def timestamps_off(factor: float) -> Bad:
    """They run faster or slower than the samples that they stand on."""
    return lambda sent: [p._replace(timestamp_ms=round(p.timestamp_ms * factor)) for p in sent]


def sender_off(factor: float) -> Bad:
    """The sender's clock runs off against ours: samples and timestamps alike."""
    return lambda sent: [p._replace(arrives_s=p.arrives_s / factor) for p in sent]


ON_THE_WAY: dict[str, Bad] = {
    "good": lambda sent: sent,
    "lost": lost,
    "late": late,
    "jittery": jittery,
    "duplicated": duplicated,
    "everything": everything,
    "odd lengths": odd_lengths,
    "broken timestamps": broken_timestamps,
    "timestamps fast": timestamps_off(1.01),
    "timestamps slow": timestamps_off(0.99),
    "sender fast": sender_off(1.01),
    "sender slow": sender_off(0.99),
}

WHOLE: dict[str, float] = {"lost": 0.9, "everything": 0.9, "broken timestamps": 0.96}
"""How much of the caller's sound reaches the recogniser at least; else 0.999."""


def whole(scene: Scene, nth: int, said: Pcm) -> float:
    """How much of a line's 20 ms frames the recogniser was given, each as it was said."""
    fed = scene.fed()[nth].tobytes()
    frames = [said[at : at + 160] for at in range(0, len(said) - 160, 160)]
    loud = [decode(encode(f)).tobytes() for f in frames if np.abs(f.astype(int)).mean() > 100]
    return sum(frame in fed for frame in loud) / len(loud)


@pytest.mark.parametrize("what", ON_THE_WAY)
def test_frames_that_suffer_on_the_way_cost_no_words_and_no_time(what: str, tmp_path: Path) -> None:
    @virtual
    async def check() -> None:
        with capture_logs() as logs:
            async with a_call(tmp_path, ON_THE_WAY[what](packets(*CALL))) as scene:
                assert scene.kinds == ["utterance", "utterance"]
                least = WHOLE.get(what, 0.999)
                assert whole(scene, 0, LINE) >= least
                assert whole(scene, 1, SECOND) >= least
                slow = 1.01 if what == "sender slow" else 0.99 if what == "sender fast" else 1.0
                for _, ends in SAID:
                    assert 0.2 <= scene.answered_after(ends * slow) <= GOOD_S + 0.1 * (what == "everything")
                voiced = [(b * slow, e * slow) for b, e in SAID]
                assert scene.longest_silence(voiced, voiced[-1][1] + 3) < LONGEST_S
                assert all(heard.complete for heard in scene.dialogue.heard_of.values())
        assert [entry for entry in logs if entry["log_level"] == "error"] == []

    check()


MEMORY = 12 * 2**20
"""Growth allowed between the second and the tenth minute, most of it what the fakes keep."""


@virtual
async def test_ten_minutes_of_a_clock_one_per_cent_slow(tmp_path: Path) -> None:
    """At its end the caller is heard and answered as at its beginning, and memory is what it was then."""
    minute = (quiet(3000), LINE, quiet(54_500))
    sent = packets(*(minute * 10), ms=100)
    sizes: list[int] = []
    loop = asyncio.get_running_loop()
    for at_s in (90, 590):
        loop.call_later(at_s, lambda: sizes.append(psutil.Process().memory_info().rss))
    async with a_call(tmp_path, sender_off(0.99)(sent), silence_s=100) as scene:
        assert scene.kinds == ["utterance"] * 10
        waits = [t.first_heard_ms - t.last_voiced_ms for t in scene.dialogue.timings[1:]]  # type: ignore[operator]
        assert max(waits) <= 700
        assert abs(waits[-1] - waits[0]) <= 120
        assert all(whole(scene, nth, LINE) >= 0.999 for nth in range(10))
    assert sizes[1] - sizes[0] < MEMORY, sizes


# --- the node itself --------------------------------------------------------------------------


def stalls(*at_s: float, lasts_s: float = 0.5) -> None:
    """Stops the event loop for so long at these times of the call."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    for at in at_s:
        loop.call_later(at, loop.jump, lasts_s)


@pytest.mark.parametrize("lasts_s", [0.5, 1.2])
@pytest.mark.parametrize("at_s", [-2.2, -1.0, -0.3, -0.02, 0.1, 0.25, 0.35, 0.6], ids=str)
def test_a_stall_of_the_loop_cuts_nobody_off(at_s: float, lasts_s: float, tmp_path: Path) -> None:
    """Before, in and behind the caller's words; what came meanwhile is read before silence is believed."""

    @virtual
    async def check() -> None:
        stalls(ENDS_S[0] + at_s, lasts_s=lasts_s)
        async with a_call(tmp_path, packets(*CALL)) as scene:
            assert scene.kinds == ["utterance", "utterance"]
            assert whole(scene, 0, LINE) >= 0.999
            assert scene.answered_after(ENDS_S[0]) <= GOOD_S + lasts_s
            assert scene.answered_after(ENDS_S[1]) <= GOOD_S
            assert scene.longest_silence(SAID, ENDS_S[1] + 3) < LONGEST_S
            assert all(heard.complete for heard in scene.dialogue.heard_of.values())

    check()


LONG = " ".join(["word"] * 20)


@pytest.mark.parametrize("at_s", [0.25, 0.35, 0.6, 0.9], ids=str)
def test_a_stall_while_a_sound_over_the_bot_is_weighed(at_s: float, tmp_path: Path) -> None:
    """A backchannel stays one, and the answer is heard to its end."""

    @virtual
    async def check() -> None:
        nod = speech("uh_huh")
        call = (quiet(3000), LINE, quiet(2000), nod, quiet(9000))
        stalls(ENDS_S[0] + 2.0 + at_s)
        ears = FakeEars([WORDS, "uh huh", ""])
        async with a_call(tmp_path, packets(*call), ears=ears, answer=(LONG,)) as scene:
            assert scene.kinds == ["utterance"]
            assert [over.verdict for over in scene.all(OverlapEnded)] == ["backchannel"]
            assert scene.dialogue.heard_of[2].complete
            assert scene.dialogue.heard_of[2].text == LONG
            assert scene.longest_silence([*SAID[:1]], ENDS_S[0] + 6) < LONGEST_S

    check()


# --- what is in the samples -------------------------------------------------------------------


def over(*pieces: Pcm, noise: Callable[[int], Pcm]) -> list[Packet]:
    clean = np.concatenate(pieces)
    return packets(sounds.mixed(clean, noise(len(clean) // 8)[: len(clean)]))


IN_THE_SOUND: dict[str, Callable[[], list[Packet]]] = {
    "clipped": lambda: packets(*(sounds.clipped(piece) for piece in CALL)),
    "hum": lambda: over(*CALL, noise=lambda ms: sounds.mains_hum(ms, level_dbfs=-35)),
    "offset": lambda: over(*CALL, noise=lambda ms: np.full(ms * 8, 4000, np.int16)),
    "negative offset": lambda: over(*CALL, noise=lambda ms: np.full(ms * 8, -1500, np.int16)),
    "music behind": lambda: over(*CALL, noise=lambda ms: sounds.hold_music(ms, level_dbfs=-40)),
}


@pytest.mark.parametrize("what", IN_THE_SOUND)
def test_a_voice_over_a_spoilt_line_is_heard_and_answered_in_time(what: str, tmp_path: Path) -> None:
    @virtual
    async def check() -> None:
        with capture_logs() as logs:
            async with a_call(tmp_path, IN_THE_SOUND[what]()) as scene:
                assert scene.kinds == ["utterance", "utterance"]
                for nth, said in enumerate((LINE, SECOND)):
                    assert len(scene.fed()[nth]) >= len(said)
                for ends in ENDS_S:
                    assert -0.1 <= scene.answered_after(ends) <= GOOD_S + 0.1
                assert scene.longest_silence(SAID, ENDS_S[1] + 3) < LONGEST_S
                assert all(heard.complete for heard in scene.dialogue.heard_of.values())
        line = [entry["snr_db"] for entry in logs if entry["event"] == "turn_ended"]
        if "offset" in what:
            assert min(line) > 20  # a constant is no noise
        assert [entry for entry in logs if entry["log_level"] == "error"] == []

    check()


@virtual
async def test_two_people_at_once_are_one_turn_that_ends(tmp_path: Path) -> None:
    both = sounds.mixed(LINE, SECOND, at_ms=300, gain_db=-3)
    async with a_call(tmp_path, packets(quiet(3000), both, quiet(4000))) as scene:
        assert scene.kinds == ["utterance"]
        assert len(scene.fed()[0]) >= len(both)
        assert scene.answered_after(3 + len(both) / 8000) <= GOOD_S


# --- sounds that nobody said ------------------------------------------------------------------


class Credulous:
    """A voice activity that takes every audible sound for a voice, as real ones take some music."""

    def probability(self, window: Pcm) -> float:
        return 0.95 if np.abs(window.astype(int)).mean() > 100 else 0.02


NOISES: dict[str, Callable[[int], Pcm]] = {
    "hold music": lambda ms: sounds.hold_music(ms),
    "loud music": lambda ms: sounds.hold_music(ms, level_dbfs=-14),
    "fax calling": lambda ms: sounds.fax_calling(ms),
    "fax answering": lambda ms: sounds.answer_tone(ms),
    "hum": lambda ms: sounds.mains_hum(ms, level_dbfs=-20),
    "hiss": lambda ms: sounds.white_noise(ms, level_dbfs=-25),
    "silence": quiet,
    "stuck at full scale": lambda ms: np.full(ms * 8, -32124, np.int16),
    "stuck high": lambda ms: np.full(ms * 8, 8000, np.int16),
}


@pytest.mark.parametrize("what", NOISES)
def test_a_noise_is_no_turn_and_kills_no_answer(what: str, tmp_path: Path) -> None:
    """It goes on through the greeting and the first answer; whoever is asked twice is silent."""

    @virtual
    async def check() -> None:
        noise = NOISES[what](20_000)
        with np.errstate(all="raise"), capture_logs() as logs:
            async with a_call(tmp_path, packets(noise), silence_s=7.0, answer=(LONG,)) as scene:
                assert set(scene.kinds) == {"silence"}
                assert scene.all(SpeechStarted) == []
                assert scene.dialogue.heard_of[1].complete
                assert scene.dialogue.heard_of[2].complete
                assert scene.longest_silence([], 7.0) < 7.0
        assert [entry for entry in logs if entry["log_level"] in {"error", "warning"}] == []

    check()


@pytest.mark.parametrize("what", ["hold music", "loud music", "fax calling", "fax answering"])
def test_a_noise_taken_for_a_voice_is_answered_and_never_acted_upon(what: str, tmp_path: Path) -> None:
    """The bot has its say each time, however long the noise lasts, and nothing is made of it."""

    @virtual
    async def check() -> None:
        ears = FakeEars([])
        async with a_call(tmp_path, packets(NOISES[what](75_000)), vad=Credulous, ears=ears) as scene:
            assert "utterance" not in scene.kinds
            assert scene.kinds
            spoken = [begin for begin, _ in scene.sounds()]
            assert len(spoken) >= 3
            assert max(b - a for a, b in pairwise(spoken)) < 35
            bounded = DEFAULT_RULES.longest_turn * 16 + 16_000
            assert all(len(one.fed) <= bounded for one in ears.opened)

    check()


# --- people who do not keep to the rules -------------------------------------------------------


def without_pauses(seconds: float) -> Pcm:
    """Somebody who never draws breath."""
    said = np.concatenate((LINE, SECOND, speech("where_is_order"), speech("warranty", "slt")))
    windows = said[: said.size // 256 * 256].reshape(-1, 256)
    loud = windows[np.abs(windows.astype(int)).mean(axis=1) > 400].reshape(-1)
    return np.resize(loud, int(seconds * 8000))


@virtual
async def test_a_caller_who_never_pauses_is_answered_after_thirty_seconds_and_loses_no_word(
    tmp_path: Path,
) -> None:
    """The words so far are a turn, the bot answers over them, and the next words are the next turn."""
    said = without_pauses(75.0)
    call = packets(quiet(3000), said, quiet(5000))
    async with a_call(tmp_path, call, judge=FakeJudge(lambda _: 0.01)) as scene:
        assert scene.kinds == ["utterance"] * 3
        ended = [one.turn_ended_ms / 1000 for one in scene.dialogue.timings[1:]]  # type: ignore[operator]
        assert ended[0] == pytest.approx(33.0, abs=0.3)
        assert ended[1] == pytest.approx(63.0, abs=0.5)
        answers = [run for run in scene.sounds() if run[0] > 3]
        assert answers[0][0] <= 33.0 + 0.5
        assert answers[0][1] - answers[0][0] >= 1.2  # four words, whole
        assert answers[1][0] <= 63.0 + 0.7
        assert all(scene.dialogue.heard_of[turn].complete for turn in (2, 3, 4))
        heard = np.concatenate(scene.fed()).tobytes()
        frames = [decode(encode(said[at : at + 160])).tobytes() for at in range(0, len(said) - 160, 160)]
        assert sum(frame in heard for frame in frames) / len(frames) >= 0.995
        assert scene.answered_after(78.0) <= 0.8


@virtual
async def test_who_is_heard_later_and_later_is_not_silent(tmp_path: Path) -> None:
    """Four times the way gets 240 ms longer, and stays so: almost a second behind, and nothing is missing."""
    said = without_pauses(10.0)
    call = [
        p._replace(arrives_s=p.arrives_s + 0.24 * sum(p.arrives_s > at for at in (4.0, 5.5, 7.0, 8.5)))
        for p in packets(quiet(3000), said, quiet(4000))
    ]
    async with a_call(tmp_path, call) as scene:
        assert scene.kinds == ["utterance"]
        assert whole(scene, 0, said) >= 0.999


@virtual
async def test_a_caller_who_stops_and_speaks_again_takes_the_turn_back(tmp_path: Path) -> None:
    """The bot's turn after thirty seconds is an ordinary one from their first pause on."""
    call = packets(quiet(3000), without_pauses(31.0), quiet(1200), LINE, quiet(9000))
    ears = FakeEars([WORDS, "how long do i", "how long do i have"])
    async with a_call(tmp_path, call, ears=ears, judge=FakeJudge(lambda _: 0.3), answer=(LONG,)) as scene:
        assert not scene.dialogue.heard_of[2].complete
        assert scene.dialogue.heard_of[len(scene.dialogue.inputs)].complete


@pytest.mark.parametrize("byte", [0xFF, 0x7F, 0x00, 0x80, 0x2A])
def test_a_caller_who_says_nothing_is_asked_and_asked_again(byte: int, tmp_path: Path) -> None:
    """Whatever silence looks like: 0xff, 0x7f (minus nought), or any other value that never changes."""

    @virtual
    async def check() -> None:
        ulaw = bytes([byte]) * 160
        sent = [Packet(n * 0.02 + 0.02, n * 20, ulaw) for n in range(1300)]
        with np.errstate(all="raise"):
            async with a_call(tmp_path, sent, silence_s=7.0) as scene:
                assert [getattr(given, "nth", 0) for given in scene.dialogue.inputs] == [0, 1, 2, 3]
                assert scene.ears.opened == []
                assert all(heard.complete for heard in scene.dialogue.heard_of.values())

    check()


@virtual
async def test_a_caller_who_speaks_from_the_first_moment_is_heard_over_the_greeting(tmp_path: Path) -> None:
    async with a_call(tmp_path, packets(LINE, quiet(5000), SECOND, quiet(4000))) as scene:
        assert scene.kinds == ["utterance", "utterance"]
        first = scene.dialogue.inputs[1]
        assert isinstance(first, Utterance)
        assert first.started_ms <= 200
        assert whole(scene, 0, LINE[800:]) >= 0.999
        ends = len(LINE) / 8000
        assert scene.answered_after(ends) <= GOOD_S
        assert scene.longest_silence([(0, ends)], ends + 3) < LONGEST_S
        assert scene.dialogue.heard_of[2].complete
        assert scene.answered_after(ends + 5 + len(SECOND) / 8000) <= GOOD_S
