"""Puts together what a node needs to help people who speak with callers."""

from __future__ import annotations

from collections.abc import Callable

from voicebot.console.assisting import AssistKit
from voicebot.core.bus import Bus
from voicebot.core.settings import Settings
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.handoff.assist.board import Rules
from voicebot.handoff.assist.library import Assistance
from voicebot.handoff.assist.signs import Limits
from voicebot.handoff.reasons import Library


def make_rules(deployment: Deployment, library: Library) -> Rules:
    """What the deployment says of suggestions.

    Raises:
        PatternsError: ``business/assist.yaml`` cannot be used.
    """
    table = deployment.policy.table

    def protected(intent: str) -> bool:
        rule = deployment.policy.rule(intent)
        return rule is not None and rule.identity

    return Rules(
        library=Assistance.read(deployment.folder),
        patterns=library.patterns,
        phrases=deployment.phrases,
        limits=Limits(distress=table.thresholds.distress, topics=table.triggers.regulated),
        sure=table.thresholds.sure,
        is_content=deployment.intents.is_content,
        protected=protected,
        topic=library.reasons.topic,
    )


def make_assist(
    deployment: Deployment,
    settings: Settings,
    dialogue: Orchestrator,
    library: Library,
    database: Database,
    keys: KeyRing,
    bus: Bus,
    *,
    busy: Callable[[], bool] = lambda: False,
) -> AssistKit:
    """The kit of a node; monitor, writers and guard are those of its calls.

    Raises:
        PatternsError: ``business/assist.yaml`` cannot be used.
    """
    return AssistKit(
        database=database,
        keys=keys,
        bus=bus,
        rules=make_rules(deployment, library),
        retriever=deployment.retriever(settings.embedding),
        monitor=dialogue.monitor,
        guard=deployment.guard,
        writers=dialogue.writers,
        speech=dialogue.guard_of_words,
        busy=busy,
    )
