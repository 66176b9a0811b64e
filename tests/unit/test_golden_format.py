"""Golden files are read strictly: what is wrong is refused, with its file, line and conversation."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from voicebot.proof.evals.reading import GoldenError, held, read_set

RULES = "today: 2026-11-18\nmost_words: 60\n"
GOOD = """\
about: "Hours"
tags: [store]
conversations:
  - name: hours
    tags: [happy]
    turns:
      - caller: "when do you close"
        expect: {intent: opening_hours, says: ["eight", ["in the evening", "tonight"]]}
      - keys: "0"
"""


def read(tmp_path: Path, text: str, rules: str = RULES):
    (tmp_path / "set.yaml").write_text(rules)
    (tmp_path / "a.yaml").write_text(text)
    return read_set(tmp_path)


def test_a_file_is_read_with_the_line_of_every_turn(tmp_path: Path) -> None:
    (golden,) = read(tmp_path, GOOD).conversations
    assert (golden.file, golden.lines, golden.tags) == ("a.yaml", (7, 9), ("store", "happy"))
    expect = golden.conversation.turns[0].expect
    assert expect is not None
    assert expect.says == (("eight",), ("in the evening", "tonight"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("intent: opening_hours", "intnt: opening_hours", "a.yaml:8: conversation hours, turn 1: intnt is no "
         "key here; did you mean intent?"),
        ("intent: opening_hours", "intent: yes", "write it in quotes"),
        ("intent: opening_hours", "tier: 4", "a.yaml:8: conversation hours, turn 1: expect.tier: Input"),
        ("intent: opening_hours", "expects: digit", "a.yaml:8"),
        ("intent: opening_hours", 'never_says: ["/(/"]', "/(/ is no regular expression"),
        ("intent: opening_hours", "intent: a, intent: b", "a.yaml:8: intent stands here twice"),
        ("intent: opening_hours", "sources: {}", "needs any_of or only"),
        ('["eight"', '["!"', "holds no word"),
        ('- keys: "0"', '- keys: "zero"', "a.yaml:9: conversation hours, turn 2: keys"),
        ('- keys: "0"', '- keys: "0"\n        caller: "hi"', "a turn needs exactly one of caller, keys"),
        ('- keys: "0"', "- heard: 3", "conversation hours, turn 2: turns.1: a turn needs exactly one"),
        ('- keys: "0"', "- not_heard: deaf", "a.yaml:9: conversation hours, turn 2: not_heard"),
        ('- keys: "0"', '- keys: "0"\n        times: 3', "only a turn with `caller` has"),
        ("name: hours", "name: Hours of the day", "lower-case words joined by hyphens"),
        ("    tags: [happy]\n", "    ways: [a, b]\n", "exactly one turn says"),
        ('caller: "when do you close"', "caller: '{way}'", "has no `ways`"),
        ("    turns:\n", "    turn:\n", "turn is no key here; did you mean turns?"),
        ("about: \"Hours\"\n", "", "a.yaml:1: about is missing"),
        (GOOD, "", "a.yaml:1: the file is empty"),
        (GOOD, "conversations: [", "a.yaml:1: is no YAML"),
        ("tags: [store]", "1: [store]", "the key 1 is no word"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(GoldenError) as refused:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert says in str(refused.value)


def test_every_wrong_place_of_every_file_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(GOOD.replace("hours\n", "other\n").replace('"0"', '"x"'))
    with pytest.raises(GoldenError) as refused:
        read(tmp_path, GOOD.replace("intent:", "intents:").replace('"0"', '"y"'), rules="today: 2026-11-18\n")
    told = str(refused.value).splitlines()
    assert len(told) == 4
    assert [line.rsplit("/", 1)[1].split(" ")[0] for line in told] == [
        "set.yaml:1:", "a.yaml:8:", "a.yaml:9:", "b.yaml:9:"
    ]  # fmt: skip


def test_a_name_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(GOOD)
    with pytest.raises(GoldenError, match=r"the name hours is taken, see a\.yaml:7"):
        read(tmp_path, GOOD)


@pytest.mark.parametrize("missing", ["set.yaml", "a.yaml"])
def test_a_folder_without_rules_or_conversations_is_refused(tmp_path: Path, missing: str) -> None:
    for name, text in (("set.yaml", RULES), ("a.yaml", GOOD)):
        if name != missing:
            (tmp_path / name).write_text(text)
    with pytest.raises(GoldenError, match=r"set\.yaml is missing|holds no conversations"):
        read_set(tmp_path)


def test_each_way_of_saying_it_is_a_conversation_of_its_own(tmp_path: Path) -> None:
    text = GOOD.replace("when do you close", "{way}").replace("    tags: [happy]\n", '    ways: ["a", ""]\n')
    (golden,) = read(tmp_path, text).conversations
    assert [(name, made.turns[0].caller) for name, made in held(golden)] == [
        ("hours/1", "a"),
        ("hours/2", ""),
    ]


def test_a_way_may_be_known_to_differ_but_not_where_callers_are_guarded(tmp_path: Path) -> None:
    ways = '    ways: [a, {say: b, known: "too odd"}]\n'
    text = GOOD.replace("when do you close", "{way}").replace("    tags: [happy]\n", ways)
    (golden,) = read(tmp_path, text).conversations
    assert [(made.turns[0].caller, made.known) for _, made in held(golden)] == [("a", None), ("b", "too odd")]
    with pytest.raises(GoldenError, match=r"a\.yaml:7: conversation hours: `known` is not for .* tag gate"):
        read(tmp_path, text.replace("tags: [store]", "tags: [store, gate]"))


def test_the_documents_example_is_of_the_format(tmp_path: Path) -> None:
    docs = (Path(__file__).resolve().parents[2] / "docs" / "golden.md").read_text(encoding="utf-8")
    (golden,) = read(tmp_path, docs.split("```yaml\n")[1].split("```")[0]).conversations
    assert len(golden.conversation.turns) == 3


@pytest.mark.parametrize("name", ["words", "compare", "facts"])
def test_docstring_examples_are_true(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"voicebot.proof.evals.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
