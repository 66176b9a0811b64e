"""Answers: from articles, or from a tool behind the gate. Awaits its reads, writes nothing."""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import Action, Confidences, Route, ToolRead
from voicebot.dialogue.actions.tool import Outcome
from voicebot.dialogue.flow.abstaining import Abstaining
from voicebot.dialogue.flow.draft import ActOutcome, Deed, Draft, Fact
from voicebot.dialogue.flow.holding import Holding
from voicebot.dialogue.flow.promising import Promising
from voicebot.dialogue.flow.proposing import Proposing
from voicebot.dialogue.flow.questions import YES_NO, Question
from voicebot.dialogue.flow.reads import Found
from voicebot.dialogue.flow.routing import Routing
from voicebot.dialogue.flow.rules import Rules, owner_of
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line, Part, Said, Written
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.flow.whispering import notes_on, without
from voicebot.dialogue.generation.backing import NoFact, alike, back, onward_of
from voicebot.dialogue.generation.grounded import quote
from voicebot.dialogue.generation.more import sentences_for
from voicebot.dialogue.generation.request import GenerationRequest
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.memory.recall import TOLD, Recall
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Asked, AskedKind, ConversationState, Note, Pending
from voicebot.safety.identity import Gate
from voicebot.safety.policy import IntentRule, Ruling
from voicebot.safety.triggers.faults import tool_error

CLEAR = 0.60
"""Grounding from which an answer that is allowed is given, though another article fits nearly as well."""
_OURS = frozenset({Action.ANSWER, Action.ABSTAIN, Action.CLARIFY})
"""Rulings under which the bot itself speaks."""


class Answers:
    """Drafts answering turns. Stateless."""

    def __init__(
        self,
        rules: Rules,
        gate: Gate,
        phrases: Phrases,
        steering: Steering,
        abstaining: Abstaining,
        promising: Promising,
        holding: Holding,
        routing: Routing,
        writers: Writers,
        proposing: Proposing,
    ) -> None:
        self._rules = rules
        self._gate = gate
        self._phrases = phrases
        self._steering = steering
        self._abstaining = abstaining
        self._promising = promising
        self._holding = holding
        self._routing = routing
        self._writers = writers
        self._proposing = proposing

    async def from_articles(
        self,
        state: ConversationState,
        want: Want,
        rule: IntentRule,
        setting: Setting,
        *,
        article: str | None = None,
    ) -> Draft:
        """An answer out of the articles, or what policy has instead. ``article``: the caller chose it."""
        region = state.customer.region if state.customer else None
        found = await setting.reads.articles(want.text, intent=want.intent, region=region)
        if article is not None:
            found = _only(found, article)
        backing = back(want.text, found.passages, meant=article is not None)
        if article is None and (isinstance(backing.lack, NoFact) or not backing.whole):
            other = await setting.reads.articles(want.text, intent=None, region=region)
            wider = back(want.text, other.passages)
            if wider.lack is None and wider.whole:  # what was asked for stands under another intent
                found, backing = other, wider
        chosen = article is not None and backing.lack is None
        grounding = found.grounding if chosen else backing.grounding
        found = Found(backing.passages, grounding, alike(want.text, found.ambiguous))
        confidences = Confidences(
            classification=round(want.confidence, 4), grounding=round(found.grounding, 4)
        )
        ruling = self._rules.decide(state, setting, want.intent, confidences)
        if backing.lack is not None and ruling.action in _OURS:
            return self._abstaining.lacking(state, want, backing.lack, ruling, confidences, setting)
        match ruling.action:
            case Action.ANSWER:
                if article is None and found.ambiguous and found.grounding < CLEAR:
                    unclear = self._abstaining.choice(state, want, found, ruling, confidences)
                    if unclear is not None:
                        return unclear
                return self._answer(state, want, found, ruling, confidences, setting)
            case Action.DRAFT if found.passages:
                request = self._request(state, want, found, Route.GROUNDED, setting, ruling.tier)
                words = quote(request, self._phrases)
                return self._holding.hold(
                    state,
                    want,
                    words,
                    setting,
                    ruling,
                    confidences=confidences,
                    sources=tuple(passage.source for passage in found.passages[:1]),
                )
            case Action.PROPOSE:
                return self._promising.offer(
                    state,
                    want,
                    setting,
                    ruling.row,
                    before=(Line("promise.needs"),),
                    owner=owner_of(ruling),
                    tier=ruling.tier,
                    reasons=ruling.reasons,
                    confidences=confidences,
                )
            case Action.FOLLOW_UP:
                return self._promising.promise(
                    state,
                    want,
                    setting,
                    ruling.row,
                    owner=owner_of(ruling),
                    tier=ruling.tier,
                    reasons=ruling.reasons,
                    confidences=confidences,
                )
            case Action.ROUTE:
                return self._routing.route(state, want, rule, ruling, setting)
            case Action.ESCALATE if ruling.tier > 0:
                return self._routing.escalate(state, want, rule, ruling, setting)
            case _:
                if article is None:
                    unclear = self._abstaining.choice(state, want, found, ruling, confidences)
                    if unclear is not None and ruling.action is not Action.ESCALATE:
                        return unclear
                gap = "weak_grounding" if found.passages else "no_grounding"
                near = any(passage.tagged for passage in found.passages[:1])
                return self._abstaining.unknown(state, want, ruling, confidences, setting, gap=gap, near=near)

    async def from_tool(
        self,
        state: ConversationState,
        setting: Setting,
        *,
        facts: tuple[Fact, ...] = (),
        digits: str | None = None,
        recall: Recall | None = None,
    ) -> Draft:
        """The answer behind the gate: the topic's tool, called for the verified caller."""
        customer = self._gate.customer(state.gate)
        want = state.topic
        rule = self._rules.rule(want.intent) if want else None
        if customer is None or want is None or rule is None or not (rule.tool or rule.act):
            parts: tuple[Part, ...] = (Line("identity.passed"),)
            state = state.model_copy(update={"topic": None})
            parts, tells, recall = _recalled(state, parts, recall)
            state, question = self._next(state, recall)
            draft = self._steering.say(state, "identity", "identity/passed", parts, question, facts=facts)
            return replace(draft, tells=tells, offered=_offered(recall))
        if rule.act is not None:
            # The last conversation is not brought up before a change.
            before: tuple[Part, ...] = (Line("identity.passed"),) if facts else ()
            return await self._proposing.take(
                state, want, rule, setting, reference=digits, before=before, facts=facts
            )
        assert rule.tool is not None  # nothing to do, so something to read
        tool, reads = rule.tool, setting.reads
        slots = {**state.slots, self._gate.rules.factors[0].name: digits or customer.reference}
        if reads.waits_for_commit(tool):
            arguments = reads.at_commit(tool, slots, customer=customer, purpose=want.intent)

            def spoken(outcome: ActOutcome) -> Draft:
                read = ToolRead(
                    tool=tool,
                    arguments=arguments,
                    result=outcome.result if outcome.status == "done" else None,
                    error=None if outcome.status == "done" else outcome.status,
                )
                typed = reads.outcome(tool, outcome.result) if outcome.status == "done" else None
                told = self.told(state, want, read, typed, setting, facts=facts, recall=recall)
                return replace(told, tools=())  # the deed itself stands there

            ruling = self._rules.decide(state, setting, want.intent, _from_records(want))
            base = self._steering.person(state, want.intent, ruling.row, trigger="tool_error")
            return replace(
                base,
                action=ruling.action,
                route=Route.GROUNDED,
                tier=ruling.tier,
                after="continue",
                trigger=None,
                deed=Deed("read", tool, arguments, spoken),
            )
        read, outcome = await reads.tool(tool, slots, customer=customer, purpose=want.intent)
        if outcome is None and read.error is None:
            return self._at_work(state, want, read, setting, facts)
        return self.told(state, want, read, outcome, setting, facts=facts, recall=recall)

    def told(
        self,
        state: ConversationState,
        want: Want,
        read: ToolRead,
        outcome: Outcome | None,
        setting: Setting,
        *,
        facts: tuple[Fact, ...] = (),
        recall: Recall | None = None,
    ) -> Draft:
        """What a tool has said, in words; or that it could not be asked, and a person."""
        confidences = _from_records(want)
        ruling = self._rules.decide(state, setting, want.intent, confidences)
        cause = tool_error(read.tool, read.error) if outcome is None else None
        if outcome is None or cause is not None:
            draft = self._steering.person(
                state,
                want.intent,
                f"{ruling.row}/tool_failed",
                trigger="tool_error",
                evidence=cause.evidence if cause is not None else {},
                before=(Line("tool.failed"),),
                tier=ruling.tier,
                reasons=(read.error or "no result",),
            )
            return replace(draft, tools=(read,), facts=facts)
        fields = {name: getattr(outcome, name) for name in type(outcome).model_fields}
        text = self._phrases.result(read.tool, outcome.outcome, fields)
        if ruling.action is Action.DRAFT:
            held = self._holding.hold(state, want, text, setting, ruling, confidences=confidences)
            return replace(held, tools=(read,), facts=facts)
        before: tuple[Part, ...] = (Line("identity.passed"),) if facts else ()
        done = _without(state.model_copy(update={"topic": None, "answered": want}), want.intent)
        before, tells, recall = _recalled(done, before, recall)
        notes = notes_on(done, want.intent)
        parts: tuple[Part, ...] = (*before, Said(text), *(Said(one.text) for one in notes))
        done, question = self._next(without(done, notes), recall)
        return Draft(
            state=done,
            intent=want.intent,
            action=ruling.action,
            route=Route.GROUNDED,
            row=ruling.row,
            tier=ruling.tier,
            reasons=(*ruling.reasons, *map(_given_by, notes)),
            confidences=confidences,
            parts=(*parts, *question.parts),
            expects=question.expects,
            asked=question.asked,
            tools=(read,),
            tells=(f"{read.tool}.{outcome.outcome}", *tells),
            facts=facts,
            offered=_offered(recall),
        )

    def _answer(
        self,
        state: ConversationState,
        want: Want,
        found: Found,
        ruling: Ruling,
        confidences: Confidences,
        setting: Setting,
    ) -> Draft:
        notes = notes_on(state, want.intent)
        request = self._request(state, want, found, ruling.route, setting, ruling.tier)
        request = request.model_copy(update={"notes": tuple(one.text for one in notes)})
        planned = self._writers.planned(request)
        quoted = self._writers.quote(request, self._phrases) if planned.route is Route.GROUNDED else None
        answer: Part = Written(request) if quoted is None else Said(quoted.spoken, report=quoted.report)
        cited = quoted.sources if quoted is not None else tuple(one.source for one in found.passages)
        state, question = self._steering.and_next(
            without(_without(state.model_copy(update={"answered": want}), want.intent), notes)
        )
        return Draft(
            state=state,
            intent=want.intent,
            action=ruling.action,
            route=planned.route,
            row=ruling.row,
            tier=ruling.tier,
            reasons=(*ruling.reasons, f"written by {planned.writer}", *map(_given_by, notes)),
            confidences=confidences,
            parts=(answer, *question.parts),
            expects=question.expects,
            asked=question.asked,
            sources=cited,
            tells=tuple(source.article for source in cited),
            writer=(planned.writer, planned.prompt),
        )

    async def more(self, state: ConversationState, want: Want, setting: Setting) -> Draft:
        """The caller wants to hear on: what the articles hold beyond what was said."""
        found = await setting.reads.articles(
            want.text, intent=want.intent, region=state.customer.region if state.customer else None
        )
        onward = Found(onward_of(want.text, found.passages), found.grounding)
        request = self._request(state, want, onward, Route.GROUNDED, setting, 0, more=True)
        quoted = self._writers.quote(request, self._phrases)
        state, question = self._steering.and_next(state)
        draft = self._steering.say(
            state,
            want.intent,
            f"{want.intent}/more",
            (Said(quoted.spoken, report=quoted.report),) if quoted.spoken else (Line("know.not"),),
            question,
            reasons=("the caller asked for more",),
        )
        return replace(
            draft,
            route=Route.GROUNDED,
            sources=quoted.sources,
            tells=tuple(source.article for source in quoted.sources),
        )

    def _next(self, state: ConversationState, recall: Recall | None) -> tuple[ConversationState, Question]:
        """What follows: what was left open the last time, offered once, or what is asked otherwise."""
        if recall is None or recall.want is None:
            return self._steering.and_next(state)
        line = Line(recall.line, slots=recall.slots, question=True)
        return state, Question((line,), Asked(kind=AskedKind.WAITING, want=recall.want), YES_NO)

    def _at_work(
        self,
        state: ConversationState,
        want: Want,
        read: ToolRead,
        setting: Setting,
        facts: tuple[Fact, ...],
    ) -> Draft:
        """A slow tool: the caller hears that it is being looked up; the result comes as an input."""
        pending = Pending(
            task=setting.reads.task_of(read), tool=read.tool, want=want, turn=setting.scene.turn
        )
        ruling = self._rules.decide(state, setting, want.intent, _from_records(want))
        question = Question((Line("tool.wait"),), self._steering.open_again(state).asked)
        return Draft(
            state=_without(
                state.model_copy(update={"pending": (*state.pending, pending), "topic": None}), want.intent
            ),
            intent=want.intent,
            action=Action.ANSWER,
            route=Route.FIXED,
            row=f"{ruling.row}/pending",
            tier=ruling.tier,
            reasons=(f"{read.tool} is still at work",),
            confidences=_from_records(want),
            parts=question.parts,
            tools=(read,),
            facts=facts,
        )

    def _request(
        self,
        state: ConversationState,
        want: Want,
        found: Found,
        route: Route,
        setting: Setting,
        tier: int,
        *,
        more: bool = False,
    ) -> GenerationRequest:
        return GenerationRequest(
            conversation_id=setting.scene.conversation_id,
            turn=setting.scene.turn,
            intent=want.intent,
            route=route,
            question=want.text,
            passages=found.passages,
            history=state.history,
            tier=tier,
            sentences=sentences_for(want.text),
            more=more,
        )


def _from_records(want: Want) -> Confidences:
    """What a system of record says is certain, as far as the caller was understood."""
    return Confidences(classification=round(want.confidence, 4), grounding=1.0, answer=1.0)


def _recalled(
    state: ConversationState, parts: tuple[Part, ...], recall: Recall | None
) -> tuple[tuple[Part, ...], tuple[str, ...], Recall | None]:
    """The last conversation, mentioned once: said, or offered unless something of this one waits."""
    if recall is None or (recall.want is not None and state.waiting):
        return parts, (), None
    if recall.want is None:
        return (*parts, Line(recall.line, slots=recall.slots)), (TOLD,), None
    return parts, (TOLD,), recall


def _offered(recall: Recall | None) -> tuple[str, ...]:
    return (recall.want.intent,) if recall is not None and recall.want is not None else ()


def _given_by(note: Note) -> str:
    return f"{note.agent} gave a fact: {note.whisper}"


def _only(found: Found, article: str) -> Found:
    """The passages of the article the caller chose; they are what was meant."""
    passages = tuple(passage for passage in found.passages if passage.source.article == article)
    if not passages:
        return found
    return Found(passages, max(passages[0].grounding, 1.0), ())


def _without(state: ConversationState, intent: str) -> ConversationState:
    """The want is dealt with, so it does not wait any more."""
    return state.model_copy(update={"waiting": tuple(w for w in state.waiting if w.intent != intent)})
