"""What else the caller wanted, when a person takes over: told to both of them. Pure."""

from __future__ import annotations

from dataclasses import replace

from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.state import ConversationState

MOST = 3
"""Wants named to the caller; the colleague has all of them."""


def with_the_others(draft: Draft, intents: IntentCatalog) -> Draft:
    """The turn, with the wants that nobody has dealt with in its words and its form; others as they are."""
    if draft.after != "hand_over":
        return draft
    others = still_open(draft.state, draft.intent)
    if not others or draft.intent == "distress":
        return draft
    means = [intents.means(intent) for intent in others[:MOST]]
    listed = means[0] if len(means) == 1 else f"{', '.join(means[:-1])} and {means[-1]}"
    line = Line("handoff.also", slots={"means": listed})
    return replace(
        draft,
        parts=(*draft.parts[:-1], line, *draft.parts[-1:]),
        form={**draft.form, "also": list(others)},
    )


def still_open(state: ConversationState, intent: str) -> tuple[str, ...]:
    """Intents that wait, without the one that is being handed over."""
    return tuple(dict.fromkeys(want.intent for want in state.waiting if want.intent != intent))
