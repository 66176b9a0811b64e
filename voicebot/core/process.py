"""Child processes that die with their parent (Linux ``prctl(PR_SET_PDEATHSIG)``)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(expected_parent: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Asks the kernel to signal this process when the thread that started it ends.

    Call it in the child, after any change of user (which clears the setting). Exits at once
    when the parent is gone already. Does nothing where the kernel is not Linux.

    Args:
        expected_parent: the parent's pid, passed down by it.
        death_signal: what this process then gets.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != expected_parent:
        raise SystemExit("the process that started this one is gone")
