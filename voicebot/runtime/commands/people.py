"""``voicebot people``: who takes over, who is there now, which numbers may be dialled; an agent's key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console

from voicebot.core.settings import Settings
from voicebot.handoff.people import People

out = Console(highlight=False, soft_wrap=True)


def people_now(settings: Settings, now: datetime | None = None) -> dict[str, Any]:
    """Teams, destinations and agents as JSON values.

    Raises:
        PeopleError: ``business/people.yaml`` cannot be used.
    """
    now = now or datetime.now(UTC)
    people = People.read(settings.deployment).with_fallback(settings.fallback_number)
    return {
        "time_zone": people.time_zone,
        "teams": [
            {
                "team": name,
                "open": people.open_at(now, name),
                "opens": people.next_opening(now, name).isoformat(timespec="minutes"),
                "answered_by": people.answering(now, name),
                "dials": [one.name for one in people.destinations(name, now)],
            }
            for name in people.skills
        ],
        "destinations": [{"name": one.name, "number": one.number} for one in people.destinations_],
        "agents": [{"id": one.id, "role": one.role, "skills": [*one.skills]} for one in people.agents],
        "webhook": people.webhook is not None,
    }


def show(settings: Settings) -> None:
    """For people."""
    told = people_now(settings)
    for team in told["teams"]:
        answers = team["answered_by"]
        state = "open" if team["open"] else f"closed until {team['opens']}"
        who = "" if answers == team["team"] else f"; {answers or 'nobody'} answers"
        out.print(f"{team['team']:24} {state}{who}; dials {', '.join(team['dials']) or 'nobody'}")
    for one in told["destinations"]:
        out.print(f"  {one['name']:22} {one['number']}")
    for one in told["agents"]:
        out.print(f"agent {one['id']:18} {one['role']}: {', '.join(one['skills'])}")


def key_of(settings: Settings, agent_id: str) -> str:
    """The key with which the API knows an agent.

    Raises:
        PeopleError: ``business/people.yaml`` cannot be used.
        BadParameter: there is no such agent, or the API has no token.
    """
    from voicebot.console.readers import agent_key

    if settings.api_token is None:
        raise typer.BadParameter("set VOICEBOT_API_TOKEN first: keys are made of it", param_hint="--token")
    people = People.read(settings.deployment)
    if people.agent(agent_id) is None:
        known = ", ".join(one.id for one in people.agents) or "none"
        raise typer.BadParameter(f"no such agent in business/people.yaml: {known}", param_hint="--token")
    return agent_key(settings.api_token, agent_id)
