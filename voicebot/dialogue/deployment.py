"""A deployment: the folders beside the package, read and checked once at boot.

    deployment = Deployment.load(Path("."))        # raises DeploymentError, naming file and key
    await deployment.prepare(database_url)         # its schema, its articles

Everything in it is immutable afterwards and shared by all conversations of a process.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import structlog
import yaml
from pydantic import BaseModel, ValidationError

from voicebot.core.documents import parse_yaml
from voicebot.dialogue.actions.registry import ToolRegistry
from voicebot.dialogue.actions.tool import ToolError
from voicebot.dialogue.connectors.choice import Connection, ConnectionUnusable, read_connection
from voicebot.dialogue.connectors.queries import QueriesError, Query, read_queries
from voicebot.dialogue.connectors.shop_setup import ShopSetupError, prepare_shop
from voicebot.dialogue.flow.paying import LINES, SPOKEN_CARD
from voicebot.dialogue.generation.prices import Models, ModelsError
from voicebot.dialogue.intents import STEERING, IntentCatalog
from voicebot.dialogue.knowledge.articles import Article, ArticleError, read_articles
from voicebot.dialogue.knowledge.embedding import EmbeddingError, choose_embedding
from voicebot.dialogue.knowledge.ingest import ingest
from voicebot.dialogue.knowledge.retriever import Retriever, read_weights
from voicebot.dialogue.memory.clearances import ClearanceError, Clearances
from voicebot.dialogue.monitor.classifier import IntentClassifier, ModelError
from voicebot.dialogue.phrases import Phrases, slots_of
from voicebot.dialogue.prompts import Prompts, PromptsError
from voicebot.dialogue.spotting import Spotter
from voicebot.safety.guard_in import InputGuard
from voicebot.safety.guard_in.model import GuardModelError
from voicebot.safety.identity import FactorKind
from voicebot.safety.policy import Policy, PolicyError, check_policy, read_cases, read_policy
from voicebot.safety.policy.owners import unowned

log = structlog.get_logger(__name__)

M = TypeVar("M", bound=BaseModel)

_ASKED_FOR = ("first", "again", "say", "retry", "keypad", "missing")
"""Lines that each factor of the gate needs."""
_OF_A_CODE = ("message", "not_sent", "undelivered", "expired")
_UNUSABLE = (
    ArticleError,
    ClearanceError,
    ConnectionUnusable,
    GuardModelError,
    ModelError,
    ModelsError,
    PolicyError,
    PromptsError,
    QueriesError,
    ToolError,
)


class DeploymentError(Exception):
    """The deployment's folder cannot be used; the message names the file, the key, and what to do."""


@dataclass(frozen=True)
class Deployment:
    """What a business edits, checked. ``folder`` holds pipelines/, tools/, business/ and models/."""

    folder: Path
    policy: Policy
    intents: IntentCatalog
    phrases: Phrases
    articles: tuple[Article, ...]
    tools: ToolRegistry
    queries: dict[str, Query]
    connection: Connection
    """Where the shop's records are."""
    classifier: IntentClassifier
    prompts: Prompts
    clearances: Clearances
    models: Models
    guard: InputGuard
    _retrievers: dict[str, Retriever] = field(default_factory=dict[str, "Retriever"], repr=False)

    @classmethod
    def load(cls, folder: Path) -> Deployment:
        """Reads and checks everything.

        Raises:
            DeploymentError: the first thing that cannot be used.
        """
        business = folder / "business"
        if not business.is_dir():
            raise DeploymentError(
                f"{folder.resolve()} holds no business/ folder: start there, or give --deployment DIR"
            )
        try:
            intents = _read(business / "intents.yaml", IntentCatalog)
            deployment = cls(
                folder=folder,
                policy=Policy(read_policy(business / "policy.yaml")),
                intents=intents,
                phrases=_read(business / "phrases.yaml", Phrases),
                articles=read_articles(business / "knowledge"),
                tools=ToolRegistry.load(folder / "tools"),
                queries=read_queries(business / "shop" / "queries.sql"),
                connection=read_connection(business / "shop" / "connector.yaml"),
                classifier=IntentClassifier.load(folder / "models"),
                prompts=Prompts.read(business / "prompts"),
                clearances=Clearances.read(business / "clearances.yaml", intents=set(intents.names)),
                models=Models.read(business / "models.yaml"),
                guard=InputGuard.load(folder / "models"),
            )
            deployment._check()
        except _UNUSABLE as error:
            raise DeploymentError(str(error)) from error
        return deployment

    @cached_property
    def spotter(self) -> Spotter:
        """Finds the intents that are known by their words alone."""
        return Spotter(self.intents.phrases)

    def fixed_phrases(self) -> tuple[str, ...]:
        """Texts that never change, for the phrase cache."""
        return self.phrases.fixed_phrases()

    def retriever(self, embedding: str = "auto") -> Retriever:
        """Searches the articles with the embedding that ``VOICEBOT_EMBEDDING`` names; made once.

        Raises:
            DeploymentError: the embedding is not there.
        """
        if embedding not in self._retrievers:
            models = self.folder / "models"
            try:
                made = Retriever(choose_embedding(embedding, models), read_weights(models))
            except EmbeddingError as error:
                raise DeploymentError(str(error)) from error
            self._retrievers[embedding] = made
        return self._retrievers[embedding]

    async def prepare(self, url: str, embedding: str = "auto") -> None:
        """Applies the deployment's schema, fills an empty shop, writes new and changed articles.

        Raises:
            DeploymentError: schema, seed or embedding cannot be used.
            psycopg.Error: the database does not answer.
        """
        await asyncio.to_thread(self._prepare, url, embedding)

    def pipeline(self, name: str) -> Callable[..., Any]:
        """The function ``name`` of ``pipelines/{name}.py``.

        Raises:
            DeploymentError: no such file or function.
        """
        path = self.folder / "pipelines" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"deployment_pipeline_{name}", path)
        if not path.exists() or spec is None or spec.loader is None:
            raise DeploymentError(f"{path} is missing")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        parts = getattr(module, name, None)
        if not callable(parts):
            raise DeploymentError(f"{path} defines no function {name}(call)")
        return parts

    def _prepare(self, url: str, embedding: str) -> None:
        try:
            orders = prepare_shop(url, self.folder / "business" / "shop", today=datetime.now(UTC).date())
        except ShopSetupError as error:
            raise DeploymentError(str(error)) from error
        try:
            changed = ingest(url, self.articles, choose_embedding(embedding, self.folder / "models"))
        except EmbeddingError as error:
            raise DeploymentError(str(error)) from error
        log.info("deployment.prepared", shop_orders_written=orders, articles_written=len(changed))

    def _check(self) -> None:
        known = set(self.intents.names)
        trained = known - set(self.intents.spotted)
        missing = sorted(STEERING - known)
        if missing:
            raise DeploymentError(f"intents.yaml: intents {missing} are needed by every conversation")
        self.prompts.check_intents(known)
        self._check_owners()
        check_policy(
            self.policy.table,
            intents=known,
            tools=self.tools.names,
            writes=self.tools.writes,
            limits=self.tools.limits,
            amounts=self.tools.amounts,
            categories=self.intents.members(),
            cases=read_cases(self.folder / "business" / "policy_tests.yaml"),
        )
        if set(self.classifier.labels) != trained:
            different = sorted(set(self.classifier.labels) ^ trained)
            raise DeploymentError(
                f"models/monitor.json does not know the intents of intents.yaml ({', '.join(different)}): "
                "run scripts/train_monitor.py"
            )
        sorted_into = {intent: self.intents.category(intent) for intent in trained}
        if dict(self.classifier.categories) != sorted_into:
            raise DeploymentError(
                "models/monitor.json sorts intents into other categories than intents.yaml: "
                "run scripts/train_monitor.py"
            )
        rating = ("csat.ask", "csat.write", "csat.thanks") if self.policy.table.csat.channels else ()
        if unsaid := [key for key in rating if not self.phrases.has(key)]:
            raise DeploymentError(f"phrases.yaml: policy.yaml has `csat`, which needs the lines {unsaid}")
        strangers = sorted(set(self.phrases.menu.values()) - known)
        if strangers:
            raise DeploymentError(f"phrases.yaml: menu names unknown intents {strangers}")
        for article in self.articles:
            if set(article.intents) - known:
                raise DeploymentError(
                    f"knowledge/{article.id}.md: unknown intents {sorted(set(article.intents) - known)}"
                )
        self._check_identity()
        self._check_results()
        self._check_acts()

    def _check_owners(self) -> None:
        """Somebody answers for every tier, every prompt and for incidents, by name."""
        owners = self.policy.table.owners
        if owners is None:
            raise DeploymentError(
                "policy.yaml: `owners` is missing: name who answers for tiers 0 to 3, prompts and incidents"
            )
        missing, strange = unowned(owners, (one.name for one in self.prompts.files))
        if missing:
            raise DeploymentError(
                f"policy.yaml: owners.prompts: nobody answers for {missing}; name them, or `others`"
            )
        if strange:
            raise DeploymentError(f"policy.yaml: owners.prompts: there are no prompts {strange}")

    def _check_identity(self) -> None:
        factors = self.policy.table.identity.factors
        query = f"identity_by_{factors[0].name}"
        if query not in self.queries:
            raise DeploymentError(f"shop/queries.sql has no query {query}, which the identity gate needs")
        for factor in factors:
            code = factor.kind is FactorKind.CODE
            for how in (*_ASKED_FOR, *(_OF_A_CODE if code else ())):
                if not self.phrases.has(f"identity.{factor.name}.{how}"):
                    raise DeploymentError(f"phrases.yaml: spoken.identity.{factor.name}.{how} is missing")
        for intent in self.policy.table.intents:
            proved = self.policy.table.identity.demanded(intent)
            for name in self.policy.exposed(intent):
                level = self.tools.get(name).level if name in self.tools.names else 1
                if level > proved:
                    raise DeploymentError(
                        f"policy.yaml: {intent} may use {name}, which needs level {level}: "
                        f"write `{intent}: {level}` under identity.demands"
                    )

    def _check_results(self) -> None:
        expected: dict[str, set[str]] = {}
        for name in sorted(self.tools.names):
            result = self.tools.get(name).result
            annotation = result.model_fields["outcome"].annotation
            if get_origin(annotation) is not Literal:
                raise DeploymentError(f"tool {name}: `outcome` must be a Literal of its cases")
            for outcome in get_args(annotation):
                expected[f"{name}.{outcome}"] = set(result.model_fields)
        for key, fields in expected.items():
            line = self.phrases.results.get(key)
            if line is None:
                raise DeploymentError(f"phrases.yaml: results.{key} is missing")
            unknown = sorted(slots_of(line) - fields)
            if unknown:
                raise DeploymentError(
                    f"phrases.yaml: results.{key} uses {unknown}, which the tool does not give"
                )
        strange = sorted(set(self.phrases.results) - set(expected))
        if strange:
            raise DeploymentError(f"phrases.yaml: results {strange} belong to no tool outcome")

    def _check_acts(self) -> None:
        """Every change that an intent may lead to can be asked for, read back and agreed to."""
        first = self.policy.table.identity.factors[0].name
        acts = sorted({rule.act for rule in self.policy.table.intents.values() if rule.act is not None})
        cards = any(self.tools.get(name).takes_card for name in acts)
        for line in (SPOKEN_CARD, *(LINES if cards else ())):
            if not self.phrases.has(line):
                raise DeploymentError(f"phrases.yaml: spoken.{line} is missing")
        for tool in map(self.tools.get, acts):
            key = f"propose.{tool.name}"
            if not self.phrases.has(key):
                raise DeploymentError(f"phrases.yaml: spoken.{key} is missing")
            known = {*tool.request.model_fields, *tool.result.model_fields}
            for line in self.phrases.wordings(key):
                if missing := sorted(set(tool.reads_back) - slots_of(line)):
                    raise DeploymentError(f"phrases.yaml: spoken.{key} reads {missing} not back: {line!r}")
                if strange := sorted(slots_of(line) - known):
                    raise DeploymentError(f"phrases.yaml: spoken.{key} uses {strange}, no value of its tool")
            for name, one in tool.request.model_fields.items():
                asked = self.phrases.has(f"slot.{tool.name}.{name}") or self.phrases.has(f"slot.{name}")
                if one.is_required() and name != first and not asked:
                    raise DeploymentError(f"phrases.yaml: spoken.slot.{tool.name}.{name} is missing")
            for outcome, hint in tool.hints.items():
                value = hint.removeprefix("ask:")
                fine = (
                    value in tool.request.model_fields
                    if value != hint
                    else hint in {"person", *self.policy.table.intents}
                )
                if not fine:
                    raise DeploymentError(f"tool {tool.name}: hint {hint!r} of {outcome} names nothing")


def _read(path: Path, model: type[M]) -> M:
    """A YAML file as a strict model. JSON in between lets strict types take enums and tuples."""
    try:
        document: Any = parse_yaml(path.read_text(encoding="utf-8"))
        return model.model_validate_json(json.dumps(document))
    except OSError as error:
        raise DeploymentError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        raise DeploymentError(f"{path}: is not usable YAML: {error}") from error
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc'])) or '(whole file)'}: {e['msg']}" for e in error.errors()]
        raise DeploymentError(f"{path}:\n  " + "\n  ".join(wrong)) from error
