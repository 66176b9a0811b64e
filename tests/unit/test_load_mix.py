"""A mix of callers is read strictly, drawn the same again, and has its sound before the run begins."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from voicebot.audio.mulaw import decode
from voicebot.proof.loadtest.mix import CallerKind, Noise, order, read_folder, read_mix
from voicebot.proof.loadtest.plan import LoadError
from voicebot.proof.loadtest.preparing import as_file, of_file, prepare
from voicebot.proof.simulation.caller import SyntheticCaller
from voicebot.proof.simulation.script import CallScript, Line, ScriptError
from voicebot.proof.simulation.sounds import level_of

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "recordings" / "load"
LINES = ROOT / "recordings" / "lines"
ASKS = CallScript.model_validate({"voice": "rms", "steps": [{"say": "shipping"}]})


def written(folder: Path, mix: str) -> Path:
    (folder / "asks.yaml").write_text("voice: rms\nsteps: [{say: shipping}]\n")
    path = folder / "mix.yaml"
    path.write_text(mix)
    return path


def test_the_shipped_mix_has_every_kind_of_caller() -> None:
    kinds = read_mix(SHIPPED / "mix.yaml")
    steps = [step for kind in kinds for step in kind.script.steps]
    assert any(step.interrupt for step in steps)
    assert any(step.murmur for step in steps)
    assert any(step.press for step in steps)
    assert any(step.hang_up for step in steps)
    assert {kind.noise.kind for kind in kinds if kind.noise} == {"pink", "babble"}
    assert not any(kind.hears_nothing_of for kind in kinds)


@pytest.mark.parametrize(
    ("mix", "says"),
    [
        ("callers: []", "callers"),
        ("callers: [{script: asks.yaml, wait: 1}]", "wait"),
        ("callers: [{script: asks.yaml, weight: 0}]", "weight"),
        ("callers: [{script: asks.yaml, noise: {kind: wind, snr_db: 3}}]", "noise.kind"),
        ("[", "no YAML"),
    ],
)
def test_a_mix_that_is_none_says_where(tmp_path: Path, mix: str, says: str) -> None:
    with pytest.raises(LoadError, match=says):
        read_mix(written(tmp_path, mix))


def test_scripts_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"nobody\.yaml"):
        read_mix(written(tmp_path, "callers: [{script: nobody.yaml}]"))
    with pytest.raises(LoadError, match="no scripts"):
        read_folder(tmp_path / "empty")
    assert [kind.name for kind in read_folder(tmp_path)] == ["asks"]


def test_voices_and_pauses_share_a_kinds_weight(tmp_path: Path) -> None:
    mix = "callers: [{script: asks.yaml, weight: 3, voices: [rms, awb], pauses_ms: [100, 200, 300]}]"
    kinds = read_mix(written(tmp_path, mix))
    assert [(k.script.voice, k.script.pause_ms, k.weight) for k in kinds] == [
        ("rms", 100, 1.0), ("awb", 200, 1.0), ("rms", 300, 1.0),
    ]  # fmt: skip


def test_who_phones_is_drawn_the_same_again_and_by_weight() -> None:
    kinds = [CallerKind("often", ASKS, 3.0), CallerKind("seldom", ASKS, 1.0)]
    drawn = [order(kinds, line=n, seed=7, count=200) for n in range(5)]
    assert drawn == [order(kinds, line=n, seed=7, count=200) for n in range(5)]
    assert drawn[0] != drawn[1]
    assert drawn[0] != order(kinds, line=0, seed=8, count=200)
    assert 0.2 < Counter(n for one in drawn for n in one)[1] / 1000 < 0.3


async def test_noise_lies_as_far_below_the_speech_as_asked_and_moves_no_words(tmp_path: Path) -> None:
    kinds = [CallerKind("clear", ASKS, 1.0), CallerKind("noisy", ASKS, 1.0, Noise(kind="pink", snr_db=15))]
    clear, noisy = await prepare(kinds, lines=LINES, texts=None, cache=tmp_path)
    before, after = clear.lines["shipping"], noisy.lines["shipping"]
    assert noisy.background is not None
    below = level_of(decode(before.ulaw)) - level_of(decode(noisy.background))
    assert below == pytest.approx(15, abs=1)
    assert after.voiced_ms == before.voiced_ms
    assert len(after.ulaw) == len(before.ulaw)
    assert after.ulaw != before.ulaw
    assert of_file(as_file([clear, noisy], tmp_path)) == [clear, noisy]


async def test_a_voice_that_no_file_has_is_rendered_once(tmp_path: Path) -> None:
    script = ASKS.model_copy(update={"voice": "espeak:en-us+f3"})
    (first,) = await prepare([CallerKind("e", script, 1.0)], lines=LINES, texts=None, cache=tmp_path)
    line = first.lines["shipping"]
    assert line.text.startswith("How much do you charge")
    assert line.voiced_ms is not None
    assert 1500 < line.voiced_ms[1] - line.voiced_ms[0] < 5000
    made = times(tmp_path)
    await prepare([CallerKind("e", script, 1.0)], lines=LINES, texts=None, cache=tmp_path)
    assert times(tmp_path) == made


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


async def test_a_rendered_line_without_words_says_where_to_write_them(tmp_path: Path) -> None:
    script = CallScript.model_validate({"voice": "espeak:en", "steps": [{"say": "hello_there"}]})
    kinds = [CallerKind("e", script, 1.0)]
    with pytest.raises(LoadError, match=r"texts\.yaml"):
        await prepare(kinds, lines=LINES, texts=tmp_path / "texts.yaml", cache=tmp_path)


def test_a_deaf_caller_says_its_lines_over_its_lines_noise() -> None:
    """It goes by sound alone: it speaks once the bot was heard and is quiet, and noise fills the rest."""
    noise = bytes(range(64, 224)) * 3
    loud = bytes([0x80, 0x00] * 80)
    script = CallScript.model_validate(
        {"voice": "rms", "steps": [{"say": "a"}], "silence_ms": 300, "pause_ms": 0}
    )
    lines = {"a": Line(name="a", text="A.", ulaw=loud * 5)}
    caller = SyntheticCaller(script, lines, deaf=True, background=noise)
    sent: list[bytes] = []
    for n in range(60):
        caller.on_audio(loud if n < 10 else b"\xff" * 160, n * 20)
        sent.append(caller.next_frame(n * 20 + 20) or b"")
    spoke = [n for n, frame in enumerate(sent) if frame == loud]
    assert len(spoke) == 5
    assert spoke[0] * 20 >= 9 * 20 + 300
    assert all(len(frame) == 160 for frame in sent)
    assert sent[0] == noise[160:320]
