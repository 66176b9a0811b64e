"""What a node holds once it is up is not looked through by the collector; what calls leave is collected."""

from __future__ import annotations

import json
import subprocess
import sys

_PROGRAM = """
import gc, json, sys, weakref
from voicebot.runtime import garbage
class Left: pass
held = [[n] for n in range(20_000)]
before = len(gc.get_objects())
garbage.settle()
frozen = gc.get_freeze_count()
one = Left(); one.itself = one
gone = weakref.ref(one)
del one
made = [[n] for n in range(garbage.THRESHOLDS[0] + 10)]
print(json.dumps({
    "frozen": frozen >= 20_000, "looked_through": len(gc.get_objects()) < before,
    "collected": gone() is None, "enabled": gc.isenabled(), "threshold": gc.get_threshold()[0],
    "switch_s": sys.getswitchinterval(),
}))
"""


def test_a_node_that_is_up_collects_only_what_calls_leave() -> None:
    """In a process of its own: it holds for the whole process."""
    ran = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    assert found["frozen"]
    assert found["looked_through"]
    assert found["collected"]
    assert found["enabled"]
    assert found["threshold"] > 700
    assert found["switch_s"] < 0.005
