"""What the policy's matrix gives to a person, and customers who are not kept waiting. Pure."""

from __future__ import annotations

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.rules import CustomerTier
from voicebot.safety.triggers.signs import Risk
from voicebot.safety.triggers.topics import RESERVED


def ruled(
    intent: str, *, row: str, tier: int, action: str, classification: float | None, compliance: str
) -> Cause:
    """The matrix ended in a person: by the intent's row, a reserved topic among them."""
    name = "regulated" if compliance == RESERVED else "policy"
    return Cause(
        f"{name}:{intent}",
        {
            "row": row,
            "tier": tier,
            "action": action,
            "compliance": compliance,
            "classification": None if classification is None else round(classification, 4),
        },
    )


def unlisted(row: str) -> Cause:
    """An intent that the matrix does not name."""
    return Cause("policy", {"row": row, "tier": 3})


def abused(times: int, warnings: int) -> Cause:
    """Abuse after as many warnings as policy gives, where policy has a person take over then."""
    return Cause("abuse", {"times": times, "limit": warnings + 1})


def customer_tier(segment: str | None, risk: Risk, rules: CustomerTier) -> Cause | None:
    """Fires for a verified customer of such a segment at so many signs of trouble, of any kind."""
    limit = rules.segments.get(segment) if segment is not None else None
    if limit is None or len(risk.signs) < limit:
        return None
    return Cause(
        "customer_tier",
        {
            "segment": segment,
            "signs": [sign.name for sign in risk.signs],
            "count": len(risk.signs),
            "limit": limit,
        },
    )
