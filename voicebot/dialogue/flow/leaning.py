"""A sentence that leans on the answer before it keeps its subject: "and on a mattress?". Pure."""

from __future__ import annotations

from voicebot.core.conversation import Utterance
from voicebot.dialogue.flow.following import PRIOR, completed, is_of_a_thing, points_back
from voicebot.dialogue.flow.rules import Rules
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.monitor import Monitor, Reading, Want
from voicebot.dialogue.state import AskedKind, ConversationState

PLAINLY = 0.9
"""A sentence that leans ("what about rugs", "what does it cost") is a want of its own only from here on."""
FOLLOWS = 0.15
"""From here on a sentence that points back follows the answer, though it has a likely want of its own."""
_AFTER_AN_ANSWER = frozenset({AskedKind.OPEN, AskedKind.MORE, AskedKind.WAITING})


class Leaning:
    """Reads what leans. Stateless."""

    def __init__(self, rules: Rules, intents: IntentCatalog, monitor: Monitor) -> None:
        self._rules = rules
        self._intents = intents
        self._monitor = monitor

    def want(self, state: ConversationState, given: Utterance, reading: Reading) -> Want | None:
        """The want that the sentence means after the last answer; None if it stands alone."""
        before, kind, want = state.answered, points_back(given.text), reading.first
        if before is None or kind is None or len(reading.wants) > 1:
            return None
        rule, other = self._rules.rule(before.intent), self._rules.rule(want.intent)
        sure = want.confidence >= self._rules.sure(want.intent)
        if rule is None or other is None or (sure and other.tier > 1):
            return None
        likely = {guess.intent: guess.probability for guess in reading.guesses}
        told = rule.tool is not None and kind == "pointing"
        asked = state.asked.kind if state.asked is not None else AskedKind.OPEN
        if asked not in _AFTER_AN_ANSWER and not (told and asked is AskedKind.CONFIRM):
            return None
        if rule.tool is not None and kind == "part":
            return None  # a record tells of one thing only
        if told and not (state.gate.match is not None and self._of_record(before, want)):
            return None
        another = kind == "part" and is_of_a_thing(self._intents.means(want.intent))
        plainly = want.confidence >= PLAINLY and not another
        if plainly and not told and (kind == "pointing" or want.intent != before.intent):
            return None
        text = completed(given.text, before.text, kind, self._intents.means(before.intent))
        whole = {one.intent: one.probability for one in self._monitor.read(Utterance(text=text)).guesses}
        p = max(likely.get(before.intent, 0.0), whole.get(before.intent, 0.0))
        likelier = want.confidence >= self._rules.table.thresholds.unsure
        if kind == "pointing" and not told and p < FOLLOWS and likelier:
            return None
        prior = PRIOR[kind]
        return Want(intent=before.intent, confidence=round(prior + (1 - prior) * p, 4), text=text)

    def _of_record(self, before: Want, want: Want) -> bool:
        """Whether a question with "it" is about the record that was just told."""
        return want.intent == before.intent or want.intent in self._intents.once_told(before.intent)


def builds_on(state: ConversationState) -> ConversationState:
    """Who builds on an answer does not go round in circles, though the same article answers again."""
    course = state.course.model_copy(update={"last_answer": (), "repeated_answers": 0})
    return state.model_copy(update={"course": course})
