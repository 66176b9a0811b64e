"""A link to an article by text message: only to the caller's own number, or to one given and read back. Pure."""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re
from dataclasses import replace

from voicebot.core.conversation import Action, Expects, Route
from voicebot.dialogue.flow.booking import PHONE_NUMBER, before_digits, can_be_dialled
from voicebot.dialogue.flow.draft import ActOutcome, Deed, Draft, Fact
from voicebot.dialogue.flow.questions import PHONE_DIGITS, YES_NO, Question
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.generation.spoken import digits as spoken_digits
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Asked, AskedKind, ConversationState, Page, Proposal

ACT = "text_link"
LINK = "link"
"""The intent of a want for a link: what a number is asked for."""
PAGES = 3
"""So many articles are remembered."""
_WANTS = re.compile(
    r"\b(?:text|sms|send|message)(?: (?:it|that|this|them|me|us|to|over|the|a|an|your|page|article|info|information|details|by|via|in))*"
    r" (?:link|text|sms|text message|page|article|web ?site|my (?:phone|cell|mobile))\b|\btext (?:me|it to me|that to me|us)\b"
    r"|^\W*(?:a |the )?link(?: please)?\W*$",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"\b(?:did not|didn't|don't|do not|never|stop|got|received|where is|order|tracking|label|you sent)\b",
    re.IGNORECASE,
)


def wants_link(text: str) -> bool:
    """Whether the caller asks for a link to what was said.

    >>> wants_link("can you text me the link"), wants_link("i never got the link you sent")
    (True, False)
    """
    plain = " ".join(text.replace("’", "'").split())
    return _WANTS.search(plain) is not None and _NOT.search(plain) is None


def with_page(draft: Draft) -> Draft:
    """The turn, its article remembered as one of which a link can be sent."""
    if draft.action is not Action.ANSWER or not draft.sources:
        return draft
    page = Page(article=draft.sources[0].article, title=draft.sources[0].title)
    others = tuple(one for one in draft.state.pages if one != page)
    return replace(draft, state=draft.state.model_copy(update={"pages": (*others, page)[-PAGES:]}))


class Linking:
    """Drafts the offer of a link and what comes of it. Stateless."""

    def __init__(self, steering: Steering, phrases: Phrases) -> None:
        self._steering = steering
        self._phrases = phrases

    def offer(self, state: ConversationState, want: Want, setting: Setting) -> Draft:
        """Offers the page of what was told last, with the number read back; or asks for the number."""
        staff = setting.scene.staff
        page = next(
            (one for one in reversed(state.pages) if staff is not None and staff.link(one.article)), None
        )
        if page is None or staff is None or not setting.reads.texting:
            state, question = self._steering.and_next(state)
            return self._steering.say(state, LINK, "link/none", (Line("link.none"),), question)
        given = state.slots.get(PHONE_NUMBER)
        if not can_be_dialled(state, setting):
            line = Line("link.number", 0 if given is None else 1, question=True)
            asked = Asked(kind=AskedKind.CONTACT, want=Want(intent=LINK, confidence=1.0, text=want.text))
            question = Question((line,), asked, Expects(kind="digits", length=PHONE_DIGITS))
            return self._steering.say(state, LINK, "link/number", (), question, action=Action.CLARIFY)
        number = None if given is None else staff.number(given)
        title = page.title if page.title[:2].isupper() else page.title[:1].lower() + page.title[1:]
        slots = {"page": title}
        line = Line("link.offer", slots=slots, question=True)
        essentials: tuple[str, ...] = (title,)
        if number is not None:
            spoken = spoken_digits(number.removeprefix("+1"))
            line = Line("link.offer_number", slots={**slots, "number": spoken}, question=True)
            essentials = (title, spoken)
        words = self._phrases.text("link.message", page=page.title, link=staff.link(page.article))
        proposal = Proposal(
            act=ACT,
            arguments={
                "article": page.article,
                "to": given if number is not None else None,
                "prefix": before_digits(number, given) if number is not None and given is not None else None,
                "words": words,
            },
            want=Want(intent=LINK, confidence=1.0, text=want.text),
            essentials=essentials,
        )
        question = Question((line,), Asked(kind=AskedKind.PROPOSAL, proposal=proposal), YES_NO)
        return self._steering.say(state, LINK, "link/offer", (), question, action=Action.PROPOSE)

    def accepted(self, state: ConversationState, proposal: Proposal) -> Draft:
        """Yes: ordered, if page and number were heard; else the question in short."""
        if not proposal.heard:
            asked = Asked(kind=AskedKind.PROPOSAL, proposal=proposal)
            line = Line("link.confirm", slots={"page": proposal.essentials[0]}, question=True)
            question = Question((line,), asked, YES_NO)
            draft = self._steering.say(state, LINK, "link/unheard", (), question, action=Action.PROPOSE)
            return replace(draft, reasons=("yes came before the read-back was heard",))
        base = Draft(
            state=state.model_copy(update={"asked": None}),
            intent=LINK,
            action=Action.ACT,
            route=Route.FIXED,
            row="link/yes",
            parts=(),
            reasons=("the caller said yes to the read-back",),
        )

        def after(outcome: ActOutcome) -> Draft:
            done = outcome.status == "done"
            state, question = self._steering.and_next(base.state)
            facts = (
                Fact(f"act.{outcome.status}", {"act": ACT, "outcome": outcome.result.get("outcome", "")}),
            )
            line = Line("link.sent" if done else "link.failed", owed="link" if done else None)
            return replace(
                base,
                state=state,
                parts=(line, *question.parts),
                expects=question.expects,
                asked=question.asked,
                facts=facts,
            )

        return replace(base, deed=Deed("act", ACT, proposal.arguments, after))
