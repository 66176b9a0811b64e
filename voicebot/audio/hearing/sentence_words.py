"""English words and phrases by what they tell of the end of a sentence. Data; ``completeness`` reads it."""

from __future__ import annotations

import re


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


WANTS_MORE = _set("""
    and or but because cause if unless although though while whereas than
    the a an my your his our their every
    to of with from into onto at by per between
    i'm i've i'd i'll it's we're we've we'd we'll they're you're he's she's there's
    um uh er erm uhm hmm
    very really quite too which whether""")
"""Words that hardly ever end a turn. Not "for", "in", "on", "about", "that": "what is that for"."""

LEANS = _set("""
    for in on about under like want need have has had get got order ordered bought received return send
    exchange change cancel check know tell say ask see find is are was were am be been would could should can
    will do does did i we they he she it's that's what where when how why who so then some any number code
    name""")
"""Words that often have more behind them; with others before them they may end a turn ("where it is")."""

FILLERS = _set("um uh er erm uhm hmm mm well so okay ok oh like actually")

COPULA = _set("is are was were am")
ASKING = _set("what where when how who why which whether")
SUBJECTS = _set("it that this they he she there i we you")
AUXILIARY = _set(
    "is are was were am do does did can could would will should has have may isn't aren't can't don't"
)

ANNOUNCED = _set("number code zip digits card phone order account ends")
LONG_NUMBER = 4
"""Digits from which a number that was announced may be whole: the last four of a card."""

ENDS = re.compile(
    r"\b(please|thanks|thank you|thank you very much|goodbye|bye|that's all|that is all|that's it|"
    r"nothing else|never mind|right now|today|tomorrow|yesterday|yet|back|too big|too small|not working|"
    r"go ahead|i see|don't know|do not know|of course|"
    r"agent|person|human|operator|manager|representative|somebody|someone)$"
)
"""What often stands last."""

GIVES = re.compile(
    r"\b((tell|give|show|send|let) me|(send|give|bring|take) back|i think|i thought|i guess|"
    r"how (long|much|many|late|often|soon)|what (time|kind|sort|about|exactly)|which one|wait)$|^(\w+ )?it$"
)
"""Verbs whose object is still to come, questions that have only begun, "no, wait"."""

HELD = re.compile(
    r"\b(hold on|hang on|let me (see|check|look|find it)|"
    r"(one|just a|just one|wait a|a) (moment|second|minute|sec))( please)?$"
)
"""A caller who asks for time goes on; so the bot does not answer at once."""

AFFIRMS = _set("""yes yeah yep yup sure right correct okay ok exactly absolutely definitely certainly fine
    no nope nah wrong incorrect""")
OPENINGS = AFFIRMS | _set("hello hi hey good morning afternoon evening sorry excuse me there please")
"""By themselves and unasked, words with which a sentence begins."""

AFFIRMING = re.compile(
    r"^(please do|go ahead|of course|of course not|sounds good|all right|alright|uh huh|mm hm|mhm|"
    r"i think so|i guess so|i don't think so|i do not think so|i do|i don't|i do not|"
    r"not really|not yet|don't|do not)\b"
)
ANSWER_WORDS = 6
"""A longer answer to a yes-or-no question says something else, too."""

MONTHS = _set("january february march april may june july august september october november december")
DAYS = _set("monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday")
ORDINALS = _set("""first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
thirteenth fourteenth
    fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth""")
ORDINAL = re.compile(r"^\d+(st|nd|rd|th)$")

HELPING = _set("do does did can could will would should")
DETERMINERS = _set("a an the my your our this that his her their no another")
