"""What a person is given with a hand-over, in cards: what to do first, then what it is about and why."""

from __future__ import annotations

from typing import Any

from voicebot.console.desk import parts, words


def draw_payload(one: dict[str, Any]) -> None:
    """Draws the payload of a hand-over, as the API has it, into the open element."""
    payload = one.get("payload")
    if payload is None:
        parts.text("p", one.get("problem") or "There is no payload.", "alarm card")
        return
    with parts.card("Next", "lead"):
        parts.text("p", payload["next_action"], "big")
        parts.text("p", f"Because {words.why_next(payload)}", "soft small")
    with parts.card("Summary"):
        parts.facts(pair for pair in words.summary(payload) if pair[0] != "Next")
        parts.text("p", words.written(payload), "soft small")
    with parts.card("Caller"):
        known = payload["identity"]
        pairs = [("Identity", words.identity(payload))]
        pairs += [(name.capitalize(), str(known[name])) for name in ("customer", "reference") if known[name]]
        if known.get("caller"):
            pairs.append(("Number shown", str(known["caller"])))
        parts.facts([*pairs, *words.pairs(payload["form"])])
    with parts.card("Why a person"):
        parts.facts([("Trigger", payload["reason"]), ("Urgency", one["urgency"])])
        with parts.box("details"):
            parts.text("summary", "What it was seen by")
            parts.facts([*words.evidence(payload), *words.scores(payload)])
    if payload["tried"]:
        with parts.card("Tried"), parts.box("ul"):
            for line in payload["tried"]:
                parts.text("li", line)
    if payload["citations"]:
        with parts.card("Articles"), parts.box("ul"):
            for source in payload["citations"]:
                parts.text("li", source["title"])
