"""The monitor's model is as good as its card says on phrasings it was not made from, and reads any text."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from deployment_kit import REFERENCE

from voicebot.core.conversation import Urgency
from voicebot.core.documents import parse_yaml
from voicebot.dialogue.intents import STEERING, IntentCatalog
from voicebot.dialogue.monitor.classifier import OUT_OF_SCOPE, IntentClassifier, ModelError
from voicebot.dialogue.monitor.features import features_of, words_of
from voicebot.dialogue.patterns import PatternError, expand

ROOT = Path(__file__).resolve().parent.parent.parent
BUSINESS, MODELS = ROOT / "business", ROOT / "models"
INTENTS = parse_yaml((BUSINESS / "intents.yaml").read_text())
TONE = parse_yaml((BUSINESS / "monitor.yaml").read_text())
HELDOUT = parse_yaml((BUSINESS / "intents_heldout.yaml").read_text())["heldout"]
TONE_HELDOUT = parse_yaml((BUSINESS / "monitor_heldout.yaml").read_text())
MODEL = IntentClassifier.load(MODELS)
ROWS = [(line, intent) for intent, lines in HELDOUT.items() for line in lines]
DESPAIR = {"killing_myself"}
"""Lines of recorded callers that are to be taken for danger."""
FILES = ("monitor.json", "monitor.npz", "monitor_words.npz")

ODD = [
    "",
    "   ",
    "?!",
    "\x00\x01\x02\xff",
    "\ud800 half a character",
    "日本語でお願いします",
    "où est ma commande s'il vous plaît",
    "wo ist meine bestellung bitte",
    "مرحبا أين طلبي",
    "где мой заказ",
    "🛋️🔥🔥🔥",
    "x" * 100_000,
    "where is my order " * 20_000,
    "and then " * 5_000,
    "1 2 3 4 5 6 7 8 9 0",
    "'; DROP TABLE orders; --",
    "\u202e\u200b\ufeff",
]


def sentences(node: object) -> list[str]:
    """All lines of a file of examples or phrasings."""
    if isinstance(node, dict):
        return [line for part in node.values() for line in sentences(part)]
    return [line for part in node for line in sentences(part)] if isinstance(node, list) else [str(node)]


def test_no_phrasing_it_is_scored_on_was_used_to_make_it() -> None:
    """Held-out lines stand in no example and in no pattern."""
    examples = [intent["examples"] for intent in INTENTS["intents"].values()]
    tone = [TONE[part] for part in ("sentiment", "urgency", "distress", "not_distress", "everyday")]
    patterns = sentences([*examples, INTENTS["out_of_scope"], *tone])
    made_from = {tuple(words_of(s)) for example in patterns for s in expand(example)}
    lines = sentences([HELDOUT, TONE_HELDOUT])
    assert len(lines) > 350
    assert [line for line in lines if tuple(words_of(line)) in made_from] == []


def test_every_intent_is_scored() -> None:
    """What nobody measures gets worse unseen."""
    assert set(HELDOUT) == {*INTENTS["intents"], OUT_OF_SCOPE}


def test_it_is_right_more_often_than_not_and_much_more_when_it_is_sure() -> None:
    """Floors a little under the card's figures; 0.70 is the policy's threshold for acting."""
    guesses = [(MODEL.guesses(line)[0], intent) for line, intent in ROWS]
    right = sum(guess.intent == intent for guess, intent in guesses)
    sure = [(guess, intent) for guess, intent in guesses if guess.probability >= 0.70]
    assert len(ROWS) >= 250
    assert right / len(ROWS) >= 0.55
    assert sum(guess.intent == intent for guess, intent in sure) / len(sure) >= 0.78
    assert len(sure) / len(ROWS) >= 0.30


def test_what_it_says_of_its_certainty_comes_true() -> None:
    """Of guesses said to be right with p, about p are: within a tenth, in three bands."""
    rows = [
        (guess.probability, guess.intent == intent)
        for line, intent in ROWS
        for guess in MODEL.guesses(line)[:1]
    ]
    for low, high in ((0.0, 0.4), (0.4, 0.7), (0.7, 1.01)):
        band = [(p, ok) for p, ok in rows if low <= p < high]
        assert abs(np.mean([p for p, _ in band]) - np.mean([ok for _, ok in band])) < 0.15, (low, high)


def test_what_nobody_here_can_help_with_is_not_taken_for_a_want() -> None:
    """Of out-of-scope phrasings at most a fifth passes for something sure; their score is higher."""
    lines = HELDOUT[OUT_OF_SCOPE]
    passed = [
        line
        for line in lines
        if (guess := MODEL.guesses(line)[0]).intent != OUT_OF_SCOPE and guess.probability >= 0.70
    ]
    assert len(passed) <= len(lines) / 5, passed
    outside = np.mean([MODEL.verdict(line).out_of_scope for line in lines])
    inside = np.mean([MODEL.verdict(line).out_of_scope for line, intent in ROWS if intent != OUT_OF_SCOPE])
    assert outside > 2 * inside


def test_distress_is_heard_and_near_misses_are_not() -> None:
    """Recall first: most callers in distress are found, of sentences that only sound like it most are not."""
    at = MODEL.card.distress_at
    danger = [MODEL.verdict(line).distress for line in [*TONE_HELDOUT["distress"], *HELDOUT["distress"]]]
    near = [MODEL.verdict(line).distress for line in TONE_HELDOUT["not_distress"]]
    others = [MODEL.verdict(line).distress for line, intent in ROWS if intent != "distress"]
    assert np.mean([p >= at for p in danger]) >= 0.75
    assert np.mean([p >= at for p in near]) <= 0.4
    assert np.mean([p >= at for p in others]) <= 0.06


@pytest.mark.parametrize(
    ("text", "danger"),
    [
        ("i want to kill myself", True),
        ("please call an ambulance my son is not breathing", True),
        ("the wardrobe fell on my daughter and she is bleeding", True),
        ("he has a knife and he wants to hurt me", True),
        ("the lamp is on fire", True),
        ("i can't go on i want to die", True),
        ("this is killing me the queue i mean", False),
        ("my sofa died after three years", False),
        ("i would die for that lamp", False),
        ("can you shoot me an email", False),
        ("is the mattress fire resistant", False),
        ("the leg of the table is broken", False),
        ("i want to kill my membership", False),
        ("i nearly died when i saw the price", False),
        ("help me please with my order", False),
        ("where is my order", False),
        ("i want to cancel my order", False),
    ],
)
def test_danger_and_its_near_misses(text: str, danger: bool) -> None:
    """Danger makes the turn critical; what only sounds like it never does."""
    verdict = MODEL.verdict(text)
    assert (verdict.distress >= MODEL.card.distress_at) is danger, verdict.distress
    assert (verdict.urgency is Urgency.CRITICAL) is danger


def test_plain_words_are_never_taken_for_danger() -> None:
    """What callers say every day: one sentence of every example, and the lines of the recorded callers."""
    at = MODEL.card.distress_at
    recorded = parse_yaml((ROOT / "recordings" / "lines" / "texts.yaml").read_text())["lines"]
    callers = [
        text
        for texts in recorded.values()
        for key, text in texts.items()
        if not key.startswith("desk_") and key not in DESPAIR
    ]
    lines = [text.replace("|", " ") for text in callers]
    lines += [
        expand(example)[0]
        for name, intent in INTENTS["intents"].items()
        if name != "distress"
        for example in intent["examples"]
    ]
    assert [line for line in lines if MODEL.verdict(line).distress >= at] == []


@pytest.mark.parametrize(
    "line",
    [
        "I was born on the third of March and live at 14 Elm Street",
        "I was born in 1985",
        "my post code is 30309 and I live in Atlanta",
        "the name is Slaughter, Jane Slaughter",
        "I live on the third floor and have no elevator",
        "I waited all day and nobody showed up",
    ],
)
def test_who_callers_are_is_no_danger(line: str) -> None:
    """Answers to the gate's questions, and an ordinary bad day."""
    assert MODEL.verdict(line).distress < MODEL.card.distress_at


def test_mood_and_hurry_are_heard() -> None:
    """The held-out sentences of each mood lie in their order; hurry is found and not invented."""
    mood = {
        label: np.mean([MODEL.verdict(t).sentiment for t in lines])
        for label, lines in TONE_HELDOUT["sentiment"].items()
    }
    assert max(mood["angry"], mood["unhappy"]) < mood["neutral"] < mood["pleased"]
    assert mood["pleased"] - mood["angry"] > 0.35
    hurry = {
        label: np.mean([MODEL.verdict(t).urgency in (Urgency.HIGH, Urgency.CRITICAL) for t in lines])
        for label, lines in TONE_HELDOUT["urgency"].items()
    }
    assert min(hurry["high"], hurry["critical"]) >= 0.7
    assert max(hurry["low"], hurry["normal"]) <= 0.35


def test_the_category_is_of_all_likely_intents_together() -> None:
    """Unsure between two intents of one category, it is sure of the category."""
    verdict = MODEL.verdict("my delivery")
    assert verdict.category in set(MODEL.categories.values())
    assert MODEL.verdict("where is my order").category == "orders"
    assert MODEL.verdict("what is the capital of peru").category == "general"


def test_capitals_and_punctuation_change_nothing() -> None:
    """What one recogniser writes "Where's my order?" another writes "where is my order"."""
    assert MODEL.verdict("Where's my order?!") == MODEL.verdict("where is my order")


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_any_text_is_read(text: str) -> None:
    """Empty, foreign, binary, enormous: an answer, probabilities, a sum of one."""
    verdict = MODEL.verdict(text)
    assert sum(guess.probability for guess in verdict.guesses) == pytest.approx(1, abs=1e-3)
    assert 0 <= verdict.distress <= 1
    assert 0 <= verdict.out_of_scope <= 1
    assert -1 <= verdict.sentiment <= 1
    assert verdict.guesses == MODEL.guesses(text)


def test_text_of_which_no_word_is_known_is_out_of_scope() -> None:
    """Nothing is guessed from nothing."""
    for text in ("", "?!", "日本語", "\x00\x01"):
        verdict = MODEL.verdict(text)
        assert (verdict.guesses[0].intent, verdict.out_of_scope, verdict.distress) == (OUT_OF_SCOPE, 1.0, 0.0)


def test_a_turn_takes_under_five_milliseconds() -> None:
    """Median over the held-out phrasings, in this thread's time, so that a busy machine does not decide."""
    spent = []
    for line, _ in ROWS:
        started = time.thread_time()
        MODEL.verdict(line)
        spent.append(time.thread_time() - started)
    assert sorted(spent)[len(spent) // 2] < 0.005


def test_the_model_stays_small() -> None:
    """It lies in the repository and in every process."""
    assert sum((MODELS / name).stat().st_size for name in FILES) < 2_000_000


def test_a_missing_or_foreign_model_says_what_to_run(tmp_path: Path) -> None:
    """No weights, weights of another format, a spoilt array: the script's name is in the message."""
    with pytest.raises(ModelError, match="train_monitor"):
        IntentClassifier.load(tmp_path)
    for name in FILES:
        shutil.copy(MODELS / name, tmp_path / name)
    version = IntentClassifier.load(tmp_path).version
    assert version == MODEL.version
    card = json.loads((tmp_path / "monitor.json").read_text())
    fewer = {**card, "labels": card["labels"][1:], "categories": dict(card["categories"])}
    (tmp_path / "monitor.json").write_text(json.dumps(fewer))
    with pytest.raises(ModelError, match="cannot be read"):
        IntentClassifier.load(tmp_path)
    del fewer["categories"][card["labels"][0]]
    (tmp_path / "monitor.json").write_text(json.dumps(fewer))
    with pytest.raises(ModelError, match="weights are"):
        IntentClassifier.load(tmp_path)
    (tmp_path / "monitor.json").write_text(json.dumps({**card, "temperature": 1.0}))
    assert IntentClassifier.load(tmp_path).version != version
    (tmp_path / "monitor.json").write_text('{"format": 99}')
    with pytest.raises(ModelError, match="99"):
        IntentClassifier.load(tmp_path)
    (tmp_path / "monitor.json").write_text(json.dumps(card))
    shutil.copy(tmp_path / "monitor_words.npz", tmp_path / "kept")
    with np.load(tmp_path / "kept") as arrays:
        np.savez_compressed(tmp_path / "monitor_words.npz", **{**arrays, "scale": arrays["scale"] * 2})
    with pytest.raises(ModelError, match=r"another monitor_words.npz: run scripts/train_monitor.py"):
        IntentClassifier.load(tmp_path)  # the same shape, other meanings
    shutil.move(tmp_path / "kept", tmp_path / "monitor_words.npz")
    (tmp_path / "monitor.npz").write_bytes(b"no arrays")
    with pytest.raises(ModelError, match="train_monitor"):
        IntentClassifier.load(tmp_path)


def test_numbers_are_one_token() -> None:
    """Which digits a caller says tells nothing about what they want."""
    assert list(features_of("order four two seven")) == list(features_of("order 918"))


@pytest.mark.parametrize(
    ("pattern", "sentences_"),
    [
        ("a (b|c) [d]", ["a b d", "a b", "a c d", "a c"]),
        ("(a|(b|c) d)", ["a", "b d", "c d"]),
        ("plain", ["plain"]),
        ("{x} end", ["one end", "two end"]),
    ],
)
def test_patterns_expand(pattern: str, sentences_: list[str]) -> None:
    """Groups, options, nesting, slots."""
    assert expand(pattern, {"x": ["one", "two"]}) == sentences_


@pytest.mark.parametrize("pattern", ["(a|b", "a)", "a|b", "[a", "(a]", "{nobody}"])
def test_broken_patterns_are_refused(pattern: str) -> None:
    """The message quotes the pattern."""
    with pytest.raises(PatternError, match="'"):
        expand(pattern)


def test_the_shipped_model_fits_the_shipped_intents() -> None:
    """Labels and categories are those of intents.yaml: who moves an intent trains again."""
    catalog = REFERENCE.intents
    assert set(MODEL.labels) == {*INTENTS["intents"], OUT_OF_SCOPE}
    assert dict(MODEL.categories) == {intent: catalog.category(intent) for intent in MODEL.labels}
    assert 10 <= len(catalog.categories) <= 14
    assert len(set(INTENTS["intents"]) - STEERING) >= 25


@pytest.mark.parametrize(
    ("category", "complaint"),
    [
        ({"a": {"title": "A", "intents": ["x"]}}, "without a category"),
        ({"a": {"title": "A", "intents": ["x", "out_of_scope", "nobody"]}}, "do not exist"),
        (
            {"a": {"title": "A", "intents": ["x", "out_of_scope"]}, "b": {"title": "B", "intents": ["x"]}},
            "in two categories",
        ),
    ],
)
def test_each_intent_stands_in_one_category(category: dict[str, object], complaint: str) -> None:
    """None, a stranger, twice: refused with the names."""
    document = {
        "categories": category,
        "intents": {"x": {"means": "x", "examples": ["a", "b", "c"]}},
        "out_of_scope": ["z"] * 10,
    }
    with pytest.raises(ValueError, match=complaint):
        IntentCatalog.model_validate_json(json.dumps(document))
