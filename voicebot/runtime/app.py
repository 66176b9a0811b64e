"""The composition root of a node: the only place that knows every room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import structlog
from fastapi import FastAPI

from voicebot import __version__
from voicebot.audio.engines.client import GrpcSpeech, GrpcTranscriber, GrpcTurnJudge
from voicebot.audio.hearing.windows import shared_together
from voicebot.audio.recording.writer import Recorder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.channels.browser.gate import BrowserGate
from voicebot.channels.browser.holding import Holding
from voicebot.channels.chat.access import ChatAccess
from voicebot.channels.chat.colleague import Colleague
from voicebot.channels.chat.router import chat_router
from voicebot.channels.chat.service import ChatService
from voicebot.channels.door import Door
from voicebot.channels.legs import CallOutcome, Leg
from voicebot.channels.machine import Machine
from voicebot.channels.node import NodeState
from voicebot.channels.phone.call import PhoneCall, PhoneKit
from voicebot.channels.phone.leg import LegKit, run_leg
from voicebot.channels.phone.run import run_call
from voicebot.channels.talk.bridge import TalkKit
from voicebot.channels.talk.hub import TalkHub
from voicebot.channels.twilio.live import LiveSessions
from voicebot.channels.twilio.outbound.calls import OutboundCalls, OutboundKit
from voicebot.channels.twilio.outbound.keeping import keep_dialling
from voicebot.channels.twilio.pay import Prompt
from voicebot.channels.twilio.rest import TwilioRest
from voicebot.channels.twilio.router import twilio_router
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.texts import TextSender
from voicebot.channels.twilio.transfer.transfers import Transfers
from voicebot.channels.twilio.unwritten import Unwritten
from voicebot.console import draft_gauges, kpi_gauges
from voicebot.console.access import bearer_guard
from voicebot.console.agent_words import agent_words_router
from voicebot.console.api import Console, api_router
from voicebot.console.assist import assist_router
from voicebot.console.assisting import Assisting
from voicebot.console.calls import Calling, calls_router
from voicebot.console.chats import chats_router
from voicebot.console.corrections import corrections_router
from voicebot.console.drafts import drafts_router
from voicebot.console.follow_ups import follow_ups_router
from voicebot.console.handoffs import Queue, handoffs_router
from voicebot.console.health import health_router
from voicebot.console.kpis import Measures, kpis_router
from voicebot.console.live_routes import live_router
from voicebot.console.pages import pages_router
from voicebot.console.player.opening import Player
from voicebot.console.player.replays import Replays
from voicebot.console.player.routes import recordings_router
from voicebot.console.player.shelf import Shelf
from voicebot.console.presence import presence_router
from voicebot.console.readers import readers
from voicebot.console.talks import talks_router
from voicebot.console.targets import Targets
from voicebot.console.whispers import whispers_router
from voicebot.core.bus import Bus
from voicebot.core.health import Health
from voicebot.core.settings import Settings
from voicebot.core.store import transfers as stored_transfers
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.leases import Leases
from voicebot.core.store.nats_carrier import NatsCarrier
from voicebot.core.store.outbox import Relay
from voicebot.core.store.postgres_carrier import PostgresCarrier
from voicebot.core.store.sharing import Sharing
from voicebot.core.store.switches import EVERY_S, Switchboard
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.generation.writer import model_of
from voicebot.dialogue.handover import HandoverDesk
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.dialogue.outcomes import Outcomes
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import new_state
from voicebot.handoff.connectors.deliveries import Deliveries
from voicebot.handoff.connectors.webhook import webhook_of
from voicebot.handoff.desk import StoredHandoffs
from voicebot.handoff.failed import FailedCalls
from voicebot.handoff.outbound import Outbound
from voicebot.handoff.people import People
from voicebot.handoff.presence import Presence, check_phrases
from voicebot.handoff.reasons import Library
from voicebot.handoff.roster import Roster
from voicebot.handoff.summaries import Summaries
from voicebot.handoff.talks import Talks
from voicebot.handoff.transferring import TransferringDesk
from voicebot.runtime import garbage
from voicebot.runtime.assist import make_assist
from voicebot.runtime.audit_keeping import AuditKeeping
from voicebot.runtime.body_limit import BodyLimit
from voicebot.runtime.boot import NodeBoot
from voicebot.runtime.browser import add_browser
from voicebot.runtime.call_facts import NodeFacts
from voicebot.runtime.crowding import watch_crowding
from voicebot.runtime.draining import before, put_through
from voicebot.runtime.heap import give_back_memory
from voicebot.runtime.lag import watch_loop_lag
from voicebot.runtime.neglect import watch_neglect
from voicebot.runtime.overdue import OverdueDrafts
from voicebot.runtime.talks import sounds, stepping_back
from voicebot.runtime.transfers import make_transfers
from voicebot.runtime.waiting import watch_waits
from voicebot.runtime.waking import Waking

log = structlog.get_logger(__name__)

_LEASE_S = 1.0
LEASE_TTL_S = 3.0
SETTLE_S = 5.0
HAND_OVER_S = 6.0
"""How long the last words of a drained call may take."""
TRANSFER_S = 600.0
"""A caller who is said to wait for longer does not: what told us of them was lost."""


class NodeApp:
    """One node's FastAPI app and everything behind it.

    Args:
        boot: from the supervisor.
        settings: as this process reads them.
        address: ``host:port`` under which this very node answers (in its leases).
    """

    def __init__(self, boot: NodeBoot, settings: Settings, address: str) -> None:
        self._boot = boot
        self._settings = settings
        self._address = address
        self.door = Door()
        machine = Machine(Path(boot.machine) if boot.machine else None, boot.index, boot.nodes)
        self.state = NodeState(node_id=boot.node_id, max_calls=settings.max_calls, machine=machine)
        self._calls: set[PhoneCall] = set()
        self._warm = False
        self._switchboard = Switchboard()
        self._health = Health()
        self._browsers: BrowserGate | None = None
        self._database: Database | None = None
        self._talks: TalkHub | None = None
        self._hurried = asyncio.Event()
        self._deployment = Deployment.load(settings.deployment)
        self.app = FastAPI(title="voicebot", version=__version__, lifespan=self._lifespan)
        self.app.add_middleware(BodyLimit)

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            await self._build(app, stack)
            yield

    async def _build(self, app: FastAPI, stack: AsyncExitStack) -> None:
        settings, boot = self._settings, self._boot
        keys = KeyRing.from_settings(settings)
        linker = Linker(keys)
        self._database = database = await Database.open(boot.database_url, at_commit=linker)
        stack.push_async_callback(database.close)
        keeping = AuditKeeping(database, linker, settings, boot.node_id)
        stack.push_async_callback(keeping.end)
        async with database.transaction() as tx:
            await keys.verify(tx)
        bus = Bus()
        relay = Relay(database, keys, bus)
        carrier = NatsCarrier(settings.nats_url) if settings.nats_url else PostgresCarrier(boot.database_url)
        sharing = Sharing(database, keys, bus, carrier)
        conversations = Conversations(keys)
        leases = Leases(boot.node_id, self._address, ttl_s=LEASE_TTL_S)
        speech = GrpcSpeech(boot.engines.tts, boot.engines.voice_id)
        transcriber = GrpcTranscriber(boot.engines.stt)
        judge = GrpcTurnJudge(boot.engines.turn)
        for client in (speech, transcriber, judge):
            stack.push_async_callback(client.close)
        library = Library.read(settings.deployment)
        people = People.read(settings.deployment).with_fallback(settings.fallback_number)
        stored = StoredHandoffs(keys, library, people)
        cache = PhraseCache(settings.data_dir / "phrases")
        rest = TwilioRest.from_settings(settings)
        if rest is not None:
            stack.push_async_callback(rest.close)
        transfers: Transfers | None = None
        handoffs: HandoverDesk = stored
        if rest is not None:
            phrases = self._deployment.phrases
            transfers = make_transfers(settings, keys, people, phrases, cache, speech, forks=True)
            handoffs = TransferringDesk(stored, transfers.transferring)

        def poke() -> None:
            relay.poke()
            if transfers is not None:
                transfers.wake()

        outbound = Outbound.read(settings.deployment, people)
        check_phrases(outbound, self._deployment.phrases)
        presence = Presence(people, outbound)
        dialogue = await Orchestrator.create(
            database=database,
            keys=keys,
            deployment=self._deployment,
            settings=settings,
            handoffs=handoffs,
            poke=poke,
            busy=lambda: self.state.crowded or self.state.strained or self.state.early == "none",
            sparing=lambda: self.state.early == "likely",
            degraded=self._degraded,
            off=lambda: self._switchboard.off,
            health=self._health,
            staff=presence,
        )
        stack.push_async_callback(dialogue.close)
        recordings = settings.data_dir / "recordings"

        heard_by = {"stt": transcriber, "tts": speech, "turn": judge}
        facts = NodeFacts(settings, self._deployment, heard_by, lambda: self._switchboard.off)

        async def recorder(conversation_id: str) -> Recorder:
            async with database.transaction() as tx:
                snapshot = await conversations.load(tx, conversation_id)
                cipher = await keys.cipher(tx, snapshot.subject_id)
            base = recordings / conversation_id / f"{snapshot.epoch:03d}"
            recorder = Recorder(base, cipher.derive("recording"), conversation_id)
            recorder.event(facts.of(snapshot))
            return recorder

        kit = PhoneKit(
            dialogue=dialogue,
            phrases=self._deployment.phrases,
            transcriber=transcriber,
            speech=speech,
            judge=judge,
            vad=shared_together().sense,
            phrase_cache=cache,
            bus=bus,
            recorder=recorder,
            silence_s=settings.silence_s,
            speculation=settings.speculation == "on",
        )
        legs = LegKit(
            database=database,
            keys=keys,
            bus=bus,
            transcriber=transcriber,
            judge=judge,
            vad=shared_together().sense,
            shapes=dialogue.shapes,
            poke=relay.poke,
        )
        calls = OutboundCalls(
            OutboundKit(
                database=database,
                keys=keys,
                conversations=conversations,
                rest=rest,
                rules=outbound,
                node=self.state,
                public_url=settings.public_url,
                message=self._deployment.phrases.text("outbound.message"),
                poke=relay.poke,
            )
        )
        failed = FailedCalls(keys, handoffs, self._deployment.policy.version)
        talks = Talks(keys, transfers.transferring if transfers is not None else None)
        talk_kit = TalkKit(
            database,
            talks,
            recorder,
            sounds(self._deployment.phrases, cache, speech),
            legs,
            poke,
        )
        self._talks = TalkHub(talk_kit, leases, stepping_back(self._calls))
        services = TwilioServices(
            settings=settings,
            database=database,
            keys=keys,
            conversations=conversations,
            leases=leases,
            rest=rest,
            insecure_local=boot.insecure_local,
            node=self.state,
            new_state=new_state,
            run_call=self._talks.runner(self._runner(kit)),
            run_leg=lambda session: run_leg(legs, session),
            store_handoff=failed.store,
            poke=poke,
            payments=dialogue.payments,
            transfers=transfers,
            talks=talks,
            pay_prompts=_pay_prompts(self._deployment.phrases),
            outbound=calls,
            door=self.door,
        )
        chat = ChatService(
            dialogue,
            database,
            keys,
            self._deployment.phrases,
            idle_s=settings.chat_idle_s,
            poke=relay.poke,
        )
        stack.push_async_callback(chat.close)
        access = ChatAccess(settings, insecure_local=boot.insecure_local)
        app.include_router(chat_router(chat, access, self.state, idle_s=settings.chat_idle_s))
        app.include_router(health_router(self._wrong))
        app.include_router(pages_router(settings.desk_url))
        live, unwritten = LiveSessions(), Unwritten()
        app.include_router(twilio_router(services, live, unwritten))
        in_browser = self._talks.runner(self._browser_runner(kit))
        hub, music = self._talks, talk_kit.sounds.music()
        holding = Holding(in_browser, hub.asked_for, hub.waits, hub.given_back, music)
        self._browsers = add_browser(app, services, live, unwritten, holding)
        stack.push_async_callback(self._browsers.close)
        guard = bearer_guard(settings.api_token, insecure_local=boot.insecure_local)
        behind: list[Callable[[], Awaitable[None]]] = []
        webhook = webhook_of(settings, people)
        if webhook is not None:
            stack.push_async_callback(webhook.close)
            behind.append(Deliveries(database, keys, bus, webhook, library.reasons.reason).run)
        model = model_of(settings, settings.llm, self._deployment.prompts, models=self._deployment.models)
        prompt = self._deployment.prompts.summary
        if model is not None and prompt is not None:
            stack.push_async_callback(model.close)
            within_s = library.reasons.summary_s
            behind.append(Summaries(database, keys, bus, model, prompt, within_s=within_s).run)
        queue = Queue(database, keys, people, library.reasons, relay.poke)
        roster = Roster(settings.deployment, people)
        who = readers(guard, settings.api_token, roster)
        app.include_router(handoffs_router(queue, who))
        app.include_router(follow_ups_router(queue, who))
        nobody_rings = FailedCalls(keys, stored, self._deployment.policy.version)
        app.include_router(talks_router(queue, talks, self._talks, nobody_rings.take_over, who, self.door))
        colleague = Colleague(keys, dialogue.shapes)
        app.include_router(chats_router(queue, colleague, who, wake=sharing.wake, types=sharing.types))
        app.include_router(agent_words_router(queue, who))
        app.include_router(presence_router(database, roster, who))
        app.include_router(corrections_router(queue, who))
        app.include_router(
            drafts_router(queue, who, wrong_with=dialogue.wrong_with, wake=sharing.wake),
        )
        app.include_router(
            whispers_router(
                queue,
                who,
                topics=self._deployment.intents.topics,
                wrong_with=dialogue.wrong_with,
                wake=sharing.wake,
            )
        )
        measures = Measures(database, people, Targets.read(settings.deployment))
        app.include_router(kpis_router(measures, who))
        assisting = Assisting(
            make_assist(
                self._deployment,
                settings,
                dialogue,
                library,
                database,
                keys,
                bus,
                busy=lambda: self.state.crowded or self.state.strained,
            )
        )
        stack.push_async_callback(assisting.close)
        app.include_router(assist_router(queue, assisting, who, reveals=library.reasons.reveals))
        player = Player(
            database,
            keys,
            Shelf(recordings),
            Replays(
                _environment(settings),
                lambda: self.state.busy,
            ),
            people.time_zone,
        )
        app.include_router(recordings_router(player, who))
        console = Console(database, keys, bus)
        app.include_router(api_router(console, who))
        app.include_router(calls_router(Calling(database, keys, outbound), guard))
        app.include_router(live_router(console, who, reveals=library.reasons.reveals, door=self.door))
        waking = Waking(database, keys, dialogue.inbox, chat.late, lambda: chat.watchers.conversations)
        for woken in (waking.wake, chat.bringing.wake):
            sharing.on_wake(woken)
        sharing.on_types(chat.bringing.types)
        overdue = OverdueDrafts(database, keys, dialogue.inbox.deliver, chat.late, failed.store, relay.poke)
        for work in (
            relay.run,
            sharing.run,
            watch_loop_lag,
            self._watch_switches,
            services.keep_leases,
            services.keep_transfers,
            self._talks.keep,
            lambda: keep_dialling(calls),
            lambda: watch_waits(database, people, presence),
            chat.sweep,
            overdue.run,
            waking.run,
            chat.bringing.run,
            TextSender(database, keys, rest, public_url=settings.public_url).run,
            keeping.later.run,
            keeping.anchoring,
            keeping.pruning,
            lambda: watch_neglect(database),
            dialogue.memory.sweep,
            dialogue.recovery.run,
            dialogue.payments.run,
            dialogue.customers.keep,
            Outcomes(database, keys, self._deployment.intents.is_content, zone=people.time_zone).run,
            lambda: kpi_gauges.watch(measures),
            lambda: draft_gauges.watch(database),
            lambda: give_back_memory(self.state),
            lambda: watch_crowding(heard_by, self.state, learned=settings.admission == "learned"),
            lambda: self._warm_up(cache, speech),
            *behind,
        ):
            self._keep(stack, work)

    def _runner(self, kit: PhoneKit) -> Callable[[Leg], Awaitable[CallOutcome]]:
        parts = self._deployment.pipeline("phone")

        async def run(session: Leg) -> CallOutcome:
            return await run_call(kit, parts, session, self._calls)

        return run

    def _browser_runner(self, kit: PhoneKit) -> Callable[[Leg], Awaitable[CallOutcome]]:
        parts = self._deployment.pipeline("browser")

        async def run(session: Leg) -> CallOutcome:
            return await run_call(kit, parts, session, self._calls)

        return run

    def _keep(self, stack: AsyncExitStack, work: Callable[[], Awaitable[None]]) -> None:
        """Runs ``work`` for the node's life; a crash is logged and the work begins again."""

        async def forever() -> None:
            while True:
                try:
                    await work()
                    return
                except DatabaseDown:
                    await asyncio.sleep(0.5)
                except Exception:
                    log.exception("node.background_failed", work=getattr(work, "__qualname__", "?"))
                    await asyncio.sleep(1.0)

        task = asyncio.create_task(forever())

        async def end() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        stack.push_async_callback(end)

    async def _warm_up(self, cache: PhraseCache, speech: GrpcSpeech) -> None:
        """Renders the fixed phrases before the first call needs one."""
        await cache.warm(speech, self._deployment.fixed_phrases())
        garbage.settle()
        self._warm = True

    async def _watch_switches(self) -> None:
        assert self._database is not None
        while True:
            await self._switchboard.refresh(self._database)
            self.state.off = self._switchboard.bot_off
            await asyncio.sleep(EVERY_S)

    def _degraded(self) -> bool:
        """Whether a part has failed so many callers in a row that policy calls it an outage."""
        limit = self._deployment.policy.table.triggers.outage.failures
        return any(failures >= limit for failures in self._health.down().values())

    async def _wrong(self) -> dict[str, str]:
        wrong: dict[str, str] = {}
        if not self.state.accepting:
            wrong["node"] = "draining"
        elif (short_of := self.state.not_ready) is not None:
            wrong["room"] = f"no further call is taken: {short_of}"
        if not self._warm:
            wrong["speech"] = "fixed phrases are being rendered"
        if self._database is None or not await self._database.healthy():
            wrong["database"] = "not reachable"
        return wrong

    async def _waiting(self) -> frozenset[str]:
        if self._database is None:
            return frozenset()
        try:
            async with self._database.transaction() as tx:
                return await stored_transfers.under_way(tx, within_s=TRANSFER_S)
        except DatabaseDown:  # then callers who leave the room are dialled through
            return frozenset()

    @property
    def hurried(self) -> bool:
        """``hurry`` was called."""
        return self._hurried.is_set()

    def hurry(self) -> None:
        """The drain's deadline is now."""
        self._hurried.set()

    async def drain(self, seconds: float) -> None:
        """No new calls; waits for those under way and those put through; then a person gets the rest.

        ``hurry`` ends the waiting.
        """
        self.state.accepting = False
        await before(self._hurried, self._finish(time.monotonic() + seconds))
        if self._talks is not None:
            await self._talks.drain(time.monotonic())
        if self._browsers is not None:
            await self._browsers.move()
        late = {call for call in self._calls if not call.over.done()}
        if late:
            log.warning("node.drain_deadline", calls=len(late))
            for call in late:
                await call.hand_over("draining")
            await asyncio.wait({call.over for call in late}, timeout=HAND_OVER_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while self.state.calls:  # sockets close, outcomes are written  # noqa: ASYNC110  # a plain counter
                    await asyncio.sleep(0.05)

    async def _finish(self, until_s: float) -> None:
        """Calls may come to their end until then (`time.monotonic`)."""
        overs = {call.over for call in self._calls}
        if overs:
            await asyncio.wait(overs, timeout=max(0.0, until_s - time.monotonic()))
        if self._talks is not None:
            await self._talks.drain(until_s)
        if left := await put_through(self._waiting, lambda: bool(self._calls), until_s=until_s):
            log.warning("node.drain_leaves_transfers", transfers=left)


def _environment(settings: Settings) -> dict[str, str]:
    """Of a program that a node starts: it sees what the node sees, whatever came from the command line."""
    return {
        "VOICEBOT_DATA_DIR": str(settings.data_dir.absolute()),
        "VOICEBOT_DEPLOYMENT": str(settings.deployment.absolute()),
    }


def _pay_prompts(phrases: Phrases) -> tuple[Prompt, ...]:
    """What Twilio says while it takes a card, in the deployment's words."""
    fields = {"number": "payment-card-number", "expiry": "expiration-date", "code": "security-code"}
    asked = (
        Prompt(field, phrases.text(f"pay.key.{ours}"), phrases.text(f"pay.key.{ours}_again"))
        for ours, field in fields.items()
    )
    return (*asked, Prompt("payment-processing", phrases.text("pay.key.wait")))
