"""PocketSphinx's decoders: every question opens one, a place is taken once and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from voicebot.audio.engines.grammar import all_grammars
from voicebot.audio.engines.sphinx import SphinxEngine
from voicebot.audio.engines.work import PlacesTaken
from voicebot.core.conversation import FREE, Expects

QUESTIONS = (
    FREE,
    *(Expects.model_validate({"kind": kind}) for kind in ("name", "yes_no", "date", "digits")),
    *(Expects(kind="digits", length=length) for length in (1, 5, 6)),
)


@pytest.fixture(scope="module")
def engine() -> Iterator[SphinxEngine]:
    made = SphinxEngine(None, places=1)
    yield made
    made.close()


@pytest.mark.parametrize("expects", QUESTIONS, ids=lambda e: f"{e.kind} {e.length or ''}".strip())
def test_every_question_takes_a_place_and_gives_it_back(engine: SphinxEngine, expects: Expects) -> None:
    decoding = engine.open(expects)
    with pytest.raises(PlacesTaken):
        engine.open(expects)
    decoding.feed(bytes(3200))
    decoding.peek()
    assert decoding.finish().final
    decoding.close()
    engine.open(expects).close()


def test_every_word_of_the_grammars_can_be_heard(engine: SphinxEngine) -> None:
    words = {word for grammar in all_grammars() for word in grammar.words()}
    assert not {note.rpartition(" ")[2] for note in engine.notes} & words
