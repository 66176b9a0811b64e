"""The output guard: what of a model's words may become sound, clause by clause. Pure but for one table
of digests.

`ClauseGuard` holds one utterance; `CustomerIndex` knows other customers' identifiers by keyed digest. No
asyncio
and no SQL here.
"""

from voicebot.safety.guard_out.clause import Block, BlockReason, ClauseGuard, Pass, Ruling, check
from voicebot.safety.guard_out.customers import CustomerIndex, Identifier
from voicebot.safety.guard_out.facts import Facts

__all__ = [
    "Block",
    "BlockReason",
    "ClauseGuard",
    "CustomerIndex",
    "Facts",
    "Identifier",
    "Pass",
    "Ruling",
    "check",
]
