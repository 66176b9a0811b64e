"""A caller's script is read strictly: every mistake is named, and the shipped scripts can be played."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from voicebot.proof.ears.recogniser import normal, unknown_words
from voicebot.proof.simulation.script import AgentScript, CallScript, ScriptError, load_lines, read_script

ROOT = Path(__file__).parents[2]
GOOD = "voice: rms\nsteps:\n  - say: opening_hours\n    until: we are open\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "script.yaml"
    path.write_text(text)
    return path


def test_one_phrase_may_stand_for_a_list(tmp_path):
    script = read_script(write(tmp_path, GOOD))
    assert script.steps[0].say == ("opening_hours",)
    assert script.cues == ("we are open",)
    assert script.line_names == ("opening_hours",)


MISTAKES = {
    "unknown key": (GOOD + "speed: 2\n", "speed"),
    "unknown key in a step": (GOOD + "    often: 2\n", "steps.0.often"),
    "no steps": ("voice: rms\nsteps: []\n", "steps"),
    "a step that does nothing": ("voice: rms\nsteps:\n  - until: x\n", "exactly one of say, press"),
    "a step that does two things": (
        'voice: rms\nsteps:\n  - say: a\n    press: "1"\n',
        "exactly one of say, press",
    ),
    "a rule without an answer": (GOOD + "answers:\n  - when: x\n", "exactly one of say, press"),
    "a rule without a cue": (GOOD + "answers:\n  - when: []\n    say: a\n", "answers.0.when"),
    "keys that no phone has": (GOOD + '  - press: "12a"\n', "steps.1.press"),
    "keys that are a number": (GOOD + "  - press: 12\n", "steps.1.press"),
    "an interruption of nothing": (
        "voice: rms\nsteps:\n  - wait_s: 2.0\n    interrupt: {after_s: 1.0, say: a}\n",
        "answer to interrupt",
    ),
    "no yaml": ("voice: [", "no YAML"),
    "no mapping": ("hello", "no caller's script"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_named(tmp_path, case):
    text, named = MISTAKES[case]
    with pytest.raises(ScriptError, match=re.escape(named)):
        read_script(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ScriptError, match=r"nothing\.yaml"):
        read_script(tmp_path / "nothing.yaml")


def test_a_missing_line_names_those_that_exist():
    script = CallScript.model_validate({"voice": "rms", "steps": [{"say": "sing"}]})
    with pytest.raises(ScriptError, match=r"no line 'sing' in voice 'rms'; there are .*opening_hours"):
        load_lines(ROOT / "recordings" / "lines", script)


def test_a_missing_voice_names_those_that_exist():
    script = CallScript.model_validate({"voice": "nobody", "steps": [{"say": "sing"}]})
    with pytest.raises(ScriptError, match=r"voice 'nobody'; there are .*rms"):
        load_lines(ROOT / "recordings" / "lines", script)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "recordings" / "scripts").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_shipped_scripts_have_their_lines_and_listen_for_words_that_exist(path):
    script = read_script(path)
    lines = load_lines(ROOT / "recordings" / "lines", script)
    assert all(line.text and len(line.ulaw) > 1600 for line in lines.values())
    assert unknown_words(script.cues) == set()


def test_every_example_in_the_document_is_a_script():
    """docs/local-twilio.md cannot go stale."""
    text = (ROOT / "docs" / "local-twilio.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert examples
    for example in examples:
        script = CallScript.model_validate(yaml.safe_load(example))
        for party in (script, *script.agents):
            assert unknown_words(party.cues) == set()
            load_lines(ROOT / "recordings" / "lines", party)


@pytest.mark.parametrize(
    ("agent", "why"),
    [
        ({"does": "busy", "steps": [{"press": "1"}]}, "takes no steps"),
        ({"steps": [{"say": "desk_hello"}]}, "needs a voice"),
        ({"number": "030 1234"}, "pattern"),
        ({"steps": [{"wait_s": 1.0, "at_once": True}]}, "without waiting"),
        ({"does": "sleep"}, "busy"),
    ],
)
def test_agents_that_make_no_sense(agent, why):
    with pytest.raises(ValidationError, match=why):
        CallScript.model_validate({"voice": "slt", "steps": [{"hang_up": True}], "agents": [agent]})


def test_an_agent_listens_for_what_it_must_be_told():
    agent = AgentScript.model_validate(
        {"told": "press one", "steps": [{"wait_s": 5.0, "until": "take the call"}]}
    )
    assert agent.cues == ("take the call", "press one")
    assert agent.label == "agent"


def test_cues_are_compared_as_words():
    assert normal("  What is your Order-Number? It's 6! ") == "what is your order number it's"
    assert unknown_words(["order number", "xyzzyq"]) == {"xyzzyq"}


def test_a_line_may_be_somebody_elses() -> None:
    script = CallScript.model_validate(
        {"voice": "rms", "steps": [{"say": ["returns", "en-us/returns"]}, {"say": "nobody/returns"}]}
    )
    folder = ROOT / "recordings" / "lines"
    with pytest.raises(ScriptError, match=r"voice 'nobody'; there are .*rms"):
        load_lines(folder, script)
    both = script.model_copy(update={"steps": script.steps[:1]})
    own, other = (load_lines(folder, both)[name] for name in ("returns", "en-us/returns"))
    assert own.ulaw != other.ulaw
    assert (own.text, other.text) == (
        "And how long do I have to send something back?",
        "What is the return policy?",
    )
