"""From the lines of a conversation to what is suggested now: ranked, stable, each with its reason. Pure.

    asked = board.asked(talk, rules)             # what has to be searched: `articles.key_of` of each
    shown = board.board(talk, rules, found)      # with what the search gave

The same lines and results give the same board, on whichever node. A suggestion goes when the topic has
changed, when what it warned of is over, or when somebody has said that it is not useful.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from voicebot.dialogue.phrases import Phrases
from voicebot.handoff.assist import signs as seen
from voicebot.handoff.assist.articles import LOOKED_BACK, Found, articles
from voicebot.handoff.assist.library import Assistance
from voicebot.handoff.assist.lines import Line, Reads
from voicebot.handoff.assist.replies import Answered, answered
from voicebot.handoff.assist.signs import Limits, Sign
from voicebot.handoff.assist.suggestion import Board, Mark, Suggestion, suggestion_id
from voicebot.handoff.assist.topics import Ask, asks, now_asked
from voicebot.handoff.patterns import Facts, Patterns, conditions

_SAID = 160


@dataclass(frozen=True, slots=True)
class Rules:
    """What a deployment says; one per node.

    ``sure``: probability from which an intent counts. ``protected``: whether an intent is for verified
    customers. ``topic``: an intent in words.
    """

    library: Assistance
    patterns: Patterns
    phrases: Phrases
    limits: Limits
    sure: float
    is_content: Callable[[str], bool]
    protected: Callable[[str], bool]
    topic: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation as far as it is known: its lines, what was handed over, what agents marked."""

    conversation_id: str
    lines: Sequence[Line]
    reads: Reads
    facts: Facts
    marks: Mapping[str, Mark] = field(default_factory=dict[str, Mark])

    @property
    def rejected(self) -> Collection[str]:
        """Ids of what is not shown again."""
        return frozenset(one for one, mark in self.marks.items() if mark == "not_useful")


def asked(talk: Talk, rules: Rules) -> tuple[Ask, ...]:
    """What is asked in the present topic, as far as it still has a say."""
    found = asks(talk.lines, talk.reads, sure=rules.sure, is_content=rules.is_content)
    return now_asked(found)[-LOOKED_BACK:]


def latest_answer(talk: Talk, rules: Rules, found: Found) -> Answered | None:
    """What can be said to what is asked now, with what backs it: for a model that writes it, too."""
    return answered(asked(talk, rules), found, rules.phrases, talk.conversation_id)


def board(talk: Talk, rules: Rules, found: Found, written: Mapping[str, Suggestion] | None = None) -> Board:
    """What is suggested now.

    Args:
        talk: the conversation.
        rules: the deployment's.
        found: results of searches, by `articles.key_of`.
        written: replies that a model wrote, by the id of the reply in whose place they stand.
    """
    now = asked(talk, rules)
    intent = next((one.intent for one in reversed(now) if one.intent is not None), None)
    unverified = not talk.facts.verified and intent is not None and rules.protected(intent)
    happened = seen.signs(
        talk.lines,
        talk.reads,
        rules.library,
        rules.limits,
        unverified=_line_of(now, intent) if unverified else None,
    )
    answer = answered(now, found, rules.phrases, talk.conversation_id)
    made = [
        *_warnings(happened, rules, answer),
        *_actions(happened, rules, talk.facts, now, intent),
        *_replies(answer, written or {}),
        *articles(now, found, talk.rejected),
    ]
    return Board(
        as_of=talk.lines[-1].id if talk.lines else 0,
        intent=intent,
        topic=rules.topic(intent) if intent is not None else None,
        suggestions=tuple(_marked(one, talk.marks) for one in made if one.id not in talk.rejected),
    )


def _line_of(now: Sequence[Ask], intent: str | None) -> int | None:
    return next((one.line for one in now if one.intent == intent), None)


def _warnings(happened: Sequence[Sign], rules: Rules, answer: Answered | None) -> list[Suggestion]:
    texts = rules.library.warnings
    words = {
        seen.DISTRESS: texts.distress,
        seen.CARD_SAID: texts.card_said,
        seen.CODE_SAID: texts.code_said,
        seen.CARD_ASKED: texts.card_asked,
        seen.REGULATED: texts.regulated,
    }
    out: list[Suggestion] = []
    for name, text in words.items():
        for sign in happened:
            if sign.name == name:
                topic = rules.library.topics.get(sign.detail, sign.detail.replace("_", " "))
                shown = text.format(topic=topic) if name == seen.REGULATED else text
                why = "heard in what was said" if sign.line.who == "caller" else "heard in what you said"
                out.append(_of_sign("warning", name, sign, shown, why, sign.detail))
    if answer is not None and answer.lack is not None:
        text = texts.no_fact.format(fact=answer.lack)
        ask = answer.ask
        out.append(
            Suggestion(
                id=suggestion_id(
                    "warning", "no_fact", answer.lack, answer.backing.passages[0].source.article
                ),
                kind="warning",
                about="no_fact",
                text=text,
                why="it was asked for, and the articles were searched for it",
                line=ask.line,
                said=ask.said[:_SAID],
            )
        )
    return out


def _actions(
    happened: Sequence[Sign], rules: Rules, facts: Facts, now: Sequence[Ask], intent: str | None
) -> list[Suggestion]:
    out: list[Suggestion] = []
    for action in rules.library.actions:
        wanted = action.when
        sign = next((one for one in happened if one.name in wanted.sign), None)
        if sign is None or (wanted.intent and intent not in wanted.intent):
            continue
        promise = rules.library.promises.get(sign.detail)
        made = _of_sign(
            "action",
            action.name,
            sign,
            action.next,
            f"{sign.name.replace('_', ' ')} (reviewed {action.reviewed.day} by {action.reviewed.by})",
            str(sign.line.id) if promise is not None else "",
        )
        out.append(made.model_copy(update={"books": promise.books if promise is not None else None}))
    fresh = [one for one in now if one.person and one.intent is not None]
    if fresh:
        out += _next(rules, facts, fresh[0])
    return out


def _next(rules: Rules, facts: Facts, ask: Ask) -> list[Suggestion]:
    """The reviewed next action for what came up since a person speaks."""
    tools = facts.tools
    text, choice = rules.patterns.choose(
        Facts(
            trigger="",
            intent=ask.intent or "",
            verified=facts.verified,
            urgency=facts.urgency,
            channel=facts.channel,
            sentiment=None,
            tools=tools,
        )
    )
    pattern = next(one for one in rules.patterns.patterns if one.name == choice.pattern)
    if conditions(pattern) == 0:
        return []
    return [
        Suggestion(
            id=suggestion_id("action", pattern.name),
            kind="action",
            about=pattern.name,
            text=text,
            why=f"{'; '.join(choice.matched)} (reviewed {choice.reviewed_on} by {choice.reviewed_by})",
            line=ask.line,
            said=ask.said[:_SAID],
        )
    ]


def _replies(answer: Answered | None, written: Mapping[str, Suggestion]) -> list[Suggestion]:
    if answer is None or answer.reply is None:
        return []
    return [written.get(answer.reply.id, answer.reply)]


def _of_sign(kind: str, about: str, sign: Sign, text: str, why: str, detail: str) -> Suggestion:
    assert kind in ("warning", "action")
    return Suggestion(
        id=suggestion_id(kind, about, detail),
        kind=kind,
        about=about,
        text=text,
        why=why,
        line=sign.line.id,
        said=sign.line.text[:_SAID],
    )


def _marked(one: Suggestion, marks: Mapping[str, Mark]) -> Suggestion:
    mark = marks.get(one.id)
    return one if mark is None else one.model_copy(update={"mark": mark})
