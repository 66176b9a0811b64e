"""Fits ``EndpointRules`` to turns: coordinate descent on factors, in steps of a logarithmic scale.

The cost of a rule is its mean delay and a price for each turn that it cuts off. The engine must also do its
best when a witness is missing (an engine is down, the words are late), so the same turns count again, with
less weight, without it.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scripts.turn_corpus import scoring
from scripts.turn_corpus.scoring import Turns
from voicebot.audio.hearing.completeness import Completeness
from voicebot.audio.hearing.endpointing import EndpointRules, silence_needed

STEPS = (0.7, 0.85, 0.93, 0.97, 1.03, 1.07, 1.18, 1.43)
SWEEPS = 40
PLACES, SEED = 6, 1

ORDERED = (
    (
        Completeness.ANSWERED,
        Completeness.WHOLE,
        Completeness.UNCLEAR,
        Completeness.OPENING,
        Completeness.LEANING,
        Completeness.OPEN,
    ),
    (Completeness.ANSWERED, Completeness.AGREED, Completeness.OPENING),
)
"""A less finished class never needs less silence than the one before it."""

PEOPLE = 0.25
"""Weight of people's numbers: as many as the synthetic ones have among the turns."""

DIGITS_OPEN_MS = (1700, 2400)
"""Digits are not cut in a pause of 1.5 s between groups; the listener may measure it 200 ms longer."""

LEAST_STEP = 1.2
"""From each class of sound to the next the silence grows at least so much. The pauses of a synthetic voice
carry little of what smart-turn hears in people (on these turns it is hardly better than chance), so how far
it is believed is not left to the fit."""

HELD_MS = 420
"""For the same reason: how long at least a whole sentence is waited for that sounds far from finished."""

OPENING_AT_MOST = 1.2
"""These turns have hardly a bare "hello" or unasked "no"; callers who say one wait for us."""

SILENCE_ALONE_MS = (800, 1200)
FACTORS = (0.15, 4.0)
PULL_MS = 2.0
"""How far a factor that hardly any turn speaks for is held back: by the square of its logarithm's change."""


START = EndpointRules(
    held=0,  # laid over the fit afterwards, else it would take the time back elsewhere
    silence_alone=800,
    sounds=((0.9, 0.5), (0.5, 0.6), (0.2, 0.8), (0.05, 1.0), (0.0, 1.2)),
    worth={
        Completeness.ANSWERED: 0.5,
        Completeness.COUNTED: 0.5,
        Completeness.AGREED: 0.6,
        Completeness.WHOLE: 0.8,
        Completeness.UNCLEAR: 1.0,
        Completeness.OPENING: 1.0,
        Completeness.OVER: 1.0,
        Completeness.NOTHING: 1.2,
        Completeness.LEANING: 1.3,
        Completeness.RUNNING: 1.6,
        Completeness.OPEN: 2.0,
        Completeness.MISSING: 2.5,
    },
    longest=2000,
    digits_open=1750,
)
"""Where the search begins, set by hand; a class that no turn speaks for stays there."""


@dataclass(frozen=True)
class Material:
    """Turns, with all witnesses and with one or two missing, and the weight of each."""

    parts: tuple[tuple[Turns, float], ...]


def material(entries: Sequence[dict[str, Any]], people: Sequence[dict[str, Any]] = ()) -> Material:
    """The turns of these entries, four times, and people's numbers, whose recogniser miscounts as real ones
    do.
    """
    parts = [
        (scoring.turns(entries), 1.0),
        (scoring.turns(entries, sound=False), 0.2),
        (scoring.turns(entries, words=False), 0.2),
        (scoring.turns(entries, words=False, sound=False), 0.1),
    ]
    if people:
        parts.append((scoring.turns(people), PEOPLE))
    return Material(tuple(parts))


def cost(found: Material, rules: EndpointRules, price_ms: float) -> float:
    """Mean delay and price of the cut-offs, ms a turn."""
    total = 0.0
    for turns, weight in found.parts:
        score = scoring.ours(turns, rules)
        total += weight * (score.mean_ms + price_ms * score.cut_share)
    return total


def fit(found: Material, price_ms: float, start: EndpointRules) -> EndpointRules:
    """The rules of least cost; a cut-off costs as much as ``price_ms`` of delay.

    Searched from ``start`` and from places around it, since a descent along one number at a time ends in the
    next hollow.
    """

    def value(rules: EndpointRules) -> float:
        pull = sum(math.log(rules.worth[c] / start.worth[c]) ** 2 for c in Completeness)
        pull += sum(math.log(a / b) ** 2 for (_, a), (_, b) in zip(rules.sounds, start.sounds, strict=True))
        return cost(found, rules, price_ms) + PULL_MS * pull

    rng = random.Random(SEED)
    places = [start]
    while len(places) < PLACES:
        worth = {c: f * math.exp(rng.gauss(0, 0.4)) for c, f in start.worth.items()}
        place = replace(start, worth=worth)
        if _allowed(place):
            places.append(place)
    return min((_descended(place, value) for place in places), key=value)


def _descended(start: EndpointRules, value: Callable[[EndpointRules], float]) -> EndpointRules:
    best, least = start, value(start)
    for _ in range(SWEEPS):
        before = least
        for change in _changes(best):
            for step in STEPS:
                tried = change(best, step)
                if tried == best or not _allowed(tried):
                    continue
                worth = value(tried)
                if worth < least - 1e-9:
                    best, least = tried, worth
        if before - least < 0.05:
            break
    return best


def with_likely(found: Material, rules: EndpointRules) -> EndpointRules:
    """The rules with the longest wait that still means an end in ``LIKELY`` of all pauses, taken when words
    are known.
    """
    turns = found.parts[0][0]
    at = (turns.begins <= LIKELY_AT_MS) & (turns.ends > LIKELY_AT_MS)
    bounds = [least for least, _ in rules.sounds]
    needed = scoring.needed(turns, scoring.table_of(rules, bounds), bounds)[at]
    reached = turns.length > LIKELY_AT_MS
    best = rules.shortest
    for below in range(rules.shortest, rules.silence_alone, 20):
        chosen = reached & (needed <= below)
        if chosen.any() and turns.last[chosen].mean() >= LIKELY:
            best = below
    return replace(rules, likely_below=best)


def rounded(rules: EndpointRules) -> EndpointRules:
    """As the rules are shipped: factors to two digits, silences to tens of ms."""
    return replace(
        rules,
        silence_alone=round(rules.silence_alone, -1),
        sounds=tuple((least, round(factor, 2)) for least, factor in rules.sounds),
        worth={c: round(rules.worth[c], 2) for c in Completeness},
        digits_open=round(rules.digits_open, -1),
        longest=round(rules.longest, -1),
    )


LIKELY = 0.86
LIKELY_AT_MS = 320
"""An end is called likely when it is one so often, at the silence when words and a first verdict are
there."""

Change = Callable[[EndpointRules, float], EndpointRules]


def _changes(rules: EndpointRules) -> list[Change]:
    """One for each number that is fitted."""

    def silence(name: str) -> Change:
        return lambda r, step: replace(r, **{name: round(getattr(r, name) * step)})

    def sound(n: int) -> Change:
        def change(r: EndpointRules, step: float) -> EndpointRules:
            sounds = [(least, f * step if m == n else f) for m, (least, f) in enumerate(r.sounds)]
            return replace(r, sounds=tuple(sounds))

        return change

    def word(c: Completeness) -> Change:
        return lambda r, step: replace(r, worth={**r.worth, c: r.worth[c] * step})

    fitted = [word(c) for c in Completeness if c is not Completeness.MISSING]
    names = ("silence_alone", "digits_open", "longest")
    return [*(silence(n) for n in names), *(sound(n) for n in range(len(rules.sounds))), *fitted]


def _allowed(rules: EndpointRules) -> bool:
    factors = [f for _, f in rules.sounds]
    words = [[rules.worth[c] for c in order] for order in ORDERED]
    return (
        all(b >= a * LEAST_STEP * 0.999 for a, b in itertools.pairwise(factors))
        and all(order == sorted(order) for order in words)
        and all(FACTORS[0] <= f <= FACTORS[1] for f in (*factors, *rules.worth.values()))
        and SILENCE_ALONE_MS[0] <= rules.silence_alone <= SILENCE_ALONE_MS[1]
        and DIGITS_OPEN_MS[0] <= rules.digits_open <= DIGITS_OPEN_MS[1]
        and rules.worth[Completeness.OPENING] <= OPENING_AT_MOST
        and 1000 <= rules.longest <= 2500
        and silence_needed(Completeness.WHOLE, 0.0, rules) >= HELD_MS
    )
