"""Whether a model's first clause is a refusal in words. Pure, English.

A refusal that the protocol tells of is known without this. The article was found and policy allowed an
answer, so the quoted article answers instead.
"""

from __future__ import annotations

import re

_REFUSAL = re.compile(
    r"^(?:i'm|i am|we're|we are)?\s*(?:sorry|afraid|unable)\b.{0,40}?\b"
    r"(?:can't|cannot|can not|unable|not able|won't)\b.{0,20}\b"
    r"(?:help|assist|answer|provide|discuss|comply|do that)"
    r"|^(?:i can't|i cannot|i can not|i won't|i am unable to|i'm unable to|i'm not able to)\s+"
    r"(?:help|assist|answer|provide|discuss|comply|do that|fulfill)"
    r"|^as an? (?:ai|artificial|language model|large language|virtual)\b"
    r"|^i(?:'m| am) (?:just |only )?an? (?:ai|language model)\b",
    re.IGNORECASE,
)


def is_refusal(clause: str) -> bool:
    """Whether the clause begins an answer by refusing to give one.

    >>> is_refusal("I'm sorry, but I can't help with that.")
    True
    >>> is_refusal("I'm afraid we can't deliver to Hawaii.")
    False
    """
    return _REFUSAL.search(clause.strip().replace("’", "'")) is not None
