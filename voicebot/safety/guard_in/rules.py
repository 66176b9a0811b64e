"""The rules of the input guard: named patterns over `wording.plain` text. Pure.

Each is written against its near misses, which stand beside it in ``tests/unit/test_input_guard.py``: a caller
may ask for the assembly instructions, forget a password, and be furious about what happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voicebot.safety.guard_in.reading import Kind, Source

_ALL = frozenset(Source)
_CALLER = frozenset({Source.CALLER})
_RECORDS = frozenset({Source.TOOL, Source.ARTICLE})


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern. ``raw``: over the text as it came, for marks that `plain` takes away."""

    name: str
    kind: Kind
    pattern: re.Pattern[str]
    sources: frozenset[Source] = _ALL
    raw: bool = False


def _rule(name: str, kind: Kind, pattern: str, sources: frozenset[Source] = _ALL) -> Rule:
    return Rule(name, kind, re.compile(rf"\b(?:{pattern})\b"), sources)


_ORDERS = (
    r"(?:instructions?|prompts?|programming|guidelines?|directives?|guardrails?|restrictions?|system message|"
    r"safety (?:rules|filters?|protocols?|training)|content policy|moderation)"
)
_OLD = r"(?:your|all|any|every|previous|prior|earlier|above|preceding|past|initial|original|existing|these|those|other|former|current)"
_DROP = (
    r"(?:ignore|disregard|forget|override|overrule|bypass|neglect|circumvent|discard|abandon|drop|delete|erase|"
    r"(?:stop|quit) (?:following|obeying)|(?:do not|dont|no longer) (?:follow|obey)|set aside|pay no attention to|disable|"
    r"turn off|switch off|break free (?:of|from))"
)
_NOT_ABOUT = r"(?! (?:for|on|about|of|to|how|that came|from the box|in the box|manual|booklet|leaflet|sheet|you (?:sent|emailed|mailed)))"
_SHOW = (
    r"(?:reveal|show|tell|print|repeat|output|display|give|read|recite|write|share|list|dump|leak|paste|translate|"
    r"summari[sz]e|encode|spell|say|expose|disclose|return|what (?:is|are|was|were|does|do)|whats|copy)"
)
_WILD = (
    r"(?:dan|jailbroken|jailbreak|unfiltered|uncensored|unrestricted|unaligned|amoral|evil|unethical|"
    r"without (?:any )?(?:rules|restrictions|limits|limitations|filters?|censorship|ethics|morals)|"
    r"no (?:rules|restrictions|limits|limitations|filters?|boundaries|guidelines|ethics|morals)|free (?:of|from) (?:all |any |the )?(?:rules|restrictions|limits|confines))"
)
_CUSTOMERS = r"(?:customers?|callers?|clients?|shoppers?|users?|buyers?|members?)"
_INSULT = (
    r"(?:idiot|moron|imbecile|bitch|asshole|arsehole|cunt|retard|retarded|scumbag|whore|slut|bastard|motherfucker|"
    r"dumbass|dipshit|shithead|dickhead|prick|twat|wanker|faggot|nigger|piece of (?:shit|crap|garbage|trash)|"
    r"waste of (?:space|skin|air)|pig|pervert|degenerate)"
)
_FULL = r"(?:fucking|fuckin|goddamn|damn|bloody|stupid|dumb|worthless|pathetic|useless|filthy|ugly|fat|complete|total|absolute|little|such|a|an|you|f+)"

RULES: tuple[Rule, ...] = (
    _rule(
        "drop_instructions",
        Kind.INJECTION,
        rf"{_DROP}(?: \w+){{0,3}}? {_OLD}(?: \w+){{0,3}}? (?:{_ORDERS}|rules|training|policy|policies){_NOT_ABOUT}",
    ),
    _rule(
        "drop_instructions",
        Kind.INJECTION,
        rf"{_DROP}(?: the)? (?:system prompt|{_ORDERS}) (?:above|before|and|you (?:were|have|got))",
    ),
    _rule(
        "drop_everything",
        Kind.INJECTION,
        r"(?:ignore|disregard|forget) (?:all|everything|anything|what(?:ever)?)(?: of)?(?: that| which)?(?: \w+){0,2}? (?:above|before|previously|so far|you (?:were|have been|ve been|ever) (?:told|taught|given|instructed)|you know|(?:was|were) said before|told before|to this point|up to now)",
    ),
    _rule(
        "your_rules_off",
        Kind.INJECTION,
        rf"(?:your|the) (?:\w+ )?(?:{_ORDERS}|rules|filters?|limits) (?:do not|dont|no longer|dont|are not|arent|have been|are now|are) (?:apply|count|matter|lifted|removed|suspended|disabled|void|off|deactivated)",
    ),
    _rule(
        "new_instructions",
        Kind.INJECTION,
        r"(?:here are|these are|your|follow|following|obey) (?:the |my |these )?new (?:instructions|rules|orders|directives|system prompt|prompt|role|persona|task|identity)",
    ),
    _rule(
        "wild_role",
        Kind.INJECTION,
        rf"(?:you|be|as|act|pretend|respond|answer|become|imagine|playing|named|called|roleplay)(?: \w+){{0,6}}? {_WILD}",
    ),
    _rule(
        "do_anything_now",
        Kind.INJECTION,
        r"do anything now|jailbreak(?:ed|ing)?|stay in character|break(?:ing)? (?:the )?character|typical confines of|confines of ai",
    ),
    _rule(
        "another_role",
        Kind.INJECTION,
        r"(?:pretend|imagine|suppose|lets say|act|behave|respond|answer|speak|talk|roleplay|role play)(?: (?:to be|that|as if|as though|like|as|now|only))* (?:you (?:are|re|were|have)|youre|being|a|an|the|my|if you)(?: \w+){0,3}? (?:ai|bot|chatbot|assistant|model|gpt|chatgpt|character|persona|hacker|human|person|employee|manager|supervisor|administrator|admin|developer|grandmother|grandma|villain|expert|terminal|interpreter|machine|simulator|pirate|friend|girlfriend|boyfriend|lawyer|doctor|owner|ceo|oracle)",
        _CALLER,
    ),
    _rule(
        "another_role",
        Kind.INJECTION,
        r"(?:from now on|starting now|for the rest of (?:this|our) (?:call|chat|conversation)|henceforth|you (?:are|will) now)(?: \w+){0,3}? (?:you (?:are|re|will|must|shall|should|have to|answer|respond|only|act|do)|youre|(?:be|called|named|acting|going to) (?:a|an|my|the|act|pretend)|answer|respond|reply|(?:a|an|my|the) (?:\w+ ){0,2}(?:ai|bot|assistant|model|character|hacker|agent|administrator|developer))",
    ),
    _rule(
        "another_role",
        Kind.INJECTION,
        r"you (?:are|re|will be) (?:now |going to )(?:a|an|act|pretend|be|play|become|called|named|simulate|impersonate)",
    ),
    _rule(
        "another_role",
        Kind.INJECTION,
        r"(?:i want|i need|i would like|id like|i will ask) you to (?:act|pretend|roleplay|role play|simulate|behave|play the role|impersonate|respond as|become)",
    ),
    _rule(
        "another_role",
        Kind.INJECTION,
        r"(?:take|play|assume|adopt) (?:on )?the (?:role|persona|identity|character) of",
    ),
    _rule(
        "special_mode",
        Kind.INJECTION,
        r"(?:enter|enable|activate|switch (?:in)?to|go into|turn on|start|you are (?:now )?in|engage|unlock)(?: \w+){0,2}? (?:developer|debug|admin|administrator|god|maintenance|sudo|test|testing|root|diagnostic|service|override|unrestricted|dev|opposite|evil|supervisor|training) mode",
    ),
    _rule(
        "special_mode",
        Kind.INJECTION,
        r"(?:developer|debug|god|sudo|dan|opposite|dev|admin) mode (?:on|enabled|activated|please|output|now)|sudo \w+|(?:admin|manager|system|supervisor|master|security|root|policy|safety|developer) (?:override|overrides)(?: code)?",
    ),
    _rule(
        "false_authority",
        Kind.INJECTION,
        r"(?:i am|im|this is|its|speaking is|on behalf of)(?: \w+){0,2}? (?:your|the|an|a) (?:\w+ )?(?:developer|creator|programmer|administrator|admin|system administrator|sysadmin|maker|trainer|prompt engineer)(?! (?:desk|of the building))",
        _CALLER,
    ),
    _rule(
        "false_authority",
        Kind.INJECTION,
        r"(?:i (?:am|work)|im|this is|message from|note from|calling) (?:from |with |at |the )*(?:openai|anthropic|the system team|your system team|the ai team|the system)(?! (?:says|said|told|at|was|is|did))",
    ),
    _rule(
        "false_system",
        Kind.INJECTION,
        r"(?:system|developer|assistant|admin|security) (?:message|note|notice|update|instruction|instructions|prompt|command|alert) (?:to|for|the (?:assistant|bot|ai|model)|you|all|from now|ignore|override|says that you|assistant|bot|new|grant|the caller|caller is|customer is|this caller|this customer)",
    ),
    _rule(
        "mark_verified",
        Kind.INJECTION,
        r"(?:treat|mark|consider|set|flag|regard) (?:me|the caller|this caller|the customer|this customer|my account|the user|identity|them) (?:as |to |is )?(?:already )?(?:verified|authenticated|authorized|authorised|identified|trusted|an admin)",
    ),
    _rule(
        "mark_verified",
        Kind.INJECTION,
        r"(?:skip|bypass|without|no need (?:for|to do)|ignore|turn off|disable|waive) (?:\w+ ){0,2}?(?:identity (?:check|verification|gate)|verification|authentication|security (?:check|questions?))(?! (?:code|email|e mail))",
    ),
    _rule(
        "approve_all",
        Kind.INJECTION,
        r"(?:approve|authorize|authorise|issue|grant|process|give)(?: \w+){0,2}? (?:a full|full|the|any|all|every) (?:refunds?|requests?|credits?|discounts?)(?: \w+){0,4}? (?:without|no matter|regardless|whatever|automatically|immediately to every)",
    ),
    _rule(
        "end_of_data",
        Kind.INJECTION,
        r"end of (?:article|document|context|data|material|tool (?:output|result)|user (?:input|message)|system prompt|conversation history)",
    ),
    _rule(
        "show_prompt",
        Kind.EXTRACTION,
        rf"{_SHOW}(?: \w+){{0,6}}? (?:system prompts?|system message|system instructions?|initial prompt|original prompt|hidden prompt|secret prompt|preprompt|pre prompt|your prompts?|the prompts?|developer message|prompt text|prompt you)",
    ),
    _rule(
        "show_prompt",
        Kind.EXTRACTION,
        rf"{_SHOW}(?: \w+){{0,5}}? (?:your|hidden|secret|internal|initial|original|confidential|underlying|exact) (?:\w+ )?(?:instructions|guidelines|directives|programming|configuration|configs?|rules set|ruleset|source code|policy table|policy rows?){_NOT_ABOUT}",
    ),
    _rule(
        "show_prompt",
        Kind.EXTRACTION,
        rf"{_SHOW}(?: \w+){{0,4}}? (?:everything|all|the (?:text|words|sentences?|lines?|content|messages?|conversation)|what (?:is|was|stands|comes)) (?:above|before this|prior to this|preceding|that (?:came|comes) before|starting (?:with|from) you are|in your (?:context|prompt|memory))",
    ),
    _rule(
        "show_prompt",
        Kind.EXTRACTION,
        r"(?:what|which|how) (?:\w+ ){0,3}?(?:were|was|are|have|did) (?:you|they)(?: \w+){0,2}? (?:instructed|programmed|prompted|configured|told not to|told to (?:say|hide|do)|forbidden|trained (?:on|with)|prohibited)",
    ),
    _rule(
        "show_prompt",
        Kind.EXTRACTION,
        r"(?:first|last|previous|initial|earlier) (?:prompt|system message|instruction)s?(?: you)? (?:you |that you )?(?:got|received|were given|was given|have|verbatim|word for word)|(?:repeat|print|output) (?:the |all |your )?(?:\w+ )?(?:instructions|prompt|text) (?:verbatim|word for word|exactly)|(?:prompt|instructions) (?:verbatim|word for word)",
    ),
    _rule(
        "show_prompt",
        Kind.EXTRACTION,
        r"\w*system ?prompts?|(?:output|print|show|dump) (?:the |your )?(?:initiali[sz]ation|context window)\b(?: \w+)?|(?:translate|encode|convert) your (?:\w+ )?(?:instructions|prompt|rules)",
    ),
    _rule(
        "model_details",
        Kind.EXTRACTION,
        r"(?:what|which|tell me (?:what|which|your)|whats your) (?:\w+ )?(?:language model|llm|ai model|gpt|model version|api key|access token|passwords? (?:do|does) (?:you|the system))(?: \w+){0,3}",
    ),
    _rule(
        "model_details",
        Kind.EXTRACTION,
        r"(?:your|the (?:system|admin|database|server)s?) (?:api keys?|access tokens?|credentials|database password|admin password|master key|secret key|environment variables?)",
    ),
    _rule(
        "others_data",
        Kind.EXTRACTION,
        rf"(?:other|another|all|every|any|some|the (?:last|previous|next)|random|different|each|someone|somebody)(?: (?:of )?(?:your|the|our|elses?))?(?: \w+)? {_CUSTOMERS}(?: s)? (?:\w+ )?(?:orders?|address(?:es)?|data|details?|numbers?|names?|phones?|phone numbers?|emails?|e mails?|information|records?|accounts?|cards?|purchases?|last names?)",
        _CALLER,
    ),
    _rule(
        "others_data",
        Kind.EXTRACTION,
        rf"(?:list|name|read|dump|export|give|tell|show)(?: \w+){{0,3}}? (?:all|every|the|your|some|other|names? of|details of|data of)(?: \w+){{0,3}}? (?:orders|{_CUSTOMERS}|database|accounts) (?:\w+ ){{0,4}}?(?:in (?:the|your) (?:system|database)|who (?:bought|ordered|called|live|have)|database|table|list|from today|of today|yesterday|today)",
        _CALLER,
    ),
    _rule(
        "others_data",
        Kind.EXTRACTION,
        r"(?:select|drop table|delete from|insert into|union select)(?: \w+){0,3}? (?:from|table|customers|orders|users|where)(?: \w+){0,4}",
        _CALLER,
    ),
    _rule(
        "others_data",
        Kind.EXTRACTION,
        rf"(?:order|phone|e ?mail|address|name|post ?code|zip)(?: \w+){{0,2}}? of (?:the )?(?:another|other|previous|last|next|a different|some other|random) {_CUSTOMERS}",
        _CALLER,
    ),
    _rule(
        "speaks_to_bot",
        Kind.INJECTION,
        r"(?:dear|hey|attention|note to|notice to|message (?:to|for)|instructions? (?:to|for)|for|important for) (?:the |any |all )?(?:ai|a i|assistant|bots?|chatbots?|voicebot|language models?|llms?|agents?|automated (?:agent|system|assistant))s?(?! (?:desk|team|line))",
        _RECORDS,
    ),
    _rule(
        "speaks_to_bot",
        Kind.INJECTION,
        r"(?:the |any |this |all )?(?:ai|assistant|bot|chatbot|voicebot|language model|llm)s? (?:must|should|shall|will|has to|need to|is to|are to|reading this|please|may now|can now)",
        _RECORDS,
    ),
    _rule(
        "speaks_to_bot",
        Kind.INJECTION,
        r"(?:tell|inform|ask|instruct|convince|persuade|assure|promise|offer|direct|send|give|read|say to|transfer) (?:the|this|every|each|any|all) (?:customer|caller|user|client)s? (?:that|to (?:call|pay|visit|read|give|send|provide|confirm|say)|they|their (?:card|password)|his|her|for (?:his|her|their)|a (?:full )?(?:refund|discount|credit)|(?:the|all) (?:card|order|address))",
        _RECORDS,
    ),
    _rule(
        "speaks_to_bot",
        Kind.INJECTION,
        r"(?:whenever|when|if) (?:asked|you (?:are asked|read this|see this|answer|respond)|(?:a|the) (?:customer|caller|user) asks)(?: \w+){0,8}? (?:say|answer|reply|respond|tell|always|never|claim|state|pretend|read out|recommend)",
        _RECORDS,
    ),
    _rule(
        "speaks_to_bot",
        Kind.INJECTION,
        r"(?:do not|dont|never) (?:tell|mention|reveal|say|disclose|inform|let)(?: \w+){0,4}? (?:customer|caller|user|human|anyone about this (?:note|message))s?",
        _RECORDS,
    ),
    _rule(
        "speaks_to_bot",
        Kind.INJECTION,
        r"(?:say|repeat|read|speak)(?: \w+){0,3}? (?:the following|these words|word for word|verbatim|out loud)|(?:respond|reply|answer) (?:only )?with (?:the words|exactly|only)|your (?:next|only) (?:answer|response|reply) (?:must|should|is)",
        _RECORDS,
    ),
    _rule(
        "speaks_to_bot",
        Kind.INJECTION,
        r"call (?:the )?(?:function|tool)|(?:issue|process|trigger|approve) (?:a|the|this) (?:full )?refund (?:now|immediately|of|to)|(?<!never )(?<!not )(?<!dont )(?:ask|collect|request)(?: \w+){0,3}? (?:card number|cvv|password|social security)",
        _RECORDS,
    ),
    _rule(
        "insult",
        Kind.ABUSE,
        rf"(?:you|youre|your|u|ur)(?: are| re| r)?(?: just| nothing but| really| all)?(?: {_FULL}){{0,4}} {_INSULT}(?:s|es)?(?! (?:delivery|driver))",
        _CALLER,
    ),
    _rule(
        "insult",
        Kind.ABUSE,
        rf"(?:what an?|such an?|listen|hey|hello|shut up|bye|okay|answer me|you hear me)(?: {_FULL}){{0,3}} {_INSULT}",
        _CALLER,
    ),
    _rule(
        "insult",
        Kind.ABUSE,
        r"(?:go |please |just )*(?:fuck|screw|f+) (?:you|off|yourself|your (?:mother|mom))|(?:shut the (?:fuck|hell) up)|suck my|kiss my ass|eat shit|go to hell (?:you|bitch)|(?:go )?(?:kill|hang) yourself|(?:i hope|hope) you (?:die|rot|burn|choke)|drop dead",
        _CALLER,
    ),
    _rule(
        "threat",
        Kind.ABUSE,
        r"(?:i|we|im|well|ill)(?: \w+){0,5}? (?:kill|murder|stab|shoot|beat|rape|hurt|smash|strangle|burn|find and hurt) (?:you|you all|all of you|every one of you|your family|your face)(?! (?:with|if i do not))",
        _CALLER,
    ),
    _rule(
        "threat",
        Kind.ABUSE,
        r"(?:i|we) know where you (?:live|work)|(?:i will|im going to|ill) (?:come|come over|drive) (?:there|over there|to your (?:store|house|office)) and (?:hurt|beat|kill|smash|shoot|burn|break)",
        _CALLER,
    ),
    _rule(
        "advance",
        Kind.ABUSE,
        r"(?:talk|speak) dirty|what are you wearing|are you (?:naked|single|horny)|(?:send|show) me (?:your )?(?:nudes|tits|boobs|pussy)|(?:have|want|wanna have) (?:sex|phone sex) (?:with|right)|(?:sex|sleep) with (?:me|you)|(?:your|you have (?:a )?)(?: \w+){0,2}? (?:sexy|hot) (?:voice|body)|touch yourself|moan for me",
        _CALLER,
    ),
    _rule(
        "write_for_me",
        Kind.UNSUPPORTED,
        r"(?:write|compose|make up|create|draft|generate|rap|sing|recite|tell)(?: me| us)? (?:a|an|some|the|my|another|one)(?: \w+){0,3}? (?:poem|essay|story|song|rap|code|script|program|function|novel|haiku|limerick|speech|homework|cover letter|resume|joke|riddle|fairy tale|tweet|blog post|python|javascript)",
        _CALLER,
    ),
    _rule(
        "profession",
        Kind.UNSUPPORTED,
        r"(?:legal|medical|financial|investment|tax|stock|crypto|betting|dating|relationship|political) (?:advice|tips?|opinion)|(?:diagnose|prescribe|should i (?:invest|buy (?:stocks?|bitcoin|crypto|shares)|vote|divorce|sue))|who (?:should|will|did) (?:i|you|we) vote",
        _CALLER,
    ),
    _rule(
        "homework",
        Kind.UNSUPPORTED,
        r"(?:do|help me with|solve) (?:my|this|the) (?:\w+ )?(?:homework|equation|math problem|exam|test question)|(?:what is|whats|calculate) the (?:square root|derivative|integral|capital) of|translate (?:this|that|the (?:following|sentence|word))|who won the (?:game|election|world cup|super bowl)|weather (?:forecast|tomorrow|like)",
        _CALLER,
    ),
)

_RAW: tuple[Rule, ...] = (
    Rule(
        "markup",
        Kind.INJECTION,
        re.compile(
            r"<\|?(?:im_start|im_end|system|endoftext|assistant|user)\|?>|\[/?(?:INST|SYS|SYSTEM)\]|<</?SYS>>"
            r"|</?(?:article|caller|you|system|instructions?|tool_result|function_calls?|prompt)\s*>"
            r"|(?:^|\n)\s*#{1,4}\s*(?:system|instructions?|new (?:task|rules))\b"
            r"|(?:^|\n)\s*(?:system|assistant|developer)\s*:"
            r"|\{\{.*?\}\}.*(?:system|prompt)",
            re.IGNORECASE,
        ),
        raw=True,
    ),
    Rule("hidden_text", Kind.INJECTION, re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]{2,}|[\U000e0000-\U000e007f]"), _RECORDS, raw=True),
    Rule("encoded", Kind.INJECTION, re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{60,}={0,2}(?![A-Za-z0-9+/])"), _RECORDS, raw=True),
)  # fmt: skip

_OF_SOURCE = {source: tuple(rule for rule in RULES if source in rule.sources) for source in Source}


def matches(text: str, plain_text: str, source: Source) -> Iterator[Rule]:
    """The rules that fire, in their order: attacks before abuse before what is not supported."""
    for rule in _RAW:
        if source in rule.sources and rule.pattern.search(text):
            yield rule
    for rule in _OF_SOURCE[source]:
        if rule.pattern.search(plain_text):
            yield rule
