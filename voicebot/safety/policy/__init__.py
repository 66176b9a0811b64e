"""The policy: what the bot may do, by intent, confidence, verification and circumstances. Pure.

    table = read_policy(Path("business/policy.yaml"))      # strict models; errors name line and row
    check_policy(table, intents=..., tools=...)            # proved, or PolicyError
    ruling = Policy(table).decide(PolicyFacts("warranty", confidences, verified=False))

Whatever the table does not name ends with a person. Nothing here knows a business, a clock or a database.
"""

from voicebot.safety.policy.cases import Failure, PolicyCases, read_cases, run_cases, untested
from voicebot.safety.policy.check import Beside, check_policy, examine
from voicebot.safety.policy.circumstances import Grant, Override
from voicebot.safety.policy.facts import Band, Health, PolicyFacts, Ruling
from voicebot.safety.policy.policy import Policy
from voicebot.safety.policy.problems import PolicyError, Problem
from voicebot.safety.policy.proof import Proof
from voicebot.safety.policy.reading import read_policy
from voicebot.safety.policy.risk import FREEDOM, Concern
from voicebot.safety.policy.rows import IntentRule, Reads, TierRow
from voicebot.safety.policy.segment import Segment
from voicebot.safety.policy.table import Ladder, PolicyTable, Thresholds

__all__ = [
    "FREEDOM",
    "Band",
    "Beside",
    "Concern",
    "Failure",
    "Grant",
    "Health",
    "IntentRule",
    "Ladder",
    "Override",
    "Policy",
    "PolicyCases",
    "PolicyError",
    "PolicyFacts",
    "PolicyTable",
    "Problem",
    "Proof",
    "Reads",
    "Ruling",
    "Segment",
    "Thresholds",
    "TierRow",
    "check_policy",
    "examine",
    "read_cases",
    "read_policy",
    "run_cases",
    "untested",
]
