"""Truth is what was heard: what a turn's words made true, once the playout ledger has spoken. Pure."""

from __future__ import annotations

import re

from voicebot.core.conversation import Heard
from voicebot.dialogue.generation.request import Exchange
from voicebot.dialogue.monitor.features import words_of
from voicebot.dialogue.state import HISTORY, Asked, ConversationState, OpenTurn, Proposal

QUESTION_SHARE = 0.5
"""A question counts as asked once this share of its words was heard: people answer early."""


_WORD = re.compile(r"[a-z0-9']+")
BARELY = 2
"""An answer of which no more words were heard was talked over, not listened to."""


def settle(state: ConversationState, turn: int, heard: Heard) -> ConversationState:
    """The state once it is known what the caller heard of ``turn``; unchanged if that was settled before."""
    open_turn = next((one for one in state.open_turns if one.turn == turn), None)
    if open_turn is None:
        return state
    words = words_of(heard.text)
    unheard = tuple(
        item
        for item in open_turn.owes
        if not (heard.complete or _contains(words, words_of(item.text), slack=1))
    )
    told = tuple(item.key for item in open_turn.owes if item not in unheard)
    if heard.complete:
        told = (*told, *open_turn.tells)
    asked = open_turn.asked if _question_heard(open_turn, words, heard) else state.asked
    if open_turn.asked is not None and open_turn.asked.proposal is not None:
        asked = _read_back(open_turn.asked, open_turn.asked.proposal, words, heard)
    if open_turn.asked is not None and open_turn.asked.proposes is not None:
        asked = open_turn.asked  # it stands; whether a yes counts says its row
    return state.model_copy(
        update={
            "open_turns": tuple(one for one in state.open_turns if one.turn != turn),
            "owed": (*state.owed, *unheard),
            "told": tuple(dict.fromkeys((*state.told, *told))),
            "asked": asked,
            "course": state.course.said(_answer_of(open_turn, heard), resolved=open_turn.resolves),
            "cut_off": open_turn.caller if _talked_on(open_turn, words, heard) else None,
            "last_said": open_turn.text or heard.text or state.last_said,
            "history": (*state.history, Exchange(caller=open_turn.caller, bot=heard.text))[-HISTORY:],
        }
    )


def read_back_by(state: ConversationState, turn: int) -> str | None:
    """The stored proposal that a turn which is still open asks about."""
    found = next((one for one in state.open_turns if one.turn == turn), None)
    return None if found is None or found.asked is None else found.asked.proposes


def essentials_heard(heard: Heard, essentials: tuple[str, ...]) -> bool:
    """Whether the caller heard every value that was read back to him, each whole, to its last word."""
    if heard.complete:
        return True
    words = _WORD.findall(heard.text.lower())
    return all(_contains(words, _WORD.findall(one.lower()), slack=0) for one in essentials)


def _read_back(asked: Asked, proposal: Proposal, words: list[str], heard: Heard) -> Asked:
    """A proposal stands as soon as it was committed; a yes to it counts once its essentials were heard."""
    whole = heard.complete or all(_contains(words, words_of(one), slack=0) for one in proposal.essentials)
    return asked.model_copy(update={"proposal": proposal.model_copy(update={"heard": whole})})


def _answer_of(turn: OpenTurn, heard: Heard) -> str:
    """What was said, without the question at its end, which is put in other words each time."""
    text = turn.text or heard.text
    return text.removesuffix(turn.question) or text


def _talked_on(turn: OpenTurn, words: list[str], heard: Heard) -> bool:
    spoken = bool(turn.caller) and not turn.caller.startswith("(")
    return spoken and len(words) <= BARELY and not heard.complete


def _question_heard(turn: OpenTurn, words: list[str], heard: Heard) -> bool:
    if turn.asked is None:
        return False
    if heard.complete or not turn.question:
        return heard.complete or bool(words)
    question = words_of(turn.question)
    share = question[: max(1, round(len(question) * QUESTION_SHARE))]
    return _contains(words, share, slack=0)


def _contains(words: list[str], part: list[str], *, slack: int) -> bool:
    """Whether ``part`` was heard. The ledger is right to a word: the last ``slack`` words may be missing."""
    needed = part[: max(1, len(part) - slack)]
    if not needed:
        return True
    return any(words[at : at + len(needed)] == needed for at in range(len(words) - len(needed) + 1))
