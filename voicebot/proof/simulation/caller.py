"""A synthetic caller: holds the phone, hears, decides, speaks recorded lines. It knows only the audio.

The shell around ``mind`` (decisions) and ``ears`` (words): finds out from the sound when the bot speaks, cuts
its speech into clauses for the ears, plays lines and presses keys. Called every 20 ms; never blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from voicebot.audio.mulaw import decode
from voicebot.proof.ears.ears import Deaf, Ears, HeardClause

from .analysis import THRESHOLD, spans
from .call import LocalCall
from .ear import FRAME_BYTES, FRAME_MS
from .meter import VoiceMeter
from .mind import Act, HangUp, Mind, Press, Say
from .script import Line, PartyScript

__all__ = ["BotBegan", "CallerEvent", "Said", "SyntheticCaller", "VoiceMeter"]

_PRE_ROLL_FRAMES = 10
_CLAUSE_GAP_MS = 260
_CLAUSE_MAX_MS = 12_000
_KEY_EVERY_MS = 220


@dataclass(frozen=True)
class Said:
    """The caller said a line or pressed keys; ``end_ms`` is the end of its last sound."""

    text: str
    start_ms: int
    end_ms: int
    keys: str | None = None


@dataclass(frozen=True)
class BotBegan:
    """The bot's first sound in a while.

    ``latency_ms``: since the end of the caller's words before it, if any; negative: it cut in.
    """

    at_ms: float
    latency_ms: float | None


CallerEvent = Said | BotBegan | HeardClause


class SyntheticCaller:
    """An ``Ear`` that follows a script.

    Args:
        script: what it wants.
        lines: its voice, by name.
        tell: gets what happens as it happens (for a display); must return at once.
        deaf: understands nothing and starts no process for it: goes by when the bot speaks and stops.
        background: what the line carries while the caller is silent (a noise, from its beginning again when
            it is over); None: nothing.
    """

    def __init__(
        self,
        script: PartyScript,
        lines: Mapping[str, Line],
        tell: Callable[[CallerEvent], None] = lambda _: None,
        *,
        deaf: bool = False,
        background: bytes | None = None,
    ) -> None:
        self.mind = Mind(script)
        self.ears = Deaf() if deaf else Ears(script.cues, script.hears, self._words)
        self._deaf = deaf
        self._background = background
        self.events: list[CallerEvent] = []
        self._lines = lines
        self.tell = tell
        self._call: LocalCall | None = None
        self._meter = VoiceMeter()
        self._playing = b""
        self._played = 0
        self._keys: deque[str] = deque()
        self._key_due_ms = 0
        self._talking = False
        self._pre_roll: deque[bytes] = deque(maxlen=_PRE_ROLL_FRAMES)
        self._clause = bytearray()
        self._clause_ms = 0
        self._loud_ms = -1
        self._waiting_since_ms: int | None = None

    def hold(self, call: LocalCall) -> None:
        """Takes the phone of this call: keys and hanging up go there."""
        self._call = call

    @property
    def said(self) -> list[Said]:
        """What the caller said and pressed, in order."""
        return [event for event in self.events if isinstance(event, Said)]

    @property
    def heard(self) -> list[HeardClause]:
        """What the caller understood, in order of reading."""
        return [event for event in self.events if isinstance(event, HeardClause)]

    # --- Ear --------------------------------------------------------------------------

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        """Hears 20 ms."""
        loud = self._meter.loud(frame)
        self._talking = loud
        if loud:
            self._began(frame, at_ms)
            self._loud_ms = at_ms
        if self._deaf:
            return
        if not self._clause:
            self._pre_roll.append(frame)
            if loud:
                self._clause_ms = at_ms  # the pre-roll helps the ears, but is not speech
                self._clause += b"".join(self._pre_roll)
                self._pre_roll.clear()
            return
        self._clause += frame
        if at_ms - self._loud_ms >= _CLAUSE_GAP_MS or at_ms - self._clause_ms >= _CLAUSE_MAX_MS:
            self.ears.listen(bytes(self._clause), self._clause_ms, at_ms + FRAME_MS)
            self._clause.clear()

    def next_frame(self, at_ms: int) -> bytes | None:
        """Says 20 ms, or nothing."""
        self._press(at_ms)
        act = self.mind.tick(
            at_ms,
            talking=self._talking,
            reading=bool(self._clause) or self.ears.busy,
            busy=bool(self._playing) or bool(self._keys),
        )
        if act is not None:
            self._do(act, at_ms)
        if not self._playing:
            return self._around(at_ms)
        frame = self._playing[self._played : self._played + FRAME_BYTES]
        self._played += FRAME_BYTES
        if self._played >= len(self._playing):
            self._playing = b""
        return frame

    def _around(self, at_ms: int) -> bytes | None:
        """What the line carries beside the caller's words."""
        noise = self._background
        if noise is None:
            return None
        start = at_ms * 8 % (len(noise) - len(noise) % FRAME_BYTES)
        return noise[start : start + FRAME_BYTES]

    # --- doing ------------------------------------------------------------------------

    def _do(self, act: Act, at_ms: int) -> None:
        match act:
            case Say():
                line = self._lines[act.line]
                start, end = line.voiced_ms or _voiced_ms(line.ulaw)
                self._playing, self._played = line.ulaw, 0
                self._waiting_since_ms = at_ms + end
                self._note(Said(line.text, at_ms + start, at_ms + end))
            case Press():
                self._keys.extend(act.digits)
                self._key_due_ms = at_ms
                end = at_ms + (len(act.digits) - 1) * _KEY_EVERY_MS
                self._waiting_since_ms = None
                self._note(Said("", at_ms, end, keys=act.digits))
                self._press(at_ms)
            case HangUp():
                if self._call is not None:
                    self._call.hang_up()

    def _press(self, at_ms: int) -> None:
        if self._keys and at_ms >= self._key_due_ms and self._call is not None:
            self._call.press_key(self._keys.popleft())
            self._key_due_ms = at_ms + _KEY_EVERY_MS

    # --- hearing ----------------------------------------------------------------------

    def _began(self, frame: bytes, at_ms: int) -> None:
        """The first sound of a go of the bot."""
        if self._loud_ms >= 0 and at_ms - self._loud_ms < 500:
            return
        first = int(np.argmax(np.abs(decode(frame).astype(np.int32)) > THRESHOLD)) / 8
        latency = None
        if self._waiting_since_ms is not None:
            latency = at_ms + first - self._waiting_since_ms
            self._waiting_since_ms = None
        self._note(BotBegan(at_ms + first, latency))

    def _words(self, clause: HeardClause) -> None:
        self.mind.words(clause.text, clause.start_ms)
        self._note(clause)

    def _note(self, event: CallerEvent) -> None:
        self.events.append(event)
        self.tell(event)


@lru_cache(maxsize=512)
def _voiced_ms(ulaw: bytes) -> tuple[int, int]:
    """Where the words of a line begin and end."""
    voiced = spans(decode(ulaw), join_ms=10_000)
    return (int(voiced[0].start_ms), int(voiced[-1].end_ms)) if voiced else (0, 0)
