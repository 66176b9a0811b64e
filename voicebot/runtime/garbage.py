"""Python's garbage collector on a call node: what stays for ever is not looked through again and again.

A node that is up holds some hundred thousand objects (code, models, policy, phrases) which never become
garbage, and a full collection looks at each of them: a stall of the loop of a hundred milliseconds and more,
which every caller hears whose sound is not far enough ahead. What calls leave behind is small and young.
"""

from __future__ import annotations

import gc
import sys

THRESHOLDS = (5_000, 10, 10)
"""Objects made and not freed between collections of the young (Python's own: 700), and of the older ones."""

SWITCH_S = 0.001
"""How long the loop waits for a thread of ours (recordings, search) that computes; Python's own: 5 ms."""


def settle() -> None:
    """The node is up: what it holds by now stays. Takes as long as one full collection; call it once."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    sys.setswitchinterval(SWITCH_S)
