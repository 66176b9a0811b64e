"""Engines that answer from a recording: what they said then, after as much of the sound and as much time.

No model is needed. An utterance is known by when it began on the media clock; one that the recording does not
know was never spoken there, and gets no words (``unknown`` counts them).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from voicebot.audio.engines.types import RATE_HZ, EngineDown, Transcript
from voicebot.audio.recording.engine_notes import STT, TURN, transcript_from
from voicebot.core.conversation import Expects

NEAR_MS = 400
"""An utterance that begins within so much of a recorded one is that one."""

JUDGED_NEAR_MS = 1000
_BYTES_PER_MS = RATE_HZ * 2 // 1000


class RecordedTranscriber:
    """`Transcriber` of one call.

    Args:
        events: of the recording.
        now_ms: the media clock of the call that is run.
    """

    def __init__(self, events: list[dict[str, Any]], now_ms: Callable[[], int]) -> None:
        self.unknown = 0
        self._now_ms = now_ms
        self._left = [event for event in events if event.get("type") == STT]

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> RecordedRecognition:
        """See `Transcriber`."""
        at_ms = self._now_ms()
        near = [event for event in self._left if abs(event["at_ms"] - at_ms) <= NEAR_MS]
        fact = min(near, key=lambda event: abs(event["at_ms"] - at_ms), default=None)
        if fact is None:
            self.unknown += 1
        else:
            self._left.remove(fact)
        await asyncio.sleep(_s((fact or {}).get("open_ms", 4.0)))
        answers = [] if fact is None else fact["answers"]
        if answers and answers[0][0] == "down" and "open_ms" not in (fact or {}):
            raise EngineDown("stt", str(answers[0][3]["reason"]))
        return RecordedRecognition(answers, on_partial)


class RecordedRecognition:
    """One utterance."""

    def __init__(self, answers: list[list[Any]], on_partial: Callable[[Transcript], None]) -> None:
        self._partials = [one for one in answers if one[0] == "partial"]
        self._asked = [one for one in answers if one[0] != "partial"]
        self._on_partial = on_partial
        self._fed = 0
        self._open = True

    def feed(self, pcm16_8k: bytes) -> None:
        """See `Recognition`."""
        self._fed += len(pcm16_8k)
        while self._partials and self._partials[0][1] <= self._fed // _BYTES_PER_MS:
            said = self._partials.pop(0)[3]
            if said:
                asyncio.get_running_loop().call_later(0.001, self._tell, transcript_from(said))

    async def peek(self) -> Transcript:
        """See `Recognition`."""
        return await self._answer({"peek"}, final=False)

    async def finish(self) -> Transcript:
        """See `Recognition`."""
        answer = await self._answer({"final"}, final=True)
        self._open = False
        return answer

    async def cancel(self) -> None:
        """See `Recognition`."""
        self._open = False

    async def _answer(self, kinds: set[str], *, final: bool) -> Transcript:
        found = next((one for one in self._asked if one[0] in kinds or one[0] == "down"), None)
        if found is None:
            return Transcript("", final=final, audio_ms=self._fed // _BYTES_PER_MS)
        what, _, took_ms, said = found
        if not final:
            self._asked.remove(found)
        await asyncio.sleep(_s(took_ms))
        if what == "down":
            raise EngineDown("stt", str(said.get("reason", "down")))
        return transcript_from(said) if said else Transcript("", final=final)

    def _tell(self, transcript: Transcript) -> None:
        if self._open:
            self._on_partial(transcript)


class RecordedJudge:
    """`TurnJudge` of one call: the verdict that was given at about this moment."""

    def __init__(self, events: list[dict[str, Any]], now_ms: Callable[[], int]) -> None:
        self.unknown = 0
        self._now_ms = now_ms
        told = (event for event in events if event.get("type") == TURN)
        self._left = [event for event in told if "probability" in event or "down" in event]

    async def probability(self, call: str, pcm16_8k: bytes) -> float:
        """See `TurnJudge`."""
        at_ms = self._now_ms()
        near = [event for event in self._left if abs(event["at_ms"] - at_ms) <= JUDGED_NEAR_MS]
        fact = min(near, key=lambda event: abs(event["at_ms"] - at_ms), default=None)
        if fact is None:
            self.unknown += 1
            await asyncio.sleep(0.047)
            return 0.5
        self._left.remove(fact)
        await asyncio.sleep(_s(fact["took_ms"]))
        if "down" in fact:
            raise EngineDown("turn", str(fact["down"]))
        return float(fact["probability"])


def _s(took_ms: float) -> float:
    return max(1, round(took_ms)) / 1000
