"""A synthetic caller in virtual time: the one who phones over the wire, with ears that read at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from voicebot.audio.mulaw import decode
from voicebot.channels.legs import Dtmf, Media, Stop
from voicebot.proof.ears.ears import HeardClause
from voicebot.proof.ears.recogniser import Recogniser
from voicebot.proof.replay.leg import VirtualLeg
from voicebot.proof.simulation.caller import SyntheticCaller
from voicebot.proof.simulation.ear import FRAME_MS, SILENCE
from voicebot.proof.simulation.script import Line, PartyScript

LINE_MS = 33.0
"""A frame reaches the server so long after its last sample."""


class InlineEars:
    """As `Ears`, on this thread: words are there when the clause is over."""

    busy = False

    def __init__(self, script: PartyScript, on_words: Callable[[HeardClause], None]) -> None:
        self._recogniser = Recogniser(script.cues, script.hears) if script.cues else None
        self._on_words = on_words

    def listen(self, ulaw: bytes, start_ms: int, end_ms: int) -> None:
        """See `Ears`."""
        text = self._recogniser.read(decode(ulaw)) if self._recogniser is not None else ""
        self._on_words(HeardClause(text, start_ms, end_ms))


class _Caller(SyntheticCaller):
    """Hears on this thread."""

    def __init__(self, script: PartyScript, lines: Mapping[str, Line]) -> None:
        super().__init__(script, lines)
        self.ears = cast("Any", InlineEars(script, self._words))


class ScriptedParty:
    """`Party` that follows a script.

    Args:
        script: what they want.
        lines: their voice, by name.
        room: what else is heard on their line at a time (mu-law of 20 ms each, over and over); None: nothing.
    """

    def __init__(
        self, script: PartyScript, lines: Mapping[str, Line], room: Sequence[bytes] | None = None
    ) -> None:
        self.caller = _Caller(script, lines)
        self.caller.hold(cast("Any", self))
        self._sequence = 2  # `start` was the first
        self._chunk = 0
        self._next_ms = 0
        self._room = room
        self._keys: list[str] = []
        self._gone = False

    def hears(self, frame: bytes, at_ms: int) -> None:
        """See `Party`."""
        self.caller.on_audio(frame + SILENCE[len(frame) :], at_ms)

    def due(self, until_ms: float) -> Sequence[tuple[float, Media | Dtmf | Stop]]:
        """See `Party`."""
        found: list[tuple[float, Media | Dtmf | Stop]] = []
        while self._next_ms + FRAME_MS + LINE_MS <= until_ms and not self._gone:
            at_ms = self._next_ms
            said = self.caller.next_frame(at_ms)
            ulaw = said if said is not None else self._quiet()
            arrives_ms = at_ms + FRAME_MS + LINE_MS
            pressed = [Dtmf(VirtualLeg.stream_sid, key, self._number()) for key in self._keys]
            found += [(arrives_ms, key) for key in pressed]
            self._keys.clear()
            if self._gone:
                found.append((arrives_ms, Stop(VirtualLeg.stream_sid, VirtualLeg.call_sid, self._number())))
                break
            self._chunk += 1
            found.append(
                (
                    arrives_ms,
                    Media(
                        VirtualLeg.stream_sid,
                        ulaw + SILENCE[len(ulaw) :],
                        at_ms,
                        self._chunk,
                        self._number(),
                        "inbound",
                    ),
                )
            )
            self._next_ms += FRAME_MS
        return found

    # --- what the caller does to the phone ----------------------------------------------

    def press_key(self, digit: str) -> None:
        """See `LocalCall`."""
        self._keys.append(digit)

    def hang_up(self) -> None:
        """See `LocalCall`."""
        self._gone = True

    def _quiet(self) -> bytes:
        return SILENCE if self._room is None else self._room[self._chunk % len(self._room)]

    def _number(self) -> int:
        number = self._sequence
        self._sequence += 1
        return number
