"""When a person takes over: one pure function for each trigger, facts in, a cause or nothing out.

No clock, no database, no words in what comes out. What calls them, and what is then said, is the dialogue's
(`voicebot.dialogue.flow.escalating`); numbers and switches stand in ``triggers:`` of the policy.
"""

from voicebot.safety.triggers.cause import Cause, fired
from voicebot.safety.triggers.rules import TriggerRules
from voicebot.safety.triggers.signs import Risk, Sign, SignName
from voicebot.safety.triggers.whole import TurnFacts, judge

__all__ = ["Cause", "Risk", "Sign", "SignName", "TriggerRules", "TurnFacts", "fired", "judge"]
