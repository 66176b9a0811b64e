"""Who is near the phone, and what is further off: the levels that a sound over the bot must reach. Pure.

Levels are dBFS of the loudest window (32 ms) of a sound, times ms on the media clock.
"""

from __future__ import annotations

FAINT_DB = 20.0
FAINT_DBFS = -36.0
"""What is so far below the loudest window of the caller's last turn, and below this level, makes no onset: a
television in the room."""

NOISE_MARGIN_DB = 3.0
NOISE_KNOWN_MS = 8000
LASTING_MS = 480
"""A noise over the bot that lasted so long raises what counts as an onset to this much above its loudest, for
so long: else it would pause every sentence."""

BELOW_CALLER_DB = 8.0
USUAL_DBFS = -20.0
"""But never so far that a caller of their usual level (before the first turn: of this) would not be heard."""

_LOWEST = -100.0


class Foreground:
    """What is known of the levels of one call."""

    def __init__(self) -> None:
        self._caller_dbfs: float | None = None
        self._faint_dbfs = _LOWEST
        self._noise_dbfs = _LOWEST
        self._noise_until_ms = 0

    def turn(self, loudest_dbfs: float) -> None:
        """The caller said something while the bot was silent."""
        self._caller_dbfs = loudest_dbfs
        self._faint_dbfs = min(loudest_dbfs - FAINT_DB, FAINT_DBFS)

    def noise(self, loudest_dbfs: float, voiced_ms: int, now_ms: int) -> None:
        """A sound over the bot was none of the caller's."""
        if voiced_ms < LASTING_MS:
            return
        usual = USUAL_DBFS if self._caller_dbfs is None else self._caller_dbfs
        self._noise_dbfs = min(loudest_dbfs + NOISE_MARGIN_DB, usual - BELOW_CALLER_DB)
        self._noise_until_ms = now_ms + NOISE_KNOWN_MS

    def floor_dbfs(self, at_ms: int) -> float:
        """What a window over the bot must reach to count."""
        return max(self._faint_dbfs, self._noise_dbfs if at_ms < self._noise_until_ms else _LOWEST)

    def below_caller_db(self, loudest_dbfs: float) -> float:
        """How far a sound lies below the caller's last turn; 0 where that is not known."""
        return 0.0 if self._caller_dbfs is None else max(0.0, self._caller_dbfs - loudest_dbfs)
