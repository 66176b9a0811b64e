"""A chat with the real orchestrator on a real database."""

from __future__ import annotations

from deployment_kit import stored_handoffs
from dialogue_kit import DEPLOYMENT, PATIENCE_S

from voicebot.channels.chat.service import ChatService
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.request import Generator
from voicebot.dialogue.orchestrator import Orchestrator


def orchestrator_on(
    database: Database,
    keys: KeyRing,
    generator: Generator | None = None,
    deployment: Deployment = DEPLOYMENT,
) -> Orchestrator:
    """As a node makes it, with the reference deployment."""
    return Orchestrator(
        database=database,
        keys=keys,
        deployment=deployment,
        connector=PostgresConnector(database, DEPLOYMENT.queries),
        generator=generator or GroundedResponder(),
        handoffs=stored_handoffs(keys),
        patience_s=PATIENCE_S,
    )


def chat_on(
    database: Database, keys: KeyRing, *, generator: Generator | None = None, idle_s: float = 1800
) -> ChatService:
    """A chat service of one node."""
    orchestrator = orchestrator_on(database, keys, generator)
    return ChatService(orchestrator, database, keys, DEPLOYMENT.phrases, idle_s=idle_s)
