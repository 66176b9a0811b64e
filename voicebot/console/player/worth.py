"""Why a call is worth listening to, in words; when each holds says `core.store.recordings.WORTH`."""

from __future__ import annotations

from typing import Literal, get_args

Reason = Literal[
    "missed_person",
    "disagreed",
    "wrong",
    "low_rating",
    "cut_off",
    "slow",
    "nobody_came",
    "asked_again",
    "left",
    "no_answer",
]
"""In the order in which they are told."""

REASONS: tuple[Reason, ...] = get_args(Reason)

WORDS: dict[Reason, str] = {
    "missed_person": "a person may have been needed and was not offered",
    "disagreed": "an agent says that no person was needed",
    "wrong": "an agent noted a wrong answer or a misunderstanding",
    "low_rating": "the caller was not content",
    "cut_off": "the caller may have been cut off",
    "slow": "a long wait for an answer",
    "nobody_came": "a person was asked for and nobody came",
    "asked_again": "the same person asked the same again",
    "left": "the caller gave up",
    "no_answer": "no article had an answer, more than once",
}
