"""What the monitor is trained on beside the examples: sentences as a poor line leaves them, reproducibly."""

from __future__ import annotations

import random

from scripts import spoiling

SENTENCE = "could you please tell me where my order is because the delivery is very late"


def test_the_same_seed_spoils_the_same_way() -> None:
    """Training gives the same weights from the same files."""
    once, again = random.Random(3), random.Random(3)
    assert [spoiling.spoiled(SENTENCE, once) for _ in range(50)] == [
        spoiling.spoiled(SENTENCE, again) for _ in range(50)
    ]


def test_most_of_a_sentence_survives() -> None:
    """Spoiled, not replaced: at least half of the words are still there, and nothing is ever empty."""
    rng = random.Random(5)
    words = set(SENTENCE.split())
    for _ in range(300):
        left = spoiling.spoiled(SENTENCE, rng).split()
        assert len(words & set(left)) >= len(words) / 2, left
    for text in ("yes", "a", "where is it"):
        assert all(spoiling.spoiled(text, rng).strip() for _ in range(100))


def test_every_kind_of_fault_is_made() -> None:
    """Fillers, torn or joined words, words that sound alike."""
    rng = random.Random(7)
    made = " | ".join(spoiling.spoiled(SENTENCE, rng) for _ in range(400))
    assert " um " in made
    assert "odor" in made
    assert any(joined in made for joined in ("myorder", "orderis", "verylate", "tellme", "isvery"))


def test_what_sounds_alike_is_alike() -> None:
    """Voiced and voiceless consonants are one on a bad line; other words are not."""
    assert spoiling.sound_of("bear") == spoiling.sound_of("pair")
    assert spoiling.sound_of("bear") != spoiling.sound_of("desk")
