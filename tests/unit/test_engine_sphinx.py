"""PocketSphinx hears recorded callers through mu-law: what was asked decides how it listens.

The lines are the synthetic callers of ``recordings/lines``; nothing here is a claim about people.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import mulaw
from voicebot.audio.engines.sphinx import LINES_KEPT, TELEPHONE_MEAN, LineMeans, SphinxEngine
from voicebot.audio.engines.types import Transcript
from voicebot.core.conversation import FREE, Expects

ROOT = Path(__file__).resolve().parents[2]
SIX = Expects(kind="digits", length=6)
FIVE = Expects(kind="digits", length=5)


@pytest.fixture(scope="module")
def engine() -> Iterator[SphinxEngine]:
    made = SphinxEngine(ROOT / "business" / "phrases.yaml")
    yield made
    made.close()


def line(name: str) -> bytes:
    """PCM16 of a mu-law WAV file, which ``wave`` cannot read."""
    raw = (ROOT / "recordings" / "lines" / f"{name}.wav").read_bytes()
    at = raw.index(b"data")
    size = int.from_bytes(raw[at + 4 : at + 8], "little")
    return mulaw.decode(raw[at + 8 : at + 8 + size]).tobytes()


def hear(
    engine: SphinxEngine, pcm: bytes, expects: Expects, call: str = ""
) -> tuple[Transcript, list[Transcript]]:
    decoding = engine.open(expects, call)
    partials = [decoding.feed(pcm[at : at + 1600]) for at in range(0, len(pcm), 1600)]
    final = decoding.finish()
    decoding.close()
    return final, [p for p in partials if p is not None]


@pytest.mark.parametrize(
    ("name", "expects", "digits"),
    [
        ("awb/order_518264", SIX, "five one eight two six four"),
        ("kal16/order_951738", SIX, "nine five one seven three eight"),
        ("awb/postcode_60614", FIVE, "six zero six one four"),
        ("kal16/postcode_98109", FIVE, "nine eight one zero nine"),
    ],
)
def test_digits_that_were_asked_for_are_heard_as_words(
    engine: SphinxEngine, name: str, expects: Expects, digits: str
):
    final, partials = hear(engine, line(name), expects)
    assert final.text == digits
    assert len(partials) >= 3
    assert not any(p.final for p in partials)


def test_free_speech_has_confidence_other_readings_and_word_times(engine: SphinxEngine):
    final, _ = hear(engine, line("kal16/opening_hours"), FREE)
    assert "opening times" in final.text
    assert final.confidence is not None
    assert 0.5 < final.confidence <= 1.0
    assert final.alternatives
    assert final.text not in final.alternatives
    assert [w.text for w in final.words] == final.text.split()
    assert all(0 <= w.start_ms < w.end_ms <= final.audio_ms for w in final.words)
    assert [w.start_ms for w in final.words] == sorted(w.start_ms for w in final.words)


def test_where_nothing_was_heard_nothing_is_made_up(engine: SphinxEngine):
    final, _ = hear(engine, bytes(16000), FREE)
    assert (final.text, final.words, final.alternatives, final.confidence) == ("", (), (), None)


def test_what_one_caller_says_does_not_depend_on_who_spoke_before():
    pcm = line("kal16/opening_hours_b")
    alone = SphinxEngine(ROOT / "business" / "phrases.yaml", places=1)
    shared = SphinxEngine(ROOT / "business" / "phrases.yaml", places=1)
    faint = (np.frombuffer(line("awb/where_is_order"), np.int16) // 20).tobytes()
    hear(shared, faint, FREE, "CA1")
    hear(shared, line("awb/order_518264"), SIX, "CA2")
    assert hear(shared, pcm, FREE, "CA3") == hear(alone, pcm, FREE, "CA3")
    alone.close()
    shared.close()


def test_a_line_is_remembered_within_its_call_and_a_bounded_number_of_them():
    lines = LineMeans()
    assert lines.of("CA1") == TELEPHONE_MEAN
    for nth in range(LINES_KEPT + 1):
        lines.learn(f"CA{nth}", str(nth))
    lines.learn("", "nobody's")
    assert lines.of("CA0") == lines.of("") == TELEPHONE_MEAN
    assert lines.of(f"CA{LINES_KEPT}") == str(LINES_KEPT)


def test_a_peek_changes_nothing(engine: SphinxEngine):
    pcm = line("kal16/order_951738")
    decoding = engine.open(SIX)
    for at in range(0, len(pcm), 1600):
        decoding.feed(pcm[at : at + 1600])
        decoding.peek()
    peeked, final = decoding.peek(), decoding.finish()
    decoding.close()
    assert peeked.text == final.text == "nine five one seven three eight"
    assert final.audio_ms == len(pcm) // 16
