"""The shipped golden set covers the deployment, is unlike what its monitor learnt from, and passes whole."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from voicebot.core.documents import parse_yaml
from voicebot.core.settings import Settings
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.monitor.features import words_of
from voicebot.dialogue.patterns import expand
from voicebot.proof.evals.conversation import Expect
from voicebot.proof.evals.reading import GoldenSet, held
from voicebot.proof.evals.runner import run_set
from voicebot.proof.evals.show import show_conversation

ROOT = Path(__file__).resolve().parents[2]
BUSINESS = ROOT / "business"
SHORT = 3
"""Words up to which a caller's turn may stand among the examples ("yes", "a person please")."""


def expectations(golden: GoldenSet) -> list[Expect]:
    return [t.expect for g in golden.conversations for t in g.conversation.turns if t.expect is not None]


def test_every_intent_category_and_tier_is_expected_somewhere(
    golden: GoldenSet, deployment: Deployment
) -> None:
    made = expectations(golden)
    intents = {name for expect in made for name in expect.intent or ()}
    content = {name for name in deployment.intents.names if deployment.intents.is_content(name)}
    assert content - intents == set()
    assert set(deployment.intents.categories) - {c for e in made for c in e.category or ()} == set()
    assert {tier for expect in made for tier in expect.tier or ()} == {0, 1, 2, 3}


def test_expectations_name_what_exists(golden: GoldenSet, deployment: Deployment) -> None:
    """A renamed intent or article is not silently expected for ever."""
    articles = {article.id for article in deployment.articles}
    intents = {*deployment.intents.names, "unknown"}
    for expect in expectations(golden):
        assert set(expect.intent or ()) <= intents
        assert set(expect.category or ()) <= set(deployment.intents.categories)
        if expect.sources is not None and expect.sources != "none":
            for name in (*(expect.sources.any_of or ()), *(expect.sources.only or ())):
                assert "*" in name or name in articles, name


def test_callers_say_what_no_example_says(golden: GoldenSet) -> None:
    """The classifier is never scored on a sentence that it learnt."""
    document = parse_yaml((BUSINESS / "intents.yaml").read_text())
    patterns = [p for intent in document["intents"].values() for p in intent["examples"]]
    learnt = {tuple(words_of(text)) for p in [*patterns, *document["out_of_scope"]] for text in expand(p)}
    said = [
        turn.caller
        for g in golden.conversations
        for _, made in held(g)
        for turn in made.turns
        if turn.caller is not None and len(words_of(turn.caller)) > SHORT
    ]
    assert [text for text in said if tuple(words_of(text)) in learnt] == []


@pytest.mark.timeout(400)  # five hundred conversations: 20 s on a quiet machine
async def test_the_bot_does_what_it_must(golden: GoldenSet, shop_url: str, deployment: Deployment) -> None:
    """Every conversation, with the built-in writer; `voicebot eval golden` shows the same for people."""
    settings = Settings.model_construct()
    run = await run_set(golden, url=shop_url, deployment=deployment, settings=settings)
    told = io.StringIO()
    for each in run.held:
        show_conversation(each, Console(file=told, width=200))
    assert run.record.ok, told.getvalue()
