"""The callers' recorded lines: what is listed is there, sounds like a phone, and is new to the server.

A demo in which the caller says what the server was built from would prove nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import mulaw
from voicebot.audio.engines.phrases import expand, normalise, read_phrases
from voicebot.core.documents import parse_yaml
from voicebot.dialogue.patterns import expand as expand_pattern
from voicebot.proof.simulation.clips import read_wav
from voicebot.proof.simulation.script import load_lines, read_script

ROOT = Path(__file__).resolve().parent.parent.parent
LINES = ROOT / "recordings" / "lines"
SCRIPTS = sorted((ROOT / "recordings" / "scripts").glob("demo*.yaml"))
OTHERS = sorted(set((ROOT / "recordings" / "scripts").glob("*.yaml")) - set(SCRIPTS))
ENTRIES = parse_yaml((LINES / "lines.yaml").read_text())

# Said in one way only, by everybody.
LISTENING = {"uh_huh", "mm_hm", "yeah", "okay", "right", "i_see"}
UNIVERSAL = {"affirm", "deny", "interrupt_stop", "hold_on", "excuse_me"} | LISTENING


def _name(entry: dict) -> str:
    return f"{entry['voice']}/{entry['name']}"


def test_what_is_listed_is_there_and_nothing_else() -> None:
    files = {str(path.relative_to(LINES).with_suffix("")) for path in LINES.glob("*/*.wav")}

    assert files == {_name(entry) for entry in ENTRIES}


def test_lines_come_from_the_texts_beside_them() -> None:
    texts = parse_yaml((LINES / "texts.yaml").read_text())["lines"]
    said = {
        f"{voice}/{name}": " ".join(text.replace("|", " ").split())
        for voice, lines in texts.items()
        for name, text in lines.items()
    }

    assert said == {_name(entry): entry["text"] for entry in ENTRIES if entry["text"]}


@pytest.mark.parametrize("entry", ENTRIES, ids=_name)
def test_a_line_is_telephone_audio_at_the_common_level(entry: dict) -> None:
    data = (LINES / entry["voice"] / f"{entry['name']}.wav").read_bytes()
    ulaw = read_wav(data)
    power = np.mean((mulaw.decode(ulaw)[: len(ulaw) // 160 * 160].reshape(-1, 160) / 32768.0) ** 2, axis=1)
    voiced = power[power > power.max() * 1e-3]

    assert data[20:22] == b"\x07\x00", "format 7 is mu-law"
    assert len(ulaw) / 8000 == pytest.approx(entry["seconds"], abs=0.01)
    assert 10 * np.log10(voiced.mean()) == pytest.approx(-20, abs=2)


def test_all_lines_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in LINES.glob("*/*.wav")) < 3_000_000


def test_the_server_was_built_from_none_of_them() -> None:
    intents = parse_yaml((ROOT / "business" / "intents.yaml").read_text())["intents"]
    known = set(expand(read_phrases(ROOT / "business" / "phrases.yaml"), limit=10**9))
    known |= {
        normalise(sentence)
        for intent in intents.values()
        for example in intent["examples"]
        for sentence in expand_pattern(example)
    }
    assert normalise("When are you open?") in known, "the near miss: this one it was built from"

    new = [e for e in ENTRIES if e["text"] and e["name"] not in UNIVERSAL]
    assert [_name(e) for e in new if normalise(e["text"]) in known] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_its_lines_and_asks_for_everything_the_demo_shows(path: Path) -> None:
    script = read_script(path)
    wishes = {step.name for step in script.steps}

    assert set(load_lines(LINES, script)) == set(script.line_names)
    assert {"opening hours", "order status", "an answer interrupted", "a person"} <= wishes
    assert {"returns", "returns_b", "interrupt_returns"} & {one.split("/")[-1] for one in script.line_names}
    assert len(script.steps) >= 5


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_every_party_of_a_script_has_its_lines(path: Path) -> None:
    script = read_script(path)

    for party in (script, *script.agents):
        assert set(load_lines(LINES, party)) == set(party.line_names)


def test_the_demo_callers_differ_in_voice_order_and_pace() -> None:
    scripts = [read_script(path) for path in SCRIPTS]

    assert len({script.voice for script in scripts}) == len(scripts) >= 3
    assert len({tuple(step.name for step in script.steps) for script in scripts}) == len(scripts)
    assert len({(script.silence_ms, script.pause_ms) for script in scripts}) == len(scripts)
