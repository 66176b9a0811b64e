"""The identity gate: which facts a caller must give, and the only maker of a `VerifiedCustomer`. Pure.

`rules` is what a deployment demands, `facts` and `names` read facts out of words and compare them, `progress`
is where a conversation stands, `gate` decides, `customer` is the type that tools demand.
"""

from voicebot.safety.identity.customer import VerifiedCustomer, genuine
from voicebot.safety.identity.facts import not_come, refuses
from voicebot.safety.identity.gate import Gate
from voicebot.safety.identity.progress import (
    Ask,
    AskHow,
    Check,
    CheckCode,
    FactorProgress,
    GateProgress,
    IdentityRecord,
    Match,
    Passed,
    Refused,
    SendCode,
    Step,
)
from voicebot.safety.identity.rules import CodeRules, Factor, FactorKind, FactorSet, GateRules, Lockout

__all__ = [
    "Ask",
    "AskHow",
    "Check",
    "CheckCode",
    "CodeRules",
    "Factor",
    "FactorKind",
    "FactorProgress",
    "FactorSet",
    "Gate",
    "GateProgress",
    "GateRules",
    "IdentityRecord",
    "Lockout",
    "Match",
    "Passed",
    "Refused",
    "SendCode",
    "Step",
    "VerifiedCustomer",
    "genuine",
    "not_come",
    "refuses",
]
