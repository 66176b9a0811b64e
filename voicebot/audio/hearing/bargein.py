"""Onset: when a run of windows is a voice and not a click. Pure; one window in, a verdict out.

Used twice per call with different rules: for the start of a turn, and, while the bot speaks, for a
barge-in, where the bot's own echo must not pass for the caller.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OnsetRules:
    """How sure one must be.

    Attributes:
        voiced: probability from which a window counts as voiced.
        windows: voiced windows in a row that make an onset.
        certain: probability from which two windows are enough.
        floor_dbfs: softer windows never count. Line echo of a phone comes back 20 dB and more below the
            caller's own voice, which sits around -20 dBFS.
    """

    voiced: float = 0.5
    windows: int = 3
    certain: float = 0.7
    floor_dbfs: float = -55.0


TURN = OnsetRules(windows=2, floor_dbfs=-55.0)
"""While the bot is silent: two voiced windows."""

OVER_BOT = OnsetRules(windows=3, certain=0.7, floor_dbfs=-42.0)
"""While the bot speaks: one window more unless certain, and well above its echo. On 107 recorded lines of
several voices, from the first audible sample to the onset: p50 75 ms, p95 206 ms (``TURN``: 67 and 136)."""


class Onset:
    """Counts voiced windows in a row. ``start_ms`` is where the run began, ``loudest_dbfs`` its peak."""

    def __init__(self, rules: OnsetRules) -> None:
        self._rules = rules
        self._run = 0
        self._certain = 0
        self.start_ms = 0
        self.loudest_dbfs = -100.0

    def push(self, probability: float, level_dbfs: float, window_ms: int, floor_dbfs: float = -100.0) -> bool:
        """The next window, which begins at ``window_ms``. True in the window that makes the onset.

        ``floor_dbfs`` raises the rules' own floor: over a noise that is known.
        """
        rules = self._rules
        if probability < rules.voiced or level_dbfs < max(rules.floor_dbfs, floor_dbfs):
            self.reset()
            return False
        if self._run == 0:
            self.start_ms = window_ms
            self.loudest_dbfs = level_dbfs
        self._run += 1
        self.loudest_dbfs = max(self.loudest_dbfs, level_dbfs)
        self._certain = self._certain + 1 if probability >= rules.certain else 0
        return self._run >= rules.windows or self._certain >= 2

    def reset(self) -> None:
        """Forgets the run."""
        self._run = 0
        self._certain = 0
