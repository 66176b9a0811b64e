"""Makes a plan true: state, turn, act, events, audit, handoff, all in the one transaction it is given.

Keyed by (conversation, turn): the same plan again finds its turn there and changes nothing; another
plan for that turn, another version or another media session is stale.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from voicebot.core.conversation import Channel, Decision, Event, ToolRead, TransferFailed
from voicebot.core.store import audit, chat_lines, drafts, outbox, proposals, remasking, vault, whispers
from voicebot.core.store.conversations import ConversationEnded, Conversations, Snapshot, StaleState
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.actions.changes import Act
from voicebot.dialogue.actions.local import LocalActs
from voicebot.dialogue.doing import Doing
from voicebot.dialogue.flow.draft import ActOutcome, Agreed, Deed, Draft, Fact, Left
from voicebot.dialogue.flow.speech import text_of
from voicebot.dialogue.gatekeeping import Gatekeeping
from voicebot.dialogue.handover import HandoverDesk, HandoverRequest
from voicebot.dialogue.knowledge import gaps, similar
from voicebot.dialogue.memory.memory import Memory
from voicebot.dialogue.payments import Payments, Told
from voicebot.dialogue.plan import HasChatAlready, Plan, Worded, word, words_of
from voicebot.dialogue.reading import mark_used
from voicebot.dialogue.shape import shape_of
from voicebot.safety.identity import Gate

AUDITED = frozenset(
    {
        "identity.verified",
        "identity.not_matched",
        "identity.refused",
        "identity.code_sent",
        "act.done",
        "act.refused",
        "act.failed",
        "act.unknown",
        "act.intended",
        "act.proposed",
        "draft.requested",
        "draft.decided",
        "whisper.taken",
        "card.spoken",
        "guard.blocked",
        "guard.flagged",
    }
)
"""Facts of a turn that are written into the tier-1 audit with it."""


@dataclass(frozen=True)
class Written:
    """A turn as it was written: after its act, if it had one."""

    draft: Draft = field(repr=False)
    worded: Worded = field(repr=False)
    decision: Decision
    handoff: str | None
    again: bool = False
    """This plan had been committed before: nothing was written now."""
    acting: str | None = None
    """The key of its act, which is made elsewhere now: `Committing.carry_out`, then `arrive`."""


class Committing:
    """Writes turns. Stateless; one per orchestrator.

    Args:
        keys: seals what people said.
        handoffs: stores handoffs in the turn's transaction.
        acts: does what a turn does.
        doing: makes the changes that callers agree to.
        memory: keeps what a verified customer's conversation was about.
        gate: says who is verified.
        gatekeeping: counts what was tried.
        policy_version: of the deployment, for handoffs.
        known_words: words of the deployment's own examples, which are nobody's name.
        is_topic: whether an intent is a question of its own.
        now: the time, aware.
        payments: ends card payments.
    """

    def __init__(
        self,
        keys: KeyRing,
        handoffs: HandoverDesk,
        acts: LocalActs,
        doing: Doing,
        memory: Memory,
        gate: Gate,
        gatekeeping: Gatekeeping,
        policy_version: str,
        known_words: frozenset[str] = frozenset(),
        is_topic: Callable[[str], bool] = lambda intent: True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        payments: Payments | None = None,
    ) -> None:
        self._payments = payments
        self._is_topic = is_topic
        self._now = now
        self._memory = memory
        self._gate = gate
        self._gatekeeping = gatekeeping
        self._known_words = known_words
        self._keys = keys
        self._handoffs = handoffs
        self._acts = acts
        self._doing = doing
        self._policy_version = policy_version
        self._conversations = Conversations(keys)

    async def write(self, tx: Transaction, plan: Plan) -> Written:
        """All of a commit.

        Raises:
            StaleState: another plan, node or media session came first.
            ConversationEnded: the chat is over. A call that hung up may still be given to a person.
            HasChatAlready: a chat that was given back is the bot's with the turn that says so; it had one.
        """
        current = await self._conversations.load(tx, plan.conversation_id, lock=True)
        if current.turn >= plan.turn:
            return await self._already(tx, plan, current)
        if (current.version, current.epoch) != (plan.snapshot.version, plan.snapshot.epoch):
            raise StaleState(f"{plan.conversation_id} moved on since turn {plan.turn} was planned")
        if current.status == "ended" and current.channel is Channel.CHAT:
            raise ConversationEnded(
                f"chat {plan.conversation_id} ended before turn {plan.turn} was committed"
            )
        given_back = isinstance(plan.input, TransferFailed) and current.channel is Channel.CHAT
        if given_back and not await chat_lines.take_back(tx, plan.conversation_id):
            raise HasChatAlready
        plan = await self._tried(tx, plan)
        draft, worded = plan.draft, plan.worded
        await self._leave(tx, plan)
        if draft.deed is not None:  # speaks only from the outcome
            outcome = await self._do(tx, plan, draft.deed)
            if outcome is None:
                return await self._depart(tx, plan)
            draft = _like(plan.draft, after_deed(draft.deed, outcome))
            worded = word(draft, plan.phrases, plan.turn, plan.input)
        written = await self._with_handoff(
            tx, plan, Written(draft, worded, draft.decision(plan.versions), None)
        )
        await self._store(tx, plan, written)
        await self._tell(tx, plan, written)
        if written.handoff is not None and current.status != "ended":  # who hung up now can be called back
            await self._conversations.set_status(tx, plan.conversation_id, "handoff")
        return written

    async def carry_out(self, plan: Plan) -> ActOutcome:
        """Makes the change of a turn whose `Written.acting` is set. No transaction is open; see `Doing`."""
        agreed = _agreed(plan)
        return await self._doing.carry_out(agreed.prepared, self._act(plan, agreed))

    async def arrive(self, tx: Transaction, plan: Plan, outcome: ActOutcome) -> Written:
        """What came of it: the act, its audit, the turn's words and the state that they leave."""
        current = await self._conversations.load(tx, plan.conversation_id, lock=True)
        agreed = _agreed(plan)
        act = self._act(plan, agreed)
        outcome = await self._doing.settle(tx, agreed.prepared, act, outcome, intent=plan.draft.intent)
        deed = plan.draft.deed
        assert deed is not None
        draft = _like(plan.draft, after_deed(deed, outcome))
        worded = word(draft, plan.phrases, plan.turn, plan.input)
        written = await self._with_handoff(
            tx, plan, Written(draft, worded, draft.decision(plan.versions), None)
        )
        state = plan.masks.state(states.dump(written.worded.state))
        if current.version != plan.snapshot.version + 1:  # it went on meanwhile: told with what comes next
            state = _told_later(current.state, act.key, f"act_{deed.name}", written, plan)
        await self._conversations.advance(tx, current, turn=current.turn, state=state)
        await self._conversations.finish_turn(
            tx,
            plan.conversation_id,
            turn=plan.turn,
            decision=plan.masks.hide(written.decision.model_dump(mode="json")),
            spoken=plan.masks.hide(written.worded.said),
        )
        await self._tell(tx, plan, written, kind="turn.acted")
        if written.handoff is not None and current.status != "ended":
            await self._conversations.set_status(tx, plan.conversation_id, "handoff")
        return written

    async def _depart(self, tx: Transaction, plan: Plan) -> Written:
        """The turn of a change that is being made elsewhere: it stands, and has no words yet."""
        agreed = _agreed(plan)
        tool = agreed.prepared.tool.name
        key = self._act(plan, agreed).key
        facts = (Fact("act.intended", {"act": tool, "proposal": agreed.proposed.id, "consent": agreed.by}),)
        waits = ToolRead(tool=tool, arguments=agreed.prepared.arguments)
        draft = replace(plan.draft, deed=None, facts=facts, tools=(*plan.draft.tools, waits))
        worded = Worded((), None, draft.state)
        written = Written(draft, worded, draft.decision(plan.versions), None, acting=key)
        await self._store(tx, plan, written)
        await self._tell(tx, plan, written)
        return written

    async def _tried(self, tx: Transaction, plan: Plan) -> Plan:
        """The plan once its try at the gate counted; another turn if that came out otherwise."""
        trial = plan.draft.trial
        if trial is None:
            return plan
        outcome = await self._gatekeeping.perform(tx, plan.snapshot, plan.turn, trial)
        return _after_trial(plan, outcome)

    async def _leave(self, tx: Transaction, plan: Plan) -> None:
        """What becomes of a read-back that was open: asked for again, agreed to by this turn, or void."""
        draft = plan.draft
        agreed = draft.deed.agreed if draft.deed is not None else None
        asked = draft.asked.proposes if draft.asked is not None else None
        keep = agreed.proposed.id if agreed is not None else asked
        left = draft.leaves or Left("voided", "another turn came between")
        await proposals.close_open(
            tx, plan.conversation_id, keep=keep, status=left.status, reason=left.reason
        )
        if draft.approves is not None:
            proposal, agent = draft.approves
            if not await proposals.approve(tx, proposal, by=agent, turn=plan.turn):
                raise StaleState(f"proposal {proposal} waits no more")
        elif agreed is None and asked is not None and draft.proposal is None:
            again = proposals.read_again if draft.reads_again else proposals.asked_again
            await again(tx, asked, turn=plan.turn)
        for held in states.load(plan.snapshot.state).held:
            if held.proposes is not None and all(one.draft != held.draft for one in draft.state.held):
                await proposals.drop(tx, held.proposes, reason="nobody approved it")

    async def _with_handoff(self, tx: Transaction, plan: Plan, written: Written) -> Written:
        """With the payload for the person who takes over, if one does."""
        if written.draft.after != "hand_over":
            return written
        turns = tuple(await self._conversations.turns(tx, plan.conversation_id))
        request = self._handover(plan, written, turns)
        shape, _ = self._shape(plan, written, (*_decisions(turns), written.decision))
        if shape is not None:
            request = replace(request, similar=tuple(await similar.find(tx, shape)))
        handoff = await self._handoffs.store(tx, _masked(request, plan))
        for held in written.worded.state.held:  # the person answers that, too
            await self._withdraw(tx, plan, held)
        state = written.worded.state.model_copy(update={"handoff": handoff, "held": ()})
        return replace(written, worded=replace(written.worded, state=state), handoff=handoff)

    async def _withdraw(self, tx: Transaction, plan: Plan, held: states.HeldWords) -> None:
        if held.proposes is not None:
            await proposals.drop(tx, held.proposes, reason="a person took over")
        if await drafts.withdraw(tx, held.draft, reason="handoff"):
            facts = {"draft": held.draft, "reason": "handoff"}
            await self.event(
                tx, plan.snapshot, plan.turn, "draft.withdrawn", facts, plan.transaction_id, about=held.draft
            )
            await self._audit(tx, plan, "draft.withdrawn", facts)

    async def event(
        self,
        tx: Transaction,
        snapshot: Snapshot,
        turn: int,
        kind: str,
        data: dict[str, Any],
        transaction_id: str | None = None,
        *,
        about: str = "",
    ) -> None:
        """A fact of a turn, for others. ``about``: which, where a turn may have several of a kind."""
        which = f"_{about}" if about else ""
        event = Event(
            id=f"ev_{snapshot.id[3:]}_{turn}_{kind.replace('.', '_')}{which}",
            type=kind,
            conversation_id=snapshot.id,
            turn=turn,
            transaction_id=transaction_id,
            time=self._now().astimezone(UTC),
            data=data,
        )
        await outbox.append(tx, self._keys, snapshot.subject_id, event)

    def _act(self, plan: Plan, agreed: Agreed) -> Act:
        return self._doing.act(
            agreed,
            conversation_id=plan.conversation_id,
            turn=plan.turn,
            transaction_id=plan.transaction_id,
        )

    async def _do(self, tx: Transaction, plan: Plan, deed: Deed) -> ActOutcome | None:
        """None: it is intended, and made elsewhere once this transaction stands."""
        if deed.agreed is not None:
            return await self._doing.begin(tx, deed.agreed, self._act(plan, deed.agreed))
        if deed.kind == "read":
            outcome = await plan.reads.stateful(tx, deed.name, deed.arguments)
            await plan.reads.note(tx, deed.name)
            return outcome
        arguments = plan.masks.hide(deed.arguments)
        return await self._acts.perform(tx, plan.snapshot, plan.turn, deed.name, arguments)

    async def _already(self, tx: Transaction, plan: Plan, current: Snapshot) -> Written:
        """The turn is there: fine if this very plan wrote it, else the plan is stale."""
        row = await self._conversations.turn(tx, plan.conversation_id, plan.turn)
        if row is None or row["transaction_id"] != plan.transaction_id:
            raise StaleState(f"turn {plan.turn} of {plan.conversation_id} was committed by another plan")
        tried = await self._gatekeeping.already(tx, plan.conversation_id, plan.turn)
        plan = plan if tried is None else _after_trial(plan, tried)
        draft, worded = plan.draft, plan.worded
        deed = draft.deed
        if deed is not None:
            if deed.agreed is not None:
                key = self._act(plan, deed.agreed).key
                known = await self._doing.stored(tx, key)
                if known is None:
                    stands = replace(draft, deed=None)
                    worded = Worded((), None, draft.state)
                    decision = stands.decision(plan.versions)
                    return Written(stands, worded, decision, None, again=True, acting=key)
                outcome = known
            elif deed.kind == "act":
                outcome = await self._acts.outcome_of(tx, plan.conversation_id, plan.turn, deed.name)
            else:  # this very plan has done it, and knows
                outcome = await plan.reads.stateful(tx, deed.name, deed.arguments)
            draft = _like(plan.draft, after_deed(deed, outcome))
            worded = word(draft, plan.phrases, plan.turn, plan.input)
        handoff = states.load(current.state).handoff if draft.after == "hand_over" else None
        return Written(draft, worded, draft.decision(plan.versions), handoff, again=True)

    async def _store(self, tx: Transaction, plan: Plan, written: Written) -> None:
        draft, masks = written.draft, plan.masks
        state = masks.state(states.dump(written.worded.state))
        await self._conversations.advance(tx, plan.snapshot, turn=plan.turn, state=state)
        await vault.save(tx, self._keys, plan.conversation_id, turn=plan.turn, values=masks.fresh)
        await vault.forget(tx, plan.conversation_id, masks.unkept)
        if masks.joined is not None:
            await remasking.again(
                tx, self._keys, plan.conversation_id, since=masks.since, before=plan.turn, hide=masks.hide
            )
        await self._conversations.save_turn(
            tx,
            plan.conversation_id,
            turn=plan.turn,
            transaction_id=plan.transaction_id,
            input=masks.stored(plan.input),
            decision=masks.hide(written.decision.model_dump(mode="json")),
            spoken=masks.hide(written.worded.said),
        )
        if plan.reads.personal:
            await mark_used(tx, conversation_id=plan.conversation_id, turn=plan.turn, actor=plan.reads.actor)
        if draft.approval is not None:
            await drafts.save(
                tx,
                self._keys,
                conversation_id=plan.conversation_id,
                turn=plan.turn,
                intent=draft.intent,
                due_at=self._now() + timedelta(seconds=draft.approval.within_s),
                words=masks.hide(
                    {
                        "question": draft.approval.question,
                        "words": draft.approval.words,
                        "sources": list(draft.approval.sources),
                    }
                ),
                proposal_id=draft.approval.proposal,
            )
        if draft.proposal is not None:
            await proposals.save(
                tx,
                self._keys,
                draft.proposal.proposed,
                conversation_id=plan.conversation_id,
                turn=plan.turn,
                waits=draft.proposal.waits,
            )
        if draft.settles is not None and self._payments is not None:
            payment, how = draft.settles
            await self._payments.settle_in(tx, payment, Told(how, "turn", "bot"))
        if draft.gap is not None:
            await gaps.log(
                tx,
                draft.question,
                draft.intent,
                draft.gap,
                index=self._keys.index,
                conversation=plan.conversation_id,
                known=self._known_words,
            )
        customer = self._gate.customer(written.worded.state.gate)
        if customer is not None:
            await self._memory.note(
                tx,
                customer,
                snapshot=plan.snapshot,
                turn=plan.turn,
                decision=_hidden(written.decision, plan),
                remembers=draft.remembers,
                slots=draft.gave,
                offered=draft.offered,
            )
        if draft.after != "continue":
            await self._resolved(tx, plan, written)
        if draft.decides is not None:
            draft_id, verdict, by = draft.decides
            if not await drafts.settle(tx, draft_id, verdict=verdict, by=by, turn=plan.turn):
                raise StaleState(f"draft {draft_id} was decided already")
        if draft.takes is not None and not await whispers.take(tx, draft.takes, turn=plan.turn):
            raise StaleState(f"whisper {draft.takes} was taken up already")

    async def _resolved(self, tx: Transaction, plan: Plan, written: Written) -> None:
        """How a conversation of this shape ended, counted: closed sets only, nothing leads back to it."""
        turns = _decisions(await self._conversations.turns(tx, plan.conversation_id))
        shape, resolution = self._shape(plan, written, turns)
        if shape is not None:
            articles = [source.article for decision in turns for source in decision.sources]
            await similar.record(tx, shape, resolution=resolution, articles=articles)

    def _shape(
        self, plan: Plan, written: Written, turns: Sequence[Decision]
    ) -> tuple[similar.Shape | None, similar.Resolution]:
        state = written.worded.state
        return shape_of(
            turns,
            channel=plan.snapshot.channel,
            verified=state.gate.match is not None,
            region=state.customer.region if state.customer else None,
            is_topic=self._is_topic,
        )

    async def _tell(
        self, tx: Transaction, plan: Plan, written: Written, kind: str = "turn.committed"
    ) -> None:
        """Events and tier-1 audit of a turn."""
        draft, decision = written.draft, written.decision
        for fact in draft.facts:
            await self._fact(tx, plan, fact.type, fact.data)
        if draft.approval is not None:
            await self.event(
                tx,
                plan.snapshot,
                plan.turn,
                "draft.requested",
                {
                    "draft": draft.approval.draft,
                    "question": plan.masks.hide(draft.approval.question),
                    "words": plan.masks.hide(draft.approval.words),
                    "within_s": draft.approval.within_s,
                },
                plan.transaction_id,
            )
            await self._audit(tx, plan, "draft.requested", {"draft": draft.approval.draft})
        data = {
            "input": plan.masks.stored(plan.input),
            "decision": plan.masks.hide(decision.model_dump(mode="json")),
            "said": plan.masks.hide(written.worded.said),
            "after": draft.after,
        }
        await self.event(tx, plan.snapshot, plan.turn, kind, data, plan.transaction_id)
        if written.handoff is not None:
            facts = {"handoff": written.handoff, "trigger": decision.trigger, "urgency": draft.urgency}
            if decision.fired is not None:
                facts["fired"] = plan.masks.hide(decision.fired.model_dump(mode="json"))
            await self.event(tx, plan.snapshot, plan.turn, "handoff.requested", facts, plan.transaction_id)
            await self._audit(tx, plan, "handoff.requested", facts)

    async def _fact(self, tx: Transaction, plan: Plan, kind: str, data: dict[str, Any]) -> None:
        data = plan.masks.hide(data)
        await self.event(tx, plan.snapshot, plan.turn, kind, data, plan.transaction_id)
        if kind in AUDITED:
            await self._audit(tx, plan, kind, data)

    async def _audit(self, tx: Transaction, plan: Plan, action: str, facts: dict[str, Any]) -> None:
        await audit.record(
            tx,
            action=action,
            actor="bot",
            facts=facts,
            conversation_id=plan.conversation_id,
            turn=plan.turn,
            transaction_id=plan.transaction_id,
        )

    def _handover(self, plan: Plan, written: Written, turns: tuple[dict[str, Any], ...]) -> HandoverRequest:
        return HandoverRequest(
            snapshot=plan.snapshot,
            turn=plan.turn,
            state=written.worded.state,
            decision=written.decision,
            trigger=written.decision.trigger or "unknown",
            urgency=written.draft.urgency,
            caller=words_of(plan.input),
            said=written.worded.said,
            turns=turns,
            policy_version=self._policy_version,
            owner=written.draft.owner,
            form=written.draft.form,
            fired=written.decision.fired,
        )


def _after_trial(plan: Plan, outcome: str) -> Plan:
    """The plan as it stands, or the turn for what came of its try instead."""
    trial = plan.draft.trial
    if trial is None or outcome == trial.expected:
        return plan
    draft = _like(plan.draft, trial.then(outcome))
    return replace(plan, draft=draft, worded=word(draft, plan.phrases, plan.turn, plan.input))


def after_deed(deed: Deed, outcome: ActOutcome) -> Draft:
    """The turn once its deed was done; the deed stands among its tools."""
    draft = deed.then(outcome)
    done = ToolRead(
        tool=deed.name,
        arguments=deed.arguments,
        result=outcome.result if outcome.status == "done" else None,
        error=None if outcome.status == "done" else str(outcome.result.get("outcome", outcome.status)),
    )
    return replace(draft, tools=(*draft.tools, done), deed=None)


def _agreed(plan: Plan) -> Agreed:
    deed = plan.draft.deed
    assert deed is not None
    assert deed.agreed is not None  # only a change is made elsewhere
    return deed.agreed


def _told_later(stored: dict[str, Any], key: str, owed: str, written: Written, plan: Plan) -> dict[str, Any]:
    """The state of a conversation that went on before the outcome was known: it owes the words."""
    state = states.load(stored)
    acting = tuple(one for one in state.acting if one.key != key)
    words = next((text_of(part, plan.phrases) for part in written.draft.parts), None)
    told = (states.Owed(key=owed, text=words),) if words else ()
    changed = state.model_copy(update={"acting": acting, "owed": (*state.owed, *told)})
    return plan.masks.state(states.dump(changed))


def _masked(request: HandoverRequest, plan: Plan) -> HandoverRequest:
    """What leaves for a person holds tokens."""
    masks = plan.masks
    return replace(
        request,
        state=states.load(masks.state(states.dump(request.state))),
        decision=None if request.decision is None else _hidden(request.decision, plan),
        said=masks.hide(request.said),
        form=masks.hide(request.form),
    )


def _hidden(decision: Decision, plan: Plan) -> Decision:
    return Decision.model_validate_json(json.dumps(plan.masks.hide(decision.model_dump(mode="json"))))


def _decisions(turns: Sequence[dict[str, Any]]) -> tuple[Decision, ...]:
    return tuple(Decision.model_validate_json(json.dumps(row["decision"])) for row in turns)


def _like(planned: Draft, done: Draft) -> Draft:
    """What was read before the deed belongs to the turn after it."""
    return replace(
        done,
        category=planned.category,
        scores=planned.scores,
        remembers=planned.remembers,
        gave={**planned.gave, **done.gave},
    )
