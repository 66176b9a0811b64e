"""The one way to what is known of a customer: hands out what is cleared, and writes down each read.

    granted = await broker.fetch(
        verified, {Purpose.ROUTE: [Feature.SEGMENT]}, intent="order_status", role=Role.BOT, region=None,
        actor="bot:tx_...", conversation_id="cv_...", turn=3,
    )
    granted.values[Feature.SEGMENT]

The log is written before the read, in a transaction of its own: it outlives the plan that read, and
no transaction waits for the system of record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from voicebot.core import metrics
from voicebot.core.store import audit
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.connector import Connector, ConnectorError
from voicebot.dialogue.memory import insight, memories
from voicebot.dialogue.memory.clearances import Clearances
from voicebot.dialogue.memory.customers import Customers
from voicebot.dialogue.memory.features import Feature, Layer, Purpose, Role
from voicebot.dialogue.memory.profile import Consents, Profile, read_open_orders, read_profile
from voicebot.safety.identity import VerifiedCustomer, genuine

log = structlog.get_logger(__name__)

READ_S = 1.5
"""The system of record has this long; without it the caller is served as one we know nothing of."""

Asks = Mapping[Purpose, Collection[Feature]]


@dataclass(frozen=True)
class Granted:
    """What was handed out. A value is None when nothing is known; ``refused`` says why for the others.

    ``consents`` as the system of record has them, None if they were not read. ``logged``: rows in the
    access log, which the commit of the plan marks as used.
    """

    values: dict[Feature, Any]
    refused: dict[Feature, str]
    consents: Consents | None = None
    logged: int = 0


class FeatureBroker:
    """Hands out features. One per node; shared by all conversations.

    Args:
        database: ours.
        keys: opens what is kept.
        connector: the system of record.
        clearances: what is cleared.
        now: the time, aware.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        connector: Connector,
        clearances: Clearances,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._database = database
        self._customers = Customers(keys)
        self._connector = connector
        self._clearances = clearances

    async def fetch(
        self,
        subject: VerifiedCustomer,
        asks: Asks,
        *,
        intent: str,
        role: Role,
        region: str | None,
        actor: str,
        conversation_id: str,
        turn: int,
        layers: Collection[str] | None = None,
        discarded: bool = True,
    ) -> Granted:
        """Reads what is asked for and cleared; nothing else is even read.

        Args:
            subject: whose data; only the identity gate makes one.
            asks: features by purpose.
            intent: what the caller wants.
            role: who asks.
            region: of the customer, None if unknown (then only lines for any region count).
            actor: for the access log, as `PlanReads.actor`.
            conversation_id: for the access log.
            turn: for the access log.
            layers: those that the policy's ruling for this turn clears at all; None: it was not asked.
            discarded: the read belongs to a plan that may yet be thrown away.

        Raises:
            TypeError: the subject did not come from the gate.
            DatabaseDown: our own database does not answer; nothing was read.
        """
        if not genuine(subject):
            raise TypeError("features are handed out about a VerifiedCustomer only")
        cleared: dict[Feature, Purpose] = {}
        refused: dict[Feature, str] = {}
        for purpose, features in asks.items():
            for feature in features:
                reason = self._refusal(feature, purpose, intent, role, region, layers)
                if reason is None:
                    cleared[feature] = purpose
                else:
                    refused[feature] = reason
        for feature in refused:  # asked for two purposes, cleared for one: it could be used for both
            cleared.pop(feature, None)
        logged = await self._log(
            cleared,
            refused,
            intent,
            role,
            actor=actor,
            conversation=conversation_id,
            turn=turn,
            discarded=discarded,
        )
        if not cleared:
            return _counted(Granted({}, refused, None, logged))
        profile, orders = await self._record(subject, cleared)
        if profile is None:
            refused |= dict.fromkeys(cleared, "unavailable")
            return _counted(Granted({}, refused, None, logged))
        values = _of_profile(profile, orders, cleared)
        for feature, purpose in cleared.items():
            if feature.layer is not Layer.PROFILE and not _consents(profile.consents, purpose):
                refused[feature] = "no_consent"
            elif purpose is Purpose.TRAINING and not profile.consents.training:
                refused[feature] = "no_consent"
                values.pop(feature, None)
        kept = [f for f in cleared if f.layer is not Layer.PROFILE and f not in refused]
        if kept:
            async with self._database.reading() as tx:
                values |= await self._kept(tx, subject, kept, intent, conversation_id)
        return _counted(Granted(values, refused, profile.consents, logged))

    def cleared(
        self,
        asks: Asks,
        *,
        intent: str,
        role: Role,
        region: str | None,
        layers: Collection[str] | None = None,
    ) -> Asks:
        """Of what somebody would like to know, what he may ask for; arguments as `fetch`. Pure."""
        return {
            purpose: [
                one for one in features if self._refusal(one, purpose, intent, role, region, layers) is None
            ]
            for purpose, features in asks.items()
        }

    def _refusal(
        self,
        feature: Feature,
        purpose: Purpose,
        intent: str,
        role: Role,
        region: str | None,
        layers: Collection[str] | None,
    ) -> str | None:
        if layers is not None and feature.layer not in layers:
            return "not_in_policy"
        return self._clearances.refusal(feature, intent=intent, role=role, region=region, purpose=purpose)

    async def _record(
        self, subject: VerifiedCustomer, cleared: Collection[Feature]
    ) -> tuple[Profile | None, Any]:
        """The profile (None: not to be had) and open orders."""
        try:
            async with asyncio.timeout(READ_S):
                profile = await read_profile(self._connector, subject.customer_id)
                orders = None
                if Feature.OPEN_ORDERS in cleared:
                    orders = await read_open_orders(self._connector, subject.customer_id)
        except (ConnectorError, TimeoutError) as error:
            log.warning("memory.profile_unavailable", error=type(error).__name__)
            return None, None
        return profile, orders

    async def _kept(
        self,
        tx: Transaction,
        subject: VerifiedCustomer,
        features: Collection[Feature],
        intent: str,
        conversation_id: str,
    ) -> dict[Feature, Any]:
        customer = await self._customers.find(tx, subject)
        if customer is None:
            return {feature: _nothing(feature) for feature in features}
        found: dict[Feature, Any] = {}
        if Feature.KNOWN_SLOTS in features:
            found[Feature.KNOWN_SLOTS] = await memories.slots(tx, customer)
        if any(feature.layer is Layer.INSIGHT for feature in features):
            earlier = await memories.earlier_contacts(tx, customer, but=conversation_id)
            now = self._now()
            found |= {
                Feature.LAST_CONTACT: insight.last_contact(earlier, now),
                Feature.REPEAT_CONTACT: insight.repeat_contact(earlier, intent, now),
                Feature.UNRESOLVED_TOPICS: insight.unresolved_topics(earlier, now),
                Feature.LAST_MOOD: insight.last_mood(earlier, now),
            }
        return {feature: found[feature] for feature in features}

    async def _log(
        self,
        cleared: Mapping[Feature, Purpose],
        refused: Mapping[Feature, str],
        intent: str,
        role: Role,
        *,
        actor: str,
        conversation: str,
        turn: int,
        discarded: bool,
    ) -> int:
        rows: dict[tuple[str, Purpose], list[str]] = {}
        for feature, purpose in cleared.items():
            rows.setdefault((f"customer.{feature.layer}", purpose), []).append(feature.value)
        for purpose in set(cleared.values()):  # what he consents to is read with whatever is read
            fields = rows.setdefault((f"customer.{Layer.PROFILE}", purpose), [])
            if Feature.CONSENTS.value not in fields:
                fields.append(Feature.CONSENTS.value)
        if not rows and not refused:
            return 0
        async with self._database.transaction() as tx:
            for (resource, purpose), fields in rows.items():
                await audit.access(
                    tx,
                    actor=actor,
                    resource=resource,
                    fields=sorted(fields),
                    purpose=f"{purpose}:{intent}",
                    conversation_id=conversation,
                    turn=turn,
                    discarded=discarded,
                )
            if refused:
                facts: dict[str, Any] = {"features": sorted(refused), "intent": intent, "role": role.value}
                await audit.refusal(
                    tx, what="features", reason="not_cleared", facts=facts, conversation_id=conversation
                )
        return len(rows)


def _consents(consents: Consents, purpose: Purpose) -> bool:
    """What is remembered is used only for him, and only if he wants to be remembered."""
    return purpose.serves_the_customer and consents.memory


def _of_profile(profile: Profile, orders: Any, cleared: Collection[Feature]) -> dict[Feature, Any]:
    values: dict[Feature, Any] = {
        Feature.PREFERRED_NAME: profile.preferred_name,
        Feature.LANGUAGE: profile.language,
        Feature.REGION: profile.region,
        Feature.SEGMENT: profile.segment,
        Feature.OPEN_ORDERS: orders,
        Feature.CONSENTS: profile.consents,
    }
    return {feature: value for feature, value in values.items() if feature in cleared}


def _nothing(feature: Feature) -> Any:
    match feature:
        case Feature.KNOWN_SLOTS:
            return {}
        case Feature.UNRESOLVED_TOPICS:
            return ()
        case _:
            return None


def _counted(granted: Granted) -> Granted:
    for feature in granted.values:
        metrics.features.labels(feature.value, "granted").inc()
    for feature, reason in granted.refused.items():
        metrics.features.labels(feature.value, reason).inc()
    return granted
