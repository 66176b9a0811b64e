"""What stands on the desk's pages, from what the API says. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_WHO = {"caller": "Caller", "bot": "Bot", "agent": "Agent"}
_HEARD = {"part": "interrupted", "none": "not heard", "unsure": "not understood well"}
NOTES = (
    ("wrong_answer", "Wrong answer"),
    ("missing_article", "No article for it"),
    ("wrong_intent", "Misunderstood"),
    ("missed_escalation", "Should have gone to a person"),
    ("good", "Good"),
    ("other", "Other"),
)
DISPOSITIONS = (
    ("solved", "Solved"),
    ("not_solved", "Not solved"),
    ("passed_on", "Passed on"),
    ("not_reached", "Not reached"),
)
STATES = {
    "waiting": "waits",
    "offered": "a phone rings",
    "accepted": "accepted",
    "bridged": "they speak",
    "missed": "missed",
    "callback": "call back booked",
    "done": "done",
}
"""Of a hand-over."""
PROMISES = {"callback": "Call back", "request": "Request", "message": "Message"}
ENDED = {
    "caller_hung_up": "the caller hung up",
    "goodbye": "they said goodbye",
    "person_took_over": "a person took over",
    "idle": "nobody wrote any more",
}
_HAPPENED = {
    "handoff requested": "A person was asked for",
    "handoff accepted": "An agent has accepted",
    "handoff declined": "An agent has declined",
    "handoff offered": "A person's phone rings",
    "handoff waiting": "Waits for a person again",
    "handoff bridged": "The person speaks with the caller",
    "handoff missed": "Nobody came in time, or the caller left",
    "handoff callback": "A call back is booked",
    "handoff summarised": "The summary was written anew",
    "handoff done": "The hand-over is settled",
    "state talk_requested": "An agent takes the call at the desk",
    "state talk_begun": "Agent and caller speak",
    "state talk_lost": "The agent's line is gone: the caller is told to hold",
    "state talk_resumed": "Agent and caller speak again",
    "state talk_over": "The talk at the desk is over",
    "state chat_back": "The agent has given the chat back to the bot",
    "transfer requested": "A phone is dialled",
    "transfer ringing": "A phone rings",
    "transfer briefing": "The person hears what it is about",
    "transfer bridged": "The person is on the line",
    "transfer taken": "An agent at a desk has taken the call",
    "transfer at_desk": "The agent at the desk is on the line",
    "transfer returned": "The bot has the caller again",
    "transfer caller_left": "The caller has hung up",
    "state ended": "The conversation has ended",
    "state closed": "End of the transcript",
    "state erased": "What was said here was erased",
}
_SCORES = (
    ("classification", "Understood"),
    ("grounding", "Article fits"),
    ("answer", "Answer sure"),
    ("sentiment", "Mood"),
)


def waited(seconds: float) -> str:
    """How long somebody waits: ``45 s``, ``3 min``, ``1 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60:02d} min" if hours < 48 else f"{hours // 24} days"


def said_by(entry: Mapping[str, Any]) -> str:
    """Who said a line, and how much of it was heard."""
    who = _WHO.get(str(entry.get("who")), "?")
    heard = _HEARD.get(str(entry.get("heard")))
    return f"{who} ({heard})" if heard else who


def happened(entry: Mapping[str, Any]) -> str:
    """A state, transfer or hand-over in words."""
    what = _HAPPENED.get(f"{entry.get('type')} {entry.get('what')}")
    what = what or _plain(entry.get("what") or entry.get("type")).capitalize()
    facts = entry.get("facts") or {}
    known = {entry.get("what"), "asked_for_person"}  # says it twice
    told = [facts[name] for name in ("reason", "trigger", "status", "leg") if facts.get(name)]
    told = [_plain(one) for one in told if one not in known]
    return f"{what}: {', '.join(told)}" if told else what


def identity(payload: Mapping[str, Any]) -> str:
    """Who the caller is, as far as that was checked."""
    known = payload["identity"]
    if known["verified"]:
        by = ", ".join(_plain(one) for one in known["method"])
        return f"verified by {by}" if by else "verified"
    if known["locked"]:
        return "not verified: locked out after too many tries"
    return f"not verified after {known['tries']} tries" if known["tries"] else "not verified"


def summary(payload: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The summary's parts in the agent's order."""
    made = payload["summary"]
    return tuple((name.capitalize(), made[name]) for name in ("issue", "tried", "mood", "next"))


def why_next(payload: Mapping[str, Any]) -> str:
    """Why the next action is what it is."""
    choice = payload["choice"]
    held = "; ".join(_plain(one) for one in choice["matched"]) or "nothing more special fits"
    return f"{held} (reviewed {choice['reviewed_on']} by {choice['reviewed_by']})"


def scores(payload: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The bot's three confidences and the caller's mood when it stepped back; the unknown is left out."""
    made = payload["scores"]["moment"] or {}
    return tuple((title, f"{made[name]:.2f}") for name, title in _SCORES if made.get(name) is not None)


def evidence(payload: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What made the trigger fire."""
    return pairs(payload["trigger"]["evidence"])


def pairs(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Names and values as one reads them; what is empty is left out."""
    return tuple((_plain(name).capitalize(), shown(value)) for name, value in given.items() if shown(value))


def shown(value: Any) -> str:
    """A value of the API in words."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.2f}".rstrip("0").rstrip(".")
        case list() | tuple():
            return ", ".join(filter(None, map(shown, value)))  # pyright: ignore[reportUnknownArgumentType]
        case dict():
            return "; ".join(f"{name}: {told}" for name, told in pairs(value))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return str(value)


def written(payload: Mapping[str, Any]) -> str:
    """Who wrote the summary."""
    by = payload["summary"]["written_by"]
    return "Put together from what is stored" if by == "composed" else f"Written by {by} and checked"


def note(value: str) -> str:
    """A note's kind."""
    return dict(NOTES).get(value, _plain(value))


def disposition(value: str) -> str:
    """How a hand-over was left."""
    return dict(DISPOSITIONS).get(value, _plain(value))


def state(one: Mapping[str, Any]) -> str:
    """How a hand-over stands, and who has it."""
    how = STATES.get(one["status"], _plain(one["status"]))
    return how if one["claimed_by"] is None else f"{how} by {one['claimed_by']}"


def due(at: str, now: datetime) -> str:
    """When a promise is due: ``in 20 min``, ``2 h 05 min overdue``."""
    left_s = (moment(at) - now).total_seconds()
    return f"in {waited(left_s)}" if left_s >= 0 else f"{waited(-left_s)} overdue"


def ago(at: str, now: datetime) -> str:
    """How long it is past."""
    return f"{waited(max(0.0, (now - moment(at)).total_seconds()))} ago"


def reviews_due(review: Mapping[str, Any], now: datetime) -> list[str]:
    """What of ``/api/recordings/review`` is overdue, a sentence each."""
    lines: list[str] = []
    if review["overdue"]:
        calls = review["calls"]
        since = "in four weeks" if review["last"] is None else f"for {_days(review['last'], now)}"
        worth = "1 call since is" if calls == 1 else f"{calls} calls since are"
        lines.append(f"The weekly review is overdue: nobody has listened {since}; {worth} worth it.")
    if review["articles"]:
        due = "1 article is" if review["articles"] == 1 else f"{review['articles']} articles are"
        lines.append(f"{due} past the day on which somebody was to look again.")
    return lines


def _days(at: str, now: datetime) -> str:
    days = (now - moment(at)).days
    return "1 day" if days == 1 else f"{days} days"


def lasted(began: str, ended: str) -> str:
    """How long a conversation was."""
    return waited((moment(ended) - moment(began)).total_seconds())


def moment(at: str) -> datetime:
    """A time of the API."""
    made = datetime.fromisoformat(at)
    return made if made.tzinfo is not None else made.replace(tzinfo=UTC)


def ended(reason: str | None) -> str:
    """Why a conversation ended."""
    return "" if reason is None else ENDED.get(reason, _plain(reason))


def plain(name: object) -> str:
    """A name of the API as words: ``order_status`` is ``order status``."""
    return _plain(name)


def _plain(name: object) -> str:
    return re.sub(r"(?<=[a-z])\.(?=[a-z])", " ", str(name).replace("_", " "))
