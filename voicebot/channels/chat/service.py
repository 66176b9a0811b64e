"""Chat turns: a message in, words out, by the same orchestrator as a call.

    service = ChatService(orchestrator, database, keys, deployment.phrases)
    reply = await service.say(None, "When do you open?")
    reply = await service.say(reply.conversation_id, "And on Sunday?")

What was sent counts as heard. A message that comes again after the server failed in between is
answered with the turn it already has. What comes late (an answer that a colleague had to approve) goes
to the sockets that are open, else with the next reply, on whatever node that is. So does what a colleague
writes (`bringing`).
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, aclosing

import structlog

from voicebot.channels.chat import idle, waiting
from voicebot.channels.chat.bringing import Bringing
from voicebot.channels.chat.errors import (
    ChatError,
    ChatFailed,
    ChatOver,
    ChatUnavailable,
    UnknownChat,
)
from voicebot.channels.chat.message import clean, is_conversation_id, phone_number
from voicebot.channels.chat.reply import (
    ChatEvent,
    ChatReply,
    ChatSoFar,
    ClauseWritten,
    TurnDone,
    TurnStarted,
)
from voicebot.channels.chat.telling import ChatTurn, Telling
from voicebot.channels.chat.turns import TRIES, Turns
from voicebot.channels.chat.turnstile import Turnstile
from voicebot.channels.chat.watchers import Watchers
from voicebot.core import metrics
from voicebot.core.conversation import (
    Action,
    CallStarted,
    Channel,
    Decision,
    Heard,
    TransferFailed,
    TurnInput,
    Utterance,
)
from voicebot.core.store import handoffs
from voicebot.core.store.conversations import (
    ConversationEnded,
    Conversations,
    Snapshot,
    StaleState,
    UnknownConversation,
)
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.dialogue import state as states
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.plan import HasChatAlready
from voicebot.dialogue.state import UnknownState

log = structlog.get_logger(__name__)

IDLE_S = 1800.0
ATTEND_S = 180.0
"""How long this process listens for what a turn waits for; a colleague's approval is due well before."""
_GIVEN_BACK = TransferFailed(reason="handed_back", spoke=True)
_DOWN = (
    "our records cannot be reached: nothing written before is lost; send the message again in a few seconds"
)


class ChatService:
    """Runs chat turns. One per node; shared by all conversations.

    Args:
        orchestrator: plans and commits.
        database: ours.
        keys: opens and seals what people write.
        phrases: the deployment's lines.
        idle_s: seconds without a message after which a chat is over.
        poke: called after a commit that put events into the outbox.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        database: Database,
        keys: KeyRing,
        phrases: Phrases,
        *,
        idle_s: float = IDLE_S,
        poke: Callable[[], None] = lambda: None,
    ) -> None:
        self._orchestrator = orchestrator
        self._database = database
        self._keys = keys
        self._phrases = phrases.on(Channel.CHAT)
        self._idle_s = idle_s
        self._poke = poke
        self._conversations = Conversations(keys)
        self._turnstile = Turnstile()
        self._turns = Turns(orchestrator, database, keys, self._phrases, poke, self.attend)
        self._telling = Telling(database, keys)
        self._attending: dict[str, asyncio.Task[None]] = {}
        self.watchers = Watchers()
        """The sockets that are open here."""
        self.bringing = Bringing(database, keys, self.watchers, self.handed_back)
        """What colleagues write, on its way to these sockets."""

    async def say(self, conversation_id: str | None, text: str, phone: str | None = None) -> ChatReply:
        """One message and its whole answer.

        Args:
            conversation_id: None begins a conversation.
            text: what the customer wrote.
            phone: his number, a hint for colleagues; counts with the first message.

        Raises:
            ChatError: the message is not answered; the error says what to do.
        """
        async with aclosing(self.stream(conversation_id, text, phone)) as events:
            async for event in events:
                if isinstance(event, TurnDone):
                    return await self._with_colleague(event.reply)
        raise AssertionError("a stream ends with TurnDone or raises")

    async def stream(
        self, conversation_id: str | None, text: str, phone: str | None = None
    ) -> AsyncGenerator[ChatEvent]:
        """One message; its answer as it is written, `TurnDone` last. Closing it stops the writing.

        Raises:
            ChatError: as `say`.
        """
        words, number = clean(text), phone_number(phone)
        if conversation_id is not None and not is_conversation_id(conversation_id):
            raise UnknownChat
        try:
            known = conversation_id or await self._begin(number)
            async with self._turnstile.one(known), aclosing(self._answer(known, words)) as events:
                async for event in events:
                    if isinstance(event, TurnDone):  # who asked for no more closes the stream here
                        metrics.chat_messages.labels("answered").inc()
                    yield event
        except ChatError as error:
            metrics.chat_messages.labels(error.code).inc()
            raise
        except DatabaseDown as error:
            metrics.chat_messages.labels("unavailable").inc()
            log.error("chat.database_down", conversation=conversation_id, error=str(error))
            raise ChatUnavailable(_DOWN) from error
        except (ConversationEnded, UnknownState, SubjectErased) as error:
            metrics.chat_messages.labels("conversation_ended").inc()
            log.warning("chat.cannot_go_on", conversation=conversation_id, error=type(error).__name__)
            raise ChatOver from error
        except Exception as error:
            # Whatever it is, the customer waits for an answer: he gets one, and we get the traceback.
            metrics.chat_messages.labels("failed").inc()
            log.exception("chat.failed", conversation=conversation_id)
            raise ChatFailed from error

    async def so_far(self, conversation_id: str, after: int) -> ChatSoFar:
        """A chat's lines, for a page that was loaded again.

        Raises:
            UnknownChat: there is none of that id.
            ChatOver: it is over, or there is none any more.
            ChatUnavailable: the database does not answer.
        """
        if not is_conversation_id(conversation_id):
            raise UnknownChat
        try:
            found = await self.bringing.so_far(conversation_id, after)
        except DatabaseDown as error:
            raise ChatUnavailable(_DOWN) from error
        except SubjectErased as error:
            raise ChatOver from error
        if found is None:
            raise ChatOver
        return found

    async def handed_back(self, conversation_id: str) -> bool:
        """The bot has a chat again that a person gave back, and says so by itself. False: it had it already.

        It has it with the turn that says so: after a failure it is where it was, to be tried again.

        Raises:
            ChatError, ConversationEnded, UnknownState, SubjectErased, DatabaseDown: there was no turn.
        """
        async with self._turnstile.one(conversation_id):
            try:
                await self._late_turn(conversation_id, _GIVEN_BACK)
            except HasChatAlready:
                return False
            return True

    async def sweep(self) -> None:
        """Ends forgotten chats; runs until cancelled, once a minute."""
        while True:
            async with self._database.transaction() as tx:
                ended = await idle.sweep(tx, self._keys, self._idle_s)
            if ended:
                log.info("chat.idle_ended", conversations=ended)
                self._poke()
            await asyncio.sleep(idle.SWEEP_S)

    async def close(self) -> None:
        """Waits until what was sent is written down; listens for nothing any more."""
        for task in list(self._attending.values()):
            task.cancel()
        if self._attending:
            await asyncio.wait(self._attending.values())
        await self.bringing.close()
        await self._turns.close()

    async def _begin(self, number: str | None) -> str:
        async with self._database.transaction() as tx:
            return await self._conversations.create(
                tx,
                channel=Channel.CHAT,
                call_sid=None,
                caller=number,
                called=None,
                state=states.new_state(),
            )

    async def _answer(self, conversation_id: str, text: str) -> AsyncGenerator[ChatEvent]:
        await self._turns.write_late(conversation_id)
        snapshot = await self._open(conversation_id)
        replies: list[str] = []
        again = await self._asked_again(snapshot, text)
        if again is not None:
            for event in self._telling.told(conversation_id, again):
                yield event
            over = again.decision.action is Action.END
            await self._turns.sent(conversation_id, again.turn, Heard(text=again.words, complete=True), over)
            yield await self._telling.done(conversation_id, again, [again.words])
            return
        for unsent in _unsent(snapshot):
            replies.append(unsent.words)
            yield TurnStarted(conversation_id=conversation_id, turn=unsent.turn)
            yield ClauseWritten(conversation_id=conversation_id, turn=unsent.turn, text=unsent.words)
            heard = Heard(text=unsent.words, complete=True)
            await self._turns.sent(conversation_id, unsent.turn, heard, over=False)
        first: TurnInput | None = CallStarted() if snapshot.turn == 0 else None
        if snapshot.status == "handoff":
            if not await self._is_done(conversation_id):
                async for event in self._for_the_person(snapshot, text, replies):
                    yield event
                return
            first = _GIVEN_BACK
        if first is not None:
            try:
                async with aclosing(self._turns.run(conversation_id, first, quiet=True)) as events:
                    async for event in events:
                        if isinstance(event, ChatTurn):
                            replies.append(event.words)
                        else:
                            yield event
            except HasChatAlready:  # another node has said so
                pass
        async with aclosing(self._turns.run(conversation_id, Utterance(text=text))) as events:
            async for event in events:
                if isinstance(event, ChatTurn):
                    yield await self._telling.done(conversation_id, event, [*replies, event.words])
                else:
                    yield event

    async def _open(self, conversation_id: str) -> Snapshot:
        """The chat as it stands; one that was forgotten is ended here."""
        async with self._database.transaction() as tx:
            try:
                snapshot = await self._conversations.load(tx, conversation_id)
            except UnknownConversation as error:
                raise UnknownChat from error
            if snapshot.channel is not Channel.CHAT:
                raise UnknownChat
            over = snapshot.status == "ended"
            if snapshot.status == "live" and await idle.idle_s(tx, conversation_id) > self._idle_s:
                over = True
                await idle.end(tx, self._keys, self._conversations, snapshot, "idle")
        if over:
            self._poke()
            raise ChatOver
        return snapshot

    def attend(self, conversation_id: str) -> None:
        """Listens for a while for what a turn waits for, beside the conversation's messages."""
        if conversation_id in self._attending:
            return
        listening = ExitStack()
        box = listening.enter_context(self._orchestrator.inbox.open(conversation_id))
        task = asyncio.create_task(self._late_turns(conversation_id, box))
        self._attending[conversation_id] = task
        task.add_done_callback(lambda _: (listening.close(), self._attending.pop(conversation_id, None)))

    async def late(self, conversation_id: str, given: TurnInput) -> None:
        """A turn that no message asked for, whichever process it was meant for.

        Raises:
            ChatError, ConversationEnded, UnknownState, SubjectErased, DatabaseDown: it was not committed.
        """
        async with self._turnstile.one(conversation_id):
            await self._late_turn(conversation_id, given)

    async def _late_turns(self, conversation_id: str, box: asyncio.Queue[TurnInput]) -> None:
        while True:
            try:
                async with asyncio.timeout(ATTEND_S):  # wait_for may swallow the cancellation of `close`
                    given = await box.get()
                await self.late(conversation_id, given)
            except TimeoutError:
                return
            except (ChatError, DatabaseDown, ConversationEnded) as error:
                # Its words, if there are any, go with the next reply; a lost approval is overdue.
                log.error("chat.late_turn", conversation=conversation_id, error=type(error).__name__)
            except Exception:
                log.exception("chat.late_turn_failed", conversation=conversation_id)

    async def _late_turn(self, conversation_id: str, given: TurnInput) -> None:
        """A turn that no message asked for. Without an open socket it is committed and told later."""
        if not self.watchers.reach(conversation_id):
            committed = await self._turns.commit(conversation_id, given)
            await committed.stream.cancel()
            return
        async with aclosing(self._turns.run(conversation_id, given)) as events:
            async for event in events:
                if isinstance(event, ChatTurn):
                    event = await self._telling.done(conversation_id, event, [event.words])
                self.watchers.tell(conversation_id, event)

    async def _asked_again(self, snapshot: Snapshot, text: str) -> ChatTurn | None:
        """The last turn, if it was committed for the same words and nobody got its answer."""
        state = states.load(snapshot.state)
        last = next((turn for turn in state.open_turns if turn.turn == snapshot.turn), None)
        if last is None or last.text is None or last.caller != text:
            return None
        async with self._database.transaction() as tx:
            stored = (await self._conversations.turns(tx, snapshot.id))[-1]
        decision = Decision.model_validate_json(json.dumps(stored["decision"]))
        return ChatTurn(last.turn, decision, last.text, state.handoff)

    async def _with_colleague(self, reply: ChatReply) -> ChatReply:
        try:
            lines = await self.bringing.untold(reply.conversation_id)
        except (DatabaseDown, SubjectErased):  # they stay where they are, for the next reply
            log.error("chat.lines_not_read", conversation=reply.conversation_id)
            return reply
        return reply.model_copy(update={"colleague": lines}) if lines else reply

    async def _is_done(self, conversation_id: str) -> bool:
        """Whether the person whom the chat was given to has settled it: nobody reads it any more."""
        async with self._database.transaction() as tx:
            rows = await handoffs.list(tx, conversation_id=conversation_id)
        return bool(rows) and rows[-1]["status"] == "done"

    async def _for_the_person(
        self, snapshot: Snapshot, text: str, replies: list[str]
    ) -> AsyncGenerator[ChatEvent]:
        conversation_id = snapshot.id
        async with self._database.transaction() as tx:
            rows = await handoffs.list(tx, conversation_id=conversation_id)
        latest = rows[-1] if rows else None
        since = snapshot.turn - latest["turn"] if latest is not None else 0
        taken = latest is not None and latest["status"] in handoffs.HELD
        said = self._phrases.text("handoff.taken" if taken else "handoff.waiting", since)
        if latest is not None and latest["status"] == "bridged":
            said = ""  # they write to each other: nobody else answers
        turn = await self._keep(conversation_id, text, said)
        kept = ChatTurn(turn, waiting.DECISION, said, latest["id"] if latest is not None else None)
        for event in self._telling.told(conversation_id, kept):
            yield event
        yield await self._telling.done(conversation_id, kept, [*replies, said] if said else replies)

    async def _keep(self, conversation_id: str, text: str, said: str) -> int:
        began_s = time.monotonic()
        transaction = f"tx_{secrets.token_hex(16)}"
        for _ in range(TRIES):
            try:
                async with self._database.transaction() as tx:
                    snapshot = await self._conversations.load(tx, conversation_id, lock=True)
                    turn = await waiting.keep(
                        tx,
                        self._keys,
                        self._conversations,
                        snapshot,
                        text,
                        said,
                        transaction,
                        shapes=self._orchestrator.shapes,
                    )
            except StaleState:
                continue
            self._poke()
            decision = waiting.DECISION
            log.info(
                "turn.committed",
                conversation=conversation_id,
                transaction=transaction,
                turn=turn,
                input="utterance",
                intent=decision.intent,
                action=decision.action.value,
                route=decision.route.value,
                row=decision.policy_row,
                ms=round((time.monotonic() - began_s) * 1000, 1),
            )
            return turn
        raise ChatUnavailable("another message came in between: send it again")


def _unsent(snapshot: Snapshot) -> list[ChatTurn]:
    """Turns that were committed for the customer without a message of his, and that he has not got yet."""
    return [
        ChatTurn(turn.turn, waiting.DECISION, turn.text, None)
        for turn in states.load(snapshot.state).open_turns
        if turn.text and turn.caller.startswith("(")
    ]
