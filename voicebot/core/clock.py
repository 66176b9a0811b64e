"""A clock that is passed in, so that decisions can be tested and calls run in virtual time."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds from an arbitrary origin, never going back."""

monotonic: Clock = time.monotonic
