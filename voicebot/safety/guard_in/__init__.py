"""The input guard: what words from outside want of the bot itself, before anything is made of them. Pure.

Words come from three sources: a caller, a tool's result, an article. Rules and a small model read each; the
verdict is one of a closed set with reasons that hold no words. No asyncio and no SQL here.
"""

from voicebot.safety.guard_in.conduct import Conduct, ConductRules, Step
from voicebot.safety.guard_in.guard import InputGuard
from voicebot.safety.guard_in.reading import GuardReading, Kind, Source, Verdict

__all__ = [
    "Conduct",
    "ConductRules",
    "GuardReading",
    "InputGuard",
    "Kind",
    "Source",
    "Step",
    "Verdict",
]
