"""Promises: a person will call back, or deal with it, by a time. Offered, consented to, done, then spoken of.

A yes counts once the time that was promised had been heard; an earlier one is asked again in short. The
words "it is noted" come from the outcome of the act and from nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from voicebot.core.conversation import Action, Confidences, Expects, Route, Urgency
from voicebot.core.when import spoken_when
from voicebot.dialogue.flow import booking
from voicebot.dialogue.flow.booking import ASKED_TIME, MOST_ASKED, PHONE_NUMBER, WISHED_TIME
from voicebot.dialogue.flow.calling_back import wished_at
from voicebot.dialogue.flow.draft import ActOutcome, Deed, Draft, Fact
from voicebot.dialogue.flow.due import due, spoken_due
from voicebot.dialogue.flow.questions import PHONE_DIGITS, YES_NO, Question
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line, Part
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import Asked, AskedKind, ConversationState, Proposal
from voicebot.safety.identity import Gate

ACT = "follow_up"
SERVICE = "customer service"
"""Who keeps a promise that policy gives to no team."""


class Promising:
    """Drafts promises. Stateless."""

    def __init__(self, steering: Steering, gate: Gate) -> None:
        self._steering = steering
        self._gate = gate

    def offer(
        self,
        state: ConversationState,
        want: Want,
        setting: Setting,
        row: str,
        *,
        before: tuple[Part, ...] = (),
        owner: str | None = None,
        urgency: Urgency = Urgency.NORMAL,
        tier: int = 0,
        reasons: tuple[str, ...] = (),
        confidences: Confidences = Confidences(),  # noqa: B008  # frozen
    ) -> Draft:
        """Proposes a call back, or asks for the number if nobody knows it, or for a time that can be kept."""
        when = booking.wish_of(state, setting)
        if want.intent in state.promised and when is None:
            return self._already(state, want, row, before)
        question = self._question(state, want, setting, owner or SERVICE, urgency)
        if question.asked.kind is AskedKind.CALL_TIME:
            state = booking.asked_once_more(state, question)
        elif question.asked.proposal is not None and "call_at" not in question.asked.proposal.arguments:
            before = (*before, *_cannot_promise(state, setting.scene.now))
        return Draft(
            state=state.model_copy(update={"topic": None}),
            intent=want.intent,
            action=Action.PROPOSE if question.asked.proposal else Action.CLARIFY,
            route=Route.FIXED,
            row=row,
            tier=tier,
            parts=(*before, *question.parts),
            reasons=reasons,
            confidences=confidences,
            expects=question.expects,
            asked=question.asked,
            owner=owner or SERVICE,
        )

    def promise(
        self,
        state: ConversationState,
        want: Want,
        setting: Setting,
        row: str,
        *,
        owner: str | None = None,
        urgency: Urgency = Urgency.NORMAL,
        tier: int = 0,
        reasons: tuple[str, ...] = (),
        confidences: Confidences = Confidences(),  # noqa: B008  # frozen
    ) -> Draft:
        """What policy has somebody follow up: noted at once, without asking; the words come from the note."""
        if want.intent in state.promised:
            return self._already(state, want, row, ())
        question = self._question(state, want, setting, owner or SERVICE, urgency, kind="request")
        proposal = question.asked.proposal
        if proposal is None:  # the number is missing
            return self.offer(state, want, setting, row, owner=owner, urgency=urgency, tier=tier)
        base = Draft(
            state=state.model_copy(update={"topic": None}),
            intent=want.intent,
            action=Action.FOLLOW_UP,
            route=Route.PERSON,
            row=row,
            tier=tier,
            parts=(),
            reasons=reasons,
            confidences=confidences,
            owner=owner or SERVICE,
        )
        return self._acting(base, proposal, setting)

    def accepted(self, state: ConversationState, proposal: Proposal, setting: Setting) -> Draft:
        """The caller said yes: the act, if the read-back was heard; else the question in short."""
        if not proposal.heard:
            when = proposal.essentials[0] if proposal.essentials else ""
            line = Line("promise.confirm", slots={"when": when}, question=True)
            asked = Asked(kind=AskedKind.PROPOSAL, proposal=proposal)
            question = Question((line,), asked, YES_NO)
            draft = self._steering.say(
                state, proposal.want.intent, "proposal/unheard", (), question, action=Action.PROPOSE
            )
            return replace(draft, reasons=("yes came before the read-back was heard",))
        base = Draft(
            state=state.model_copy(update={"asked": None}),
            intent=proposal.want.intent,
            action=Action.ACT,
            route=Route.FIXED,
            row="proposal/yes",
            parts=(),
            reasons=("the caller said yes to the read-back",),
            owner=str(proposal.arguments.get("owner") or SERVICE),
        )
        return self._acting(base, proposal, setting)

    def declined(self, state: ConversationState, proposal: Proposal) -> Draft:
        """The caller said no: nothing was done."""
        state, question = self._steering.and_next(state)
        return self._steering.say(state, "no", "proposal/no", (Line("say.dropped"),), question)

    def contact_again(self, state: ConversationState, want: Want) -> Draft:
        """The number was not understood."""
        line = Line("promise.contact", 1, question=True)
        asked = Asked(kind=AskedKind.CONTACT, want=want)
        question = Question((line,), asked, Expects(kind="digits", length=PHONE_DIGITS))
        return self._steering.say(state, want.intent, "contact/again", (), question, action=Action.CLARIFY)

    def _question(
        self,
        state: ConversationState,
        want: Want,
        setting: Setting,
        owner: str,
        urgency: Urgency,
        kind: str = "callback",
    ) -> Question:
        number = state.slots.get(PHONE_NUMBER)
        if number is None and not setting.scene.reachable:
            line = Line("promise.contact", question=True)
            asked = Asked(kind=AskedKind.CONTACT, want=want)
            return Question((line,), asked, Expects(kind="digits", length=PHONE_DIGITS))
        call = self._call(state, want, setting, owner) if kind == "callback" else None
        if isinstance(call, Question):
            return call
        wish = state.slots.get(WISHED_TIME)
        wished = wished_at(wish, setting.scene.now) if wish is not None else None
        at = wished or due(setting.scene.now, urgency)
        when = spoken_due(at, setting.scene.now)
        known = dict(state.slots)
        reference = self._gate.heard_as(state.gate, self._gate.rules.factors[0].name)
        if state.gate.match is not None:
            known[self._gate.rules.factors[0].name] = state.gate.match.reference
        elif reference is not None:
            known[self._gate.rules.factors[0].name] = reference
        proposal = Proposal(
            act=ACT,
            arguments={
                "kind": kind,
                "intent": want.intent,
                "owner": owner,
                "urgency": urgency.value,
                "due_at": at.isoformat(),
                "question": want.text,
                "contact": number,
                "known": known,
                **({} if call is None else call.arguments()),
            },
            want=want,
            essentials=(when,) if call is None else call.essentials,
        )
        if call is not None:
            return call.question(Asked(kind=AskedKind.PROPOSAL, proposal=proposal))
        line = Line("promise.offer", slots={"when": when}, question=True)
        return Question((line,), Asked(kind=AskedKind.PROPOSAL, proposal=proposal), YES_NO)

    def _call(
        self, state: ConversationState, want: Want, setting: Setting, owner: str
    ) -> booking.Booked | Question | None:
        """The call that we make when they wish, or what has to be asked first; None: somebody calls."""
        when, staff = booking.wish_of(state, setting), setting.scene.staff
        if when is None or staff is None:
            return None
        kept = booking.keep(when, staff, owner, setting.scene.now)
        if kept.at is not None:
            return booking.booked(state, when, kept, setting)
        if state.clarified.count(ASKED_TIME) >= MOST_ASKED:
            return None
        return booking.time_question(state, want, kept, setting)

    def _already(self, state: ConversationState, want: Want, row: str, before: tuple[Part, ...]) -> Draft:
        state, question = self._steering.and_next(state.model_copy(update={"topic": None}))
        return self._steering.say(
            state, want.intent, row, (*before, Line("promise.standing")), question, action=Action.FOLLOW_UP
        )

    def _acting(self, base: Draft, proposal: Proposal, setting: Setting) -> Draft:
        """``base`` with the act; its words are made from what comes of it."""
        now = setting.scene.now

        def spoken(outcome: ActOutcome) -> Draft:
            return self._done(base, proposal, outcome, now)

        return replace(base, deed=Deed("act", proposal.act, proposal.arguments, spoken))

    def _done(self, base: Draft, proposal: Proposal, outcome: ActOutcome, now: datetime) -> Draft:
        facts = (
            Fact(
                f"act.{outcome.status}", {"act": proposal.act, "outcome": outcome.result.get("outcome", "")}
            ),
        )
        if outcome.status != "done":
            return replace(
                self._steering.person(
                    base.state,
                    base.intent,
                    f"{base.row}/{outcome.status}",
                    trigger="act_failed",
                    before=(Line("promise.failed"),),
                    tier=base.tier,
                    reasons=(*base.reasons, f"{proposal.act}: {outcome.status}"),
                ),
                facts=facts,
            )
        at = datetime.fromisoformat(outcome.result["due_at"])
        when = spoken_due(at.astimezone(now.tzinfo), now)
        key = "promise.already" if outcome.result["outcome"] == "already" else f"promise.{_kind(proposal)}"
        if "callback" in outcome.result:
            key, when = "callback.booked", spoken_when(at.astimezone(now.tzinfo), now)
        promised = tuple(dict.fromkeys((*base.state.promised, base.intent)))
        waiting = tuple(want for want in base.state.waiting if want.intent != base.intent)
        state = base.state.model_copy(update={"promised": promised, "waiting": waiting})
        state, question = self._steering.and_next(state)
        if outcome.result["outcome"] == "promised":
            made = {name: outcome.result[name] for name in ("follow_up", "owner", "due_at")}
            facts = (*facts, Fact("follow_up.promised", made))
        return replace(
            base,
            state=state,
            parts=(
                Line(key, slots={"when": when, "team": _team(base.owner)}, owed=f"promise_{base.intent}"),
                *question.parts,
            ),
            expects=question.expects,
            asked=question.asked,
            facts=facts,
        )


def _cannot_promise(state: ConversationState, now: datetime) -> tuple[Part, ...]:
    """A time was wished for that cannot be promised: said so; it is put down all the same."""
    wish = state.slots.get(WISHED_TIME)
    if wish is None or wished_at(wish, now) is not None:
        return ()
    return (Line("promise.wish", slots={"wish": wish}),)


def _team(owner: str | None) -> str:
    """A team as callers know it; a role ("head of ...") is none."""
    return owner if owner is not None and owner.endswith((" team", " desk")) else "service team"


def _kind(proposal: Proposal) -> str:
    return str(proposal.arguments["kind"])
