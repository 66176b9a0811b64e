"""A turn that is settled but not true yet, and one that is. Values; `word` is pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from voicebot.core.conversation import Action, Decision, Keys, TurnInput, Utterance, Versions
from voicebot.core.store.conversations import Snapshot
from voicebot.dialogue.door import Masks
from voicebot.dialogue.flow.draft import After, Draft
from voicebot.dialogue.flow.speech import Line, Part, Said, question_of, text_of, text_of_all
from voicebot.dialogue.generation.utterance import UtteranceStream
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.reading import PlanReads
from voicebot.dialogue.state import AskedKind, ConversationState, OpenTurn, Owed

_OPEN = frozenset({Action.CLARIFY, Action.ABSTAIN, Action.DRAFT, Action.PROPOSE})
"""Actions that leave open what the caller wants."""


SET_ASIDE = "(set aside)"
"""In the history that a writer is shown: a caller's words that the input guard did not let pass."""


class StalePlan(Exception):  # a verdict, not a fault
    """The conversation moved on since the plan was made: throw it away and plan again."""


class HasChatAlready(Exception):  # a verdict, not a fault
    """A person gave the chat back, and the bot has said so before, maybe on another node."""


@dataclass(frozen=True)
class Worded:
    """A draft with everything it says in order, and the state it leaves.

    ``said`` is None while some of the words are still to be written.
    """

    parts: tuple[Part, ...] = field(repr=False)
    said: str | None = field(repr=False)
    state: ConversationState = field(repr=False)


@dataclass(frozen=True)
class Plan:
    """A turn that is settled but not true yet. Commit it, or `Orchestrator.discard` it.

    ``stream`` and ``said`` are None for a turn that acts: its words come from what came of the act.
    """

    conversation_id: str
    turn: int
    transaction_id: str
    snapshot: Snapshot
    input: TurnInput
    decision: Decision
    after: After
    draft: Draft = field(repr=False)
    worded: Worded = field(repr=False)
    versions: Versions = field(repr=False)
    phrases: Phrases = field(repr=False)
    reads: PlanReads = field(repr=False)
    stream: UtteranceStream | None = field(repr=False)
    masks: Masks = field(repr=False)
    """What stands in memory with its values is stored with tokens."""
    early: bool = False
    """Made before the turn had ended."""
    took_ms: float = 0.0
    """How long planning took, reads included."""

    @property
    def said(self) -> str | None:
        """All words, when they are known already."""
        return None if self.draft.deed is not None else self.worded.said

    @property
    def understood(self) -> bool:
        """Whether anything was made of the words: not nothing, and no guess that is asked about first."""
        asked = self.draft.asked
        guessed = asked is not None and asked.kind is AskedKind.CONFIRM
        return not guessed and self.next_state.not_understood == 0

    @property
    def next_state(self) -> ConversationState:
        """The state as it is committed, if no act decides it."""
        return self.worded.state

    def of(self, given: TurnInput) -> Plan:
        """The same plan for the final form of the words it was made early from."""
        given = self.masks.given(given)
        worded = word(self.draft, self.phrases, self.turn, given)
        return replace(self, input=given, worded=worded, early=True)


@dataclass(frozen=True)
class Committed:
    """A turn that is true. ``after``: what the call does when its words were spoken.

    ``silent``: there is nothing to say, the turn is closed already.
    """

    conversation_id: str
    turn: int
    decision: Decision
    after: After
    handoff: str | None
    stream: UtteranceStream = field(repr=False)
    silent: bool = False
    waits_s: tuple[tuple[str, float], ...] = ()
    """What the turn waits for, and how long: a `Timer` about it is due then."""


def word(draft: Draft, phrases: Phrases, turn: int, given: TurnInput) -> Worded:
    """What a draft says, must-say facts that were not heard first, and the state as it is committed.

    What the words will make true waits in an open turn. A turn with nothing to say leaves none, and
    still owes what was owed.
    """
    if draft.unspoken:
        return Worded((), "", draft.state)
    parts = (*_owed_parts(draft.state, phrases.has), *draft.parts)
    said = text_of_all(parts, phrases)
    owes = tuple(
        Owed(key=part.owed, text=text_of(part, phrases) or "")
        for part in parts
        if isinstance(part, Line | Said) and part.owed is not None
    )
    opened = OpenTurn(
        turn=turn,
        text=said,
        caller=SET_ASIDE if draft.guarded is not None and not draft.guarded.allowed else words_of(given),
        owes=owes,
        asked=draft.asked,
        question=question_of(parts, phrases),
        resolves=draft.action not in _OPEN,
        tells=draft.tells,
    )
    state = draft.state.model_copy(update={"owed": (), "open_turns": (*draft.state.open_turns, opened)})
    return Worded(parts, said, state)


def words_of(given: TurnInput) -> str:
    """The caller's part of a turn in words, as a transcript shows it; others' in brackets."""
    match given:
        case Utterance():
            return given.text
        case Keys():
            return f"(keys {given.digits})"
        case _:
            return f"({given.kind.replace('_', ' ')})"


def _owed_parts(state: ConversationState, has: Callable[[str], bool]) -> tuple[Part, ...]:
    """What the caller must still hear; in short where a short line exists."""
    parts: list[Part] = []
    for item in {owed.key: owed for owed in state.owed}.values():
        short = f"owed.{item.key}"
        parts.append(Line(short, owed=item.key) if has(short) else Said(item.text, owed=item.key))
    return tuple(parts)
