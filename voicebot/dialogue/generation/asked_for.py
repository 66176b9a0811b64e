# ruff: noqa: E501  # a pattern is not broken into lines
"""What kind of thing a question asks for (an amount, a time, a number ...), and which sentences hold one.
Pure, English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
            r"\bwhat colou?rs?\b|\bwhich colou?rs?\b|\bcomes? in\b(?! (?:parts|pieces|boxes))",
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


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of a thing that a question asks for outright. Only a text that ``holds`` one answers it.

    ``called``: how a line names it ("I don't have a price for that"). ``own``: each thing has its own, so
    that another thing's is wrong.
    """

    called: str
    asks: re.Pattern[str]
    holds: re.Pattern[str]
    own: bool = True


_BE = r"(?:is|are|was|were|s)"
_FACTS: tuple[Fact, ...] = tuple(
    Fact(called, re.compile(asks, re.IGNORECASE), re.compile(holds, re.IGNORECASE), own)
    for called, asks, holds, own in (
        (
            "a price",
            r"\bhow much (?:is|are|was|were|does|do|did|would|will|for|extra|more|money|to|s)\b(?!.*\b(?:weigh|hold|carry|left|save|off)\b)"
            rf"|\bwhat (?:does|do|did|would|will|{_BE}) .{{0,60}}\bcosts?\b|\bwhat(?: {_BE}|'s)? (?:the |your |its )?(?:\w+ ){{0,2}}(?:price|cost|fee|charge)s?\b"
            r"|\b(?:price|cost) (?:of|for) |^(?:\w+ ){1,4}price$|\bat what price\b|\bhow expensive\b|\bcheapest\b|\bwhat (?:does|do) .{0,40}\bgo for$",
            r"\bdollars?\b|\bcents?\b|[$€£]\s?\d|(?<!step )\bfree\b|\bpercent\b|\b(?:no|normal|same) (?:\w+ ){0,2}(?:charge|fee|cost|interest)s?\b|\bcosts? nothing\b|\bpay nothing\b"
            r"|\bincluded in the (?:price|fee)\b|\bcosts? (?:the same|extra)\b|\bdifference\b|\bprice (?:is shown|depends)\b|\bis added\b",
            True,
        ),
        (
            "a weight",
            rf"\bhow heavy\b|\bhow much (?:does|do|did|would) .{{0,40}}\bweigh\b|\b(?:what {_BE}|the|its|your|need) (?:\w+ )?weight of\b"
            r"|\bhow many (?:pounds|kilos?|ounces)\b|\bwhat (?:does|do) .{0,40}\bweigh\b",
            r"\bpounds?\b|\bounces?\b|\bkilos?\b|\bweighs?\b|\bheav(?:y|ier)\b",
            True,
        ),
        (
            "a height",
            r"\bhow (?:tall|high)\b|\bheight of\b",
            r"\btall\b|\bhigh\b|\bheight\b|\bup to\b|\babove\b",
            True,
        ),
        ("a depth", r"\bhow deep\b|\bdepth of\b", r"\bdeep\b|\bdepth\b", True),
        (
            "a width",
            r"\bhow wide\b|\bwidth of\b",
            r"\bwide\b|\bacross\b|\bwidth\b|\bbroad\b|\bby \w+ feet\b",
            True,
        ),
        (
            "the size",
            rf"\bhow (?:big|large)\b|\b(?:dimensions|measurements) of\b|\bwhat size {_BE}\b|\bwhat {_BE} the (?:size|dimensions|measurements)\b",
            r"\binch(?:es)?\b|\bfeet\b|\bfoot\b|\bsquare\b|\bwide\b|\bacross\b|\bqueen\b|\bsmall\b|\blarge\b|\bfloors?\b|\btwice\b",
            True,
        ),
        (
            "the colors",
            r"\b(?:does|do) (?:the|your) (?:\w+ ){1,4}come in (?!parts|pieces|boxes|\d)|"
            r"\b(?:what|which) colou?rs?\b(?!.*\b(?:suit|match|go|goes|fit|fits)\b)",
            r"\bcolou?rs?\b|\bcomes? in\b|\b(?:white|black|gray|grey|blue|green|red|sand|oak|cream|walnut|rust)\b",
            True,
        ),
        (
            "an opening time",
            r"\b(?:when|what time|how late) (?:does|do|is|are) (?:the|your) (?:\w+ ){1,3}(?:open|closed?|shut)\b",
            rf"\b(?:open|close|shut|from {_NUMBER_WORD} |hours?)",
            True,
        ),
        (
            "an address",
            r"\b(?:what|which|tell me|give me|need|know) .{0,20}\b(?:the|your) (?:(?!e|mail|email|web|my|delivery|billing)\w+ )?address(?: of (?:the|your)\b|$)",
            r"\b(?:street|avenue|road|boulevard|lane|square)\b",
            True,
        ),
        (
            "a time",
            r"\bhow many (?:minutes|hours|days|weeks|months|years)\b|\bhow long (?:does|do|will|would|can|until|till|before|after|may)\b",
            rf"{_SPAN}|\buntil\b|\bfrom\b|\balways\b|\b(?:in|within|for) (?:an?|one|the same|the next) (?:\w+ )?(?:hour|minute|day|week|month|year)\b|\b(?:daily|weekly)\b|\bin the (?:morning|afternoon|evening)\b|\b(?:the )?(?:same|next) (?:\w+ )*day\b|\bas long as\b|\bovernight\b",
            False,
        ),
        (
            "a phone number",
            r"\b(?:what|which|give me|tell me|have|know|need|get) .{0,30}\b(?:your|the store|the shop|support|customer service|hotline|a) (?:\w+ )?(?:phone|telephone|hotline|contact) number\b"
            r"|\b(?:what|which|give me|tell me) .{0,12}\byour (?:phone|telephone|number)\b(?! (?:hours|times))|\bwhat number (?:can|do|should) i (?:call|dial|ring)\b",
            rf"\bnumber is\b|\b(?:call|phone|dial|ring)\b.*\b(?:{_NUMBER_WORD}[ ,]+){{3}}|\d{{3}}",
            False,
        ),
        (
            "an e mail address",
            r"\b(?:what|which|give me|tell me|have|need)\b.{0,30}\b(?:your|an?|the) (?:\w+ )?e ?-?mail\b(?! when| that)(?: address)?(?!.*\bmy\b)",
            r"\be mail (?:address )?(?:is|to|at|us)\b|\w@\w|\bwrite to\b|\b(?:dot|\.) ?(?:com|org|net|example)\b",
            False,
        ),
    )
)


def facts_of(question: str) -> tuple[Fact, ...]:
    """The facts that a question asks for outright.

    >>> [fact.called for fact in facts_of("how wide is the desk and what does it cost")]
    ['a price', 'a width']
    """
    plain = " ".join(question.lower().replace("’", "'").split()).strip(" .!?,")
    return tuple(fact for fact in _FACTS if fact.asks.search(plain))
