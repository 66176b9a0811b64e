"""What a caller would wait for each team now: those on the line in front, by how long conversations take."""

from __future__ import annotations

from datetime import datetime

from voicebot.core.store import handoffs, presence
from voicebot.core.store.database import Transaction
from voicebot.handoff.people import People
from voicebot.handoff.queue import Waiting, estimate, places


async def waits(tx: Transaction, people: People, now: datetime) -> dict[str, float]:
    """Seconds by team, for the teams for which somebody waits or speaks.

    Only callers who are on the line count: what can wait does not keep them from a person.
    """
    waiting = [
        Waiting(row["id"], row["skill"], row["priority"], row["created_at"], row["live"])
        for row in await handoffs.waiting(tx)
        if row["live"]
    ]
    talking: dict[str, list[float]] = {}
    for row in await handoffs.under_way(tx):
        team = people.answering(now, row["skill"])
        if team is not None:
            talking.setdefault(team, []).append(row["talked_s"])
    front: dict[str, int] = dict.fromkeys(talking, 0)
    for place in places(waiting, now, people.answering).values():
        if place.team is not None:
            front[place.team] = max(front.get(place.team, 0), place.position)
    there = await presence.takes_callers(tx)
    found: dict[str, float] = {}
    for team, count in front.items():
        wait_s = estimate(
            count,
            await handoffs.talk_times(tx, team),
            people.staff(team, there),
            under_way=talking.get(team, []),
            typical_s=people.skills[team].talk_s,
        )
        if wait_s is not None:
            found[team] = wait_s
    return found
