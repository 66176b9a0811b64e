"""Whether a deployment's people, reasons and patterns can be used; asked at start and by the doctor."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from voicebot.core.settings import Settings
from voicebot.handoff.assist.library import Assistance
from voicebot.handoff.connectors.webhook import secret_of
from voicebot.handoff.people import People
from voicebot.handoff.reasons import Library


def check(settings: Settings) -> None:
    """Reads all of it.

    Raises:
        PatternsError: ``handoff.yaml``, ``patterns.yaml`` or ``assist.yaml`` cannot be used.
        PeopleError: ``people.yaml`` cannot.
        SettingsError: it names a webhook, and there is no secret to sign with.
    """
    Library.read(settings.deployment)
    Assistance.read(settings.deployment)
    secret_of(settings, People.read(settings.deployment))


def remarks(settings: Settings, owners: Iterable[str | None], today: date) -> list[str]:
    """What works and should be looked at all the same.

    Args:
        settings: `check` has passed.
        owners: teams that the policy names.
        today: where the business is.
    """
    people, library = People.read(settings.deployment), Library.read(settings.deployment)
    said: list[str] = []
    strangers = sorted({one for one in owners if one is not None and one not in people.skills})
    if strangers:
        said.append(f"people.yaml knows no team {', '.join(strangers)}: general takes what is for them")
    overdue = [one.name for one in library.patterns.overdue(today)]
    if overdue:
        said.append(f"patterns.yaml: nobody has reviewed {', '.join(overdue)} for a year")
    overdue = Assistance.read(settings.deployment).overdue(today)
    if overdue:
        said.append(f"assist.yaml: nobody has reviewed {', '.join(overdue)} for a year")
    if not people.with_fallback(settings.fallback_number).destinations_:
        said.append("no destination in people.yaml, no VOICEBOT_FALLBACK_NUMBER: nobody can be dialled")
    return said
