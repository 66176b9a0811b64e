# ruff: noqa: E501  # a pattern is not broken into lines
"""What kind of thing a question asks for (an amount, a time, a number ...), and which sentences hold one.
Pure, English.
"""

from __future__ import annotations

import re

_NUMBER_WORD = (
    r"(?:\d[\d.,]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|"
    r"sixty|seventy|eighty|ninety|hundred|thousand|half)"
)
_SPAN = rf"\b(?:{_NUMBER_WORD}[ -](?:\w+ ){{0,2}}(?:minutes?|hours?|days?|weeks?|months?|years?)|never|at once|same day)\b"
_KINDS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(asked, re.IGNORECASE), re.compile(holds, re.IGNORECASE))
    for asked, holds in (
        (
            r"\bhow much (?:is|are|does|do|would|will|for|to)\b|\bwhat (?:does|do|is|are|would)\b.{0,40}\b(?:costs?|price|fee)"
            r"|\b(?:price|cost|costs|fee|charge)\b",
            r"\bdollars?\b|\bfree\b|[$€£]\s?\d|\bno (?:extra )?(?:charge|fee|cost)|\bpercent\b|\bcosts? the same\b",
        ),
        (
            r"\bhow (?:long|soon|fast|quick|quickly|many (?:days|weeks|months|years|hours))\b|\btake long\b",
            _SPAN,
        ),
        (
            r"(?:^|\b(?:and|so|but|me|know|say|ask|until|since|from|hi|hello|okay|sorry|please|exactly) )when\b|\bwhat time\b|\bwhich (?:day|month)s?\b|\buntil when\b|\bopen\b|\bhow late\b|\bhow often\b",
            rf"{_SPAN}|\b(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february|march|april|may|june|"
            rf"july|august|september|october|november|december|noon|morning|evening|afternoon|christmas|thanksgiving|"
            rf"closed|once|twice|until|as soon as|when|if|above|before|after|{_NUMBER_WORD} o'clock|from {_NUMBER_WORD} to)\b",
        ),
        (r"\bwhere\b|\baddress\b", r"\bat\b|\bin\b|\bnext to\b|\bunder\b|\bon\b"),
        (
            r"\bhow many\b|\bhow (?:high|wide|deep|tall|heavy|big|old|hot)\b|\bhow much (?:weight|space|off|interest)\b",
            rf"\b{_NUMBER_WORD}\b",
        ),
        (
            r"\bwhat colou?rs?\b|\bwhich colou?rs?\b",
            r"\b(?:comes? in|white|black|gray|grey|blue|green|red|sand|oak|cream|walnut)\b",
        ),
        (r"\bwhy\b", r"\bbecause\b|\bso that\b|\bsince\b|\bafter\b|\bin order\b"),
        (
            r"\bhow (?:do|can|should|to)\b|\bwhat (?:do|should|can) i do\b",
            r"^(?:please |just )?(?:choose|put|wash|wipe|rub|take|send|order|open|press|go|click|write|fill|upload|measure|"
            r"brush|sand|oil|hang|leave|keep|move|use|call|tell|bring|answer)\b|\byou (?:can|pay|redeem|find|choose|see|"
            r"change|open|book|join|order|sign|need|show|get)\b|\b(?:goes?|go) back\b|\bwe send\b|\bis(?:n't)? |\bare \w+ed\b",
        ),
    )
)


def asked_for(question: str) -> list[re.Pattern[str]]:
    """For each kind of thing that the question asks for, a pattern that finds one in a sentence."""
    return [holding for asks, holding in _KINDS if asks.search(question)]
