"""``voicebot doctor``: what is set, what works, what is missing and how to mend it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from voicebot.audio.engines.choice import choose
from voicebot.audio.engines.models.errors import ModelsError
from voicebot.audio.engines.types import EngineUnavailable
from voicebot.core.settings import PREFIX, Settings, SettingsError
from voicebot.core.store.chain.anchors import anchors_path
from voicebot.core.store.chain.verifying import verify
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from voicebot.core.store.keys import KeyRing, KeysError
from voicebot.core.store.migrate import SchemaMismatch, expected_version, found_version
from voicebot.dialogue.deployment import Deployment, DeploymentError
from voicebot.handoff import whole
from voicebot.handoff.patterns import PatternsError
from voicebot.handoff.people import PeopleError
from voicebot.runtime.models import better, store_of

_FREE_GB = 1.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``ok`` None: not needed to take calls, but worth knowing."""

    what: str
    ok: bool | None
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Report:
    """The settings in force (secrets masked) and the findings."""

    settings: dict[str, str]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Nothing that calls need is missing."""
        return all(finding.ok is not False for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {"ok": self.ok, "settings": self.settings, "findings": [asdict(f) for f in self.findings]}

    def show(self, out: Console) -> None:
        """For people."""
        table = Table(box=None, pad_edge=False)
        for column in ("setting", "value"):
            table.add_column(column, overflow="fold")
        for name, value in self.settings.items():
            table.add_row(name, value)
        out.print(table)
        out.print()
        marks = {
            True: "[green]ok[/green]     ",
            False: "[red]missing[/red]",
            None: "[yellow]note[/yellow]   ",
        }
        for finding in self.findings:
            out.print(f"{marks[finding.ok]} {finding.what}: {finding.found}")
            if finding.mend:
                out.print(f"          -> {finding.mend}", markup=False)


def examine(settings: Settings, wrong_settings: str | None = None) -> Report:
    """Looks at everything without starting the server.

    Args:
        settings: those in force; the defaults where they cannot be used.
        wrong_settings: why they cannot be used.
    """
    found = [Finding("settings", ok=False, found=wrong_settings)] if wrong_settings else []
    checks: tuple[Callable[[Settings], list[Finding]], ...] = (
        _engines,
        _models,
        _database,
        _deployment,
        _people,
        _twilio,
        _disk,
    )
    return Report(_shown(settings), (*found, *(f for check in checks for f in check(settings))))


def _shown(settings: Settings) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        alias = field.validation_alias
        env = alias if isinstance(alias, str) else PREFIX + name.upper()
        shown[env] = "(set, masked)" if isinstance(value, SecretStr) else "-" if value is None else str(value)
    return shown


def _engines(settings: Settings) -> list[Finding]:
    try:
        choice = choose(settings)
    except EngineUnavailable as error:
        return [Finding("speech engines", ok=False, found=str(error))]
    return [Finding("speech engines", ok=True, found="; ".join(choice.notes) or "as set")]


def _models(settings: Settings) -> list[Finding]:
    try:
        here, missing = better(settings, store_of(settings))
    except ModelsError as error:
        return [Finding("models", ok=None, found=str(error))]
    found = ", ".join(here) or "none on this machine"
    return [Finding("models", ok=None if missing else True, found=found, mend="; ".join(missing))]


def _database(settings: Settings) -> list[Finding]:
    try:
        if settings.database_url is not None:
            return _stored(settings, settings.database_url.get_secret_value(), "DATABASE_URL")
        postgres = EmbeddedPostgres.attach(settings.data_dir)
        try:
            return _stored(settings, postgres.url, f"embedded, in {postgres.data_dir}")
        finally:
            postgres.stop()
    except EmbeddedPostgresError as error:
        return [Finding("database", ok=False, found=str(error))]


def _stored(settings: Settings, url: str, where: str) -> list[Finding]:
    schema = _schema(url, where)
    return [schema, _audit(settings, url)] if schema.ok and found_version(url) else [schema]


def _audit(settings: Settings, url: str) -> Finding:
    """Only the heads and the last anchor: a whole walk takes its time."""
    own = anchors_path(settings.data_dir)
    if settings.master_key is None and not (settings.data_dir / "master.key").exists():
        return Finding("audit", ok=None, found="no master key: its seals cannot be checked")
    try:
        keys = KeyRing.from_settings(settings)
        verdict = verify(url, keys, anchors=[own] if own.exists() else [], quick=True)
    except (KeysError, DatabaseDown, OSError) as error:
        return Finding("audit", ok=None, found=str(error))
    if not verdict.ok:
        return Finding("audit", ok=False, found=str(verdict.bad[0]), mend="run `voicebot audit verify`")
    anchored = f"{verdict.anchors} anchored heads held" if verdict.anchors else "not anchored yet"
    notes = "".join(f"; {note}" for note in verdict.notes)
    return Finding(
        "audit", ok=True, found=f"the heads of {len(verdict.links)} shards hold, {anchored}{notes}"
    )


def _schema(url: str, where: str) -> Finding:
    import psycopg

    try:
        has, needs = found_version(url), expected_version()
    except SchemaMismatch as error:
        return Finding("database", ok=False, found=str(error))
    except psycopg.OperationalError:
        return Finding(
            "database", ok=False, found=f"{where}: not reachable", mend="start it or mend the address"
        )
    if has is None or has == needs:
        return Finding("database", ok=True, found=f"{where}; schema {has or 'empty, made at first start'}")
    return Finding(
        "database", ok=False, found=f"schema {has}, needed {needs}", mend="run `voicebot db migrate`"
    )


def _deployment(settings: Settings) -> list[Finding]:
    try:
        Deployment.load(settings.deployment)
    except DeploymentError as error:
        return [Finding("deployment", ok=False, found=str(error))]
    return [Finding("deployment", ok=True, found=str(settings.deployment.resolve().name))]


def _people(settings: Settings) -> list[Finding]:
    try:
        whole.check(settings)
        rules = Deployment.load(settings.deployment).policy.table
    except (PatternsError, PeopleError, SettingsError) as error:
        return [Finding("people", ok=False, found=str(error))]
    except DeploymentError:
        return []
    owners = (rule.owner for rule in rules.intents.values())
    said = whole.remarks(settings, owners, datetime.now(UTC).date())
    return [Finding("people", ok=None if said else True, found="; ".join(said) or "business/people.yaml")]


def _twilio(settings: Settings) -> list[Finding]:
    findings: list[Finding] = []
    if settings.twilio_auth_token is None:
        findings.append(
            Finding(
                "Twilio",
                ok=None,
                found="no auth token: webhooks cannot be checked",
                mend="set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or use --insecure-local on this machine",
            )
        )
    if settings.public_url is None:
        findings.append(
            Finding("public address", ok=None, found="not set", mend="set VOICEBOT_PUBLIC_URL=https://...")
        )
    if settings.fallback_number is None:
        findings.append(
            Finding(
                "a person",
                ok=None,
                found="no fallback number: nobody can be dialled",
                mend="set VOICEBOT_FALLBACK_NUMBER=+1...",
            )
        )
    return findings


def _disk(settings: Settings) -> list[Finding]:
    folder: Path = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    mend = "" if free_gb >= _FREE_GB else "free some space, or set VOICEBOT_DATA_DIR elsewhere"
    return [Finding("disk", ok=free_gb >= _FREE_GB, found=f"{free_gb:.1f} GB free", mend=mend)]
