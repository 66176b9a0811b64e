"""How a conversation ended, from what is stored of it. Pure: facts in, an outcome out.

Nothing that the bot believes of itself makes a conversation resolved: the caller must have heard the answer
to the end, nobody may have had to step in, and the same person must not have asked the same again within
`REPEAT`. Who left with something open has abandoned it, whatever the bot had said before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from voicebot.core.conversation import Action

REPEAT = timedelta(days=7)
"""Within this time the same question of the same person says that the first answer did not settle it."""

Resolution = Literal["resolved", "unresolved", "abandoned", "handed_over", "unknown"]
Disposition = Literal[
    "answered", "acted", "promised", "handed_over", "left_queue", "left", "not_settled", "nothing_wanted",
    "erased",
]  # fmt: skip

STAYED = frozenset({"goodbye", "person_took_over"})
"""Reasons of an end that is nobody's leaving. With any other, known or not, what is open was abandoned."""
RATING = "csat/ask"
"""The row of the question that stands in place of a goodbye (`voicebot.dialogue.flow.rating`)."""
AT_WORK = frozenset({"pending", "payment/ahead"})
"""Rows, or their last part, of turns that say what is being done; what comes of it is another turn."""
UNSAID = frozenset({"late/moved_on", "late/unknown", "draft/unknown", "timer/over"})
"""Rows of turns that are recorded and say nothing: they answer nothing and leave nothing open."""
_SETTLES = frozenset({Action.ANSWER, Action.ACT})
_TO_PEOPLE = frozenset({Action.ESCALATE, Action.ROUTE, Action.FOLLOW_UP, Action.DRAFT})
_OPEN = frozenset({Action.PROPOSE, Action.CLARIFY, Action.ABSTAIN})
_COMPLEX = frozenset({Action.ACT, Action.PROPOSE, Action.ROUTE, Action.FOLLOW_UP, Action.DRAFT})
_GUESSED = frozenset({"lost", "unsure"})


@dataclass(frozen=True, slots=True)
class TurnFact:
    """A turn without a word of it.

    ``topic``: its intent is a question of its own. ``asked_at``: the caller's words had ended; ``begun_at``:
    the bot's were heard first, None if nothing of them was; ``told_at``: they had ended. ``heard``: they were
    heard to the end, None if nobody can say. ``grounded``: it quoted an article. ``gap``: no article answers
    what was asked. ``by_caller``: the caller said, wrote or pressed something. ``promised``: somebody will
    see to it later. ``waited_ms``: from the caller's last sound to the bot's first, where that was measured.
    """

    intent: str
    category: str
    action: Action
    row: str
    tier: int
    topic: bool
    asked_at: datetime
    told_at: datetime
    heard: bool | None = True
    grounded: bool = False
    by_caller: bool = True
    promised: bool = False
    begun_at: datetime | None = None
    gap: bool = False
    waited_ms: int | None = None

    @property
    def settles(self) -> bool:
        """It answers or does something, and does not only say that this is being done."""
        return self.action in _SETTLES and not self._at_work

    @property
    def open(self) -> bool:
        """It leaves what was wanted open."""
        return self.action in _OPEN or self._at_work

    @property
    def _at_work(self) -> bool:
        return self.row in AT_WORK or self.row.rpartition("/")[2] in AT_WORK


@dataclass(frozen=True, slots=True)
class Facts:
    """A conversation. ``handoffs``: how many people were asked for; ``reached``: one of them came.

    ``sign_standing``: there was a sign of trouble that nothing had settled at the end. ``again``: intents
    that the same person came with again within `REPEAT`. ``end_reason``: None while a person still has it.
    """

    turns: tuple[TurnFact, ...]
    end_reason: str | None
    handoffs: int = 0
    reached: bool = False
    sign_standing: bool = False
    again: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class IntentOutcome:
    """One thing that was wanted. ``complex``: it took more than an answer from articles or one look.

    ``first_useful_s``: from the end of the words that first asked to the first sound of an answer or act.
    """

    intent: str
    category: str
    resolution: Resolution
    complex: bool
    asked_at: datetime
    resolved_at: datetime | None
    grounded: int = 0
    gaps: int = 0
    first_useful_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. ``missed_sign``: there was trouble, nobody was called, and it was not resolved.

    ``first_useful_s``: as of an intent, from the first that was asked to the first that was answered.
    ``waited_ms``: of each turn of which it was measured.
    """

    disposition: Disposition
    resolution: Resolution
    intents: tuple[IntentOutcome, ...] = ()
    resolved_at: datetime | None = None
    missed_sign: bool = False
    turns: int = 0
    grounded: int = 0
    gaps: int = 0
    main: IntentOutcome | None = field(default=None)
    first_useful_s: float | None = None
    waited_ms: tuple[int, ...] = ()


ERASED = Outcome("erased", "unknown")
"""Of a conversation whose words were erased before anybody looked."""
UNREAD = Outcome("not_settled", "unknown")
"""Of one that this server cannot read."""


def decide(facts: Facts) -> Outcome:
    """The outcome of a conversation."""
    topics = _topics(facts.turns)
    left = _left(facts)
    last = max(topics, key=lambda name: topics[name][-1].asked_at, default=None)
    cut = left and last is not None and topics[last][-1] is facts.turns[-1] and facts.turns[-1].heard is False
    found = tuple(
        _intent(
            turns,
            left=left,
            cut=cut and name == last,
            person=facts.handoffs > 0 and name == last,
            facts=facts,
        )
        for name, turns in topics.items()
    )
    resolution = _whole(facts, found, left)
    resolved_at = max((one.resolved_at for one in found if one.resolved_at), default=None)
    return Outcome(
        disposition=_disposition(facts, topics, resolution),
        resolution=resolution,
        intents=found,
        resolved_at=resolved_at if resolution == "resolved" else None,
        missed_sign=facts.sign_standing and not facts.handoffs and resolution in {"unresolved", "abandoned"},
        turns=sum(turn.by_caller for turn in facts.turns),
        grounded=_grounded(facts.turns),
        gaps=sum(turn.gap for turn in facts.turns),
        main=next((one for one in found if one.intent == last), None),
        first_useful_s=_first_useful_s([turn for turns in topics.values() for turn in turns]),
        waited_ms=tuple(turn.waited_ms for turn in facts.turns if turn.waited_ms is not None),
    )


def _topics(turns: Sequence[TurnFact]) -> dict[str, list[TurnFact]]:
    """Turns by what they were about; what was only guessed is nothing that the caller has asked."""
    topics: dict[str, list[TurnFact]] = {}
    for turn in turns:
        known = not _GUESSED & set(turn.row.split("/")) and turn.row not in UNSAID
        if turn.topic and known and turn.action in _SETTLES | _TO_PEOPLE | _OPEN:
            topics.setdefault(turn.intent, []).append(turn)
    return topics


def _intent(turns: Sequence[TurnFact], *, left: bool, cut: bool, person: bool, facts: Facts) -> IntentOutcome:
    last = turns[-1]
    if person:
        resolution: Resolution = "abandoned" if _left_queue(facts) else "handed_over"
    elif last.promised or last.action in _TO_PEOPLE:
        resolution = "handed_over"
    elif cut or (left and last.open):
        resolution = "abandoned"
    elif last.open or last.intent in facts.again:
        resolution = "unresolved"
    else:
        resolution = "resolved"
    return IntentOutcome(
        intent=last.intent,
        category=last.category,
        resolution=resolution,
        complex=any(turn.action in _COMPLEX or turn.tier > 1 for turn in turns),
        asked_at=turns[0].asked_at,
        resolved_at=last.told_at if resolution == "resolved" else None,
        grounded=_grounded(turns),
        gaps=sum(turn.gap for turn in turns),
        first_useful_s=_first_useful_s(turns),
    )


def _grounded(turns: Sequence[TurnFact]) -> int:
    """Answers from articles."""
    return sum(turn.grounded and turn.action is Action.ANSWER for turn in turns)


def _first_useful_s(turns: Sequence[TurnFact]) -> float | None:
    """From the first question to the first sound of the first answer or act; None: there was none."""
    begun = [turn.begun_at for turn in turns if turn.settles and turn.begun_at is not None]
    asked = min((turn.asked_at for turn in turns), default=None)
    if not begun or asked is None:
        return None
    return max(0.0, (min(begun) - asked).total_seconds())


def _left(facts: Facts) -> bool:
    """Whether the caller is gone without a goodbye, which may have been cut short by hanging up."""
    last = next((turn for turn in reversed(facts.turns) if turn.by_caller), None)
    bye = last is not None and (last.action is Action.END or last.row == RATING)
    return facts.end_reason is not None and facts.end_reason not in STAYED and not bye


def _left_queue(facts: Facts) -> bool:
    """Nobody came, nothing was promised instead, and the caller is gone."""
    promised = any(turn.promised for turn in facts.turns)
    return _left(facts) and not facts.reached and not promised


def _whole(facts: Facts, found: Sequence[IntentOutcome], left: bool) -> Resolution:
    """The worst of what it was about counts for all of it."""
    if facts.handoffs:
        return "abandoned" if _left_queue(facts) else "handed_over"
    each = {one.resolution for one in found}
    order: tuple[Resolution, ...] = ("abandoned", "handed_over", "unresolved", "resolved")
    for resolution in order:
        if resolution in each:
            return resolution
    if left:
        return "abandoned"
    tried = any(turn.by_caller and turn.action in {Action.CLARIFY, Action.ABSTAIN} for turn in facts.turns)
    return "unresolved" if tried else "unknown"


def _disposition(facts: Facts, topics: dict[str, list[TurnFact]], resolution: Resolution) -> Disposition:
    settled = all(turns[-1].settles for turns in topics.values())
    last = [turns[-1].action for turns in topics.values()]
    match resolution:
        case "abandoned":
            return "left_queue" if facts.handoffs else "left"
        case "handed_over":
            return "handed_over" if facts.handoffs else "promised"
        case "unresolved" if last and settled:
            return "acted" if Action.ACT in last else "answered"
        case "unresolved":
            return "not_settled"
        case "resolved":
            return "acted" if Action.ACT in last else "answered"
        case "unknown":
            return "nothing_wanted"
