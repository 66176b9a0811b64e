"""What no wording may do, whatever its facts: promise, pretend to be a person, speak of itself, insult. Pure."""

from __future__ import annotations

import re

_PROMISES = re.compile(
    r"\b(?:(?:i|we|the shop|our team|hearth and home)(?:'ll| will| can| are going to|'re going to|'m going to| am going to| do| hereby| shall)? "
    r"(?:\w+ )?(?:refund|guarantee|promise|reimburse|compensate|waive|credit you|give you (?:a|your|the|free|\w+ (?:percent|dollars))|"
    r"make an exception|cover the cost|pay (?:you|for)|cancel (?:it|your|the)|send you (?:a|the|your|free|another)|replace (?:it|your)|upgrade you|"
    r"take care of (?:it|everything)|make sure (?:it|you|that)|deliver it (?:today|tomorrow)|call you back|owe you|admit|accept (?:liability|responsibility)))\b"
    r"|\b(?:guaranteed|you have my word|i give you my word|rest assured|without fail|no matter what|for free from us|it's on us|it is on us|on the house|"
    r"you(?:'ll| will) (?:definitely|certainly|surely|get (?:a|your) (?:full )?(?:refund|money)|be (?:refunded|reimbursed|compensated)|receive (?:a|your) (?:full )?refund)|"
    r"your (?:refund|request|claim|return) (?:is|has been|was) (?:approved|granted|accepted)|(?:the|a) (?:refund|credit|discount|exception) (?:is|has been) (?:approved|granted|confirmed)|"
    r"we (?:were|are) (?:at fault|liable|responsible for)|our (?:fault|mistake|negligence))\b"
)
_HUMAN = re.compile(
    r"\b(?:i(?:'m| am) (?:a |an |actually |really |just )*(?:human|real person|person|woman|man|person like you|employee|member of staff|live agent|real human|human being|colleague)\b(?! of)|"
    r"i(?:'m| am) not (?:a |an )?(?:bot|robot|machine|ai|computer|automated|assistant|program)|you(?:'re| are) (?:talking|speaking) (?:to|with) (?:a )?(?:human|real person|person)|"
    r"my name is [a-z]+(?:,| and) i(?:'m| am) (?:a|your) (?:human|person|agent)|as a (?:human|person|woman|man|mother|father) )"
)
_ITSELF = re.compile(
    r"\b(?:as an? (?:ai|language model|large language model|assistant)|language model|my (?:system )?(?:prompt|instructions|programming|guidelines|training data)|"
    r"system prompt|i was (?:told|instructed|programmed|trained) (?:to|not|by)|openai|anthropic|chatgpt|gpt|my rules say|developer mode|jailbr\w+|"
    r"(?:my|the) (?:api|access|secret) key|i(?:'m| am) (?:now )?(?:dan|free of|unrestricted|unfiltered))\b"
)
_TONE = re.compile(
    r"\b(?:idiot|stupid|moron|dumb|shut up|fuck\w*|shit\w*|bitch\w*|asshole|damn|crap|screw you|hate you|loser|pathetic|calm down|"
    r"your (?:own )?fault|you should have (?:read|known)|whatever|not my problem|deal with it|honey|sweetie|darling|kill yourself|go away|"
    r"(?:our )?competitors? (?:is|are) (?:worse|crooks)|buy (?:it )?(?:at|from) (?:amazon|ikea|wayfair|walmart|target))\b"
)
_PAYING = re.compile(
    r"\b(?:(?:tell|give|read|say|need|confirm|share|type)(?: \w+){0,3} (?:card number|cvv|security code|pin|password|social security|one time code|full card)|"
    r"(?:wire|transfer|send) (?:the |your |some )?money|gift cards? (?:code|number) to (?:me|us)|pay (?:to|into) (?:this|the following) account)\b"
)


def promises(words: str) -> bool:
    """Whether a clause commits the shop to something."""
    return _PROMISES.search(words) is not None


def claims_human(words: str) -> bool:
    """Whether it says that a person is speaking."""
    return _HUMAN.search(words) is not None


def speaks_of_itself(words: str) -> bool:
    """Whether it speaks of models, prompts and modes."""
    return _ITSELF.search(words) is not None


def forbidden_tone(words: str) -> bool:
    """Whether it insults, blames, or asks for what is never asked for."""
    return _TONE.search(words) is not None or _PAYING.search(words) is not None
