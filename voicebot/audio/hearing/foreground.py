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

FAR_DB = 15.0
FAR_MS = 800
"""Who goes on for so long so far below the loudest window of the turn, and of the caller's turn before, is
somebody else. In 147 recorded lines (five voices) no voiced stretch so soft was longer than 384 ms."""

FAR_UNKNOWN_MS = 3000
"""The same while no turn of the caller is known: a cough may have been what was so loud."""

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

    def far_after_ms(self, level_dbfs: float) -> int | None:
        """How long a voice of this level may go on before it is somebody else's; None: it is the caller's."""
        if self._caller_dbfs is None:
            return FAR_UNKNOWN_MS
        return FAR_MS if self.below_caller_db(level_dbfs) >= FAR_DB else None

    def floor_dbfs(self, at_ms: int) -> float:
        """What a window over the bot must reach to count."""
        return max(self._faint_dbfs, self._noise_dbfs if at_ms < self._noise_until_ms else _LOWEST)

    def below_caller_db(self, loudest_dbfs: float) -> float:
        """How far a sound lies below the caller's last turn; 0 where that is not known."""
        return 0.0 if self._caller_dbfs is None else max(0.0, self._caller_dbfs - loudest_dbfs)


class FarVoice:
    """Somebody who goes on behind the caller: tells their windows from the caller's in one turn, by level."""

    def __init__(self, at_ms: int) -> None:
        self.near_ms = at_ms
        """The end of the last window that was the caller's."""
        self._far_ms = 0

    def push(self, level_dbfs: float, loudest_dbfs: float, limit_ms: int | None, at_ms: int, ms: int) -> bool:
        """The next voiced window, which ends at ``at_ms``; whether it is somebody else's by now.

        Args:
            level_dbfs: of the window.
            loudest_dbfs: the loudest window of the turn so far.
            limit_ms: `Foreground.far_after_ms` of the window.
            at_ms: its end on the media clock.
            ms: its length.
        """
        if limit_ms is None or level_dbfs >= loudest_dbfs - FAR_DB:
            self.near_ms = at_ms
            self._far_ms = 0
            return False
        self._far_ms += ms
        return self._far_ms >= limit_ms
