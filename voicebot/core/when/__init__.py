"""Day and time in the words of a caller: spoken or written, English. Pure: the time comes in.

    when = parse_when("tomorrow at half past ten", now)      # a moment, a span of time, or a doubt
    kept = settle(when, now, is_open)                        # and whether somebody works then

`parse_when` never guesses silently: what has two meanings comes with a `Doubt` and the other meaning.
"""

from voicebot.core.when.keeping import Kept, Refusal, settle
from voicebot.core.when.moments import go_on, parse_keys, parse_when
from voicebot.core.when.said import spoken_day, spoken_when
from voicebot.core.when.span import Doubt, When

__all__ = [
    "Doubt",
    "Kept",
    "Refusal",
    "When",
    "go_on",
    "parse_keys",
    "parse_when",
    "settle",
    "spoken_day",
    "spoken_when",
]
