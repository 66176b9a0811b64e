"""Intents that are known by their words alone: no model was trained on them. Pure.

For what is asked rarely, and always in the same few ways: precise, and blind to every other wording. What the
monitor should understand in any words belongs among its examples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from voicebot.dialogue.monitor.features import words_of
from voicebot.dialogue.patterns import expand

SURENESS = 0.9
"""How sure a spotted want is: above every tier's limit, below what a caller confirmed."""
MOST_BESIDE = 7
"""With more words around the phrase, the sentence may be about something else."""
_AGAINST = frozenset({"not", "never", "without", "instead", "already", "if", "when"})
"""Said before the phrase, these turn it round, or make it something that is only spoken of."""


class Spotter:
    """Finds phrases in utterances. Immutable; shared by a node.

    >>> spotter = Spotter({"tracking": ("track my (parcel|order)",)})
    >>> spotter.spot("could you please track my parcel"), spotter.spot("do not track my parcel")
    ('tracking', None)

    Args:
        phrases: patterns by intent, in the syntax of the examples.
    """

    def __init__(self, phrases: Mapping[str, Sequence[str]]) -> None:
        found: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        for intent, patterns in phrases.items():
            for pattern in patterns:
                for sentence in expand(pattern):
                    words = tuple(words_of(sentence))
                    if words:
                        found[words[0]].append((words, intent))
        self._by_first = {
            first: sorted(those, key=lambda one: -len(one[0])) for first, those in found.items()
        }

    def spot(self, text: str) -> str | None:
        """The intent whose phrase is said, the longest phrase first; None: no phrase, or one turned round."""
        words = words_of(text)
        best: tuple[int, str] | None = None
        for at, word in enumerate(words):
            for phrase, intent in self._by_first.get(word, ()):
                if tuple(words[at : at + len(phrase)]) != phrase:
                    continue
                beside = len(words) - len(phrase)
                turned = any(before in _AGAINST for before in words[:at])
                if beside <= MOST_BESIDE and not turned and (best is None or len(phrase) > best[0]):
                    best = (len(phrase), intent)
                break
        return None if best is None else best[1]
