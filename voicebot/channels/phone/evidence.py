"""What a call keeps of itself so that it can be run again: its messages, its engines' answers, its turns.

Everything goes to the recording, under the conversation's own key. What must not be kept never gets there:
a card's number as it was said, a one-time code as it was said or pressed. Which words those were is known
only when the turn is committed, a card's not before its last digits came; so what engines made of the
caller's speech waits here for as many turns as the digits of one card may take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from voicebot.audio.engines.types import Speech, SpokenWord, Transcriber, TurnJudge
from voicebot.audio.hearing.spoken_digits import count_digits
from voicebot.audio.recording.engine_notes import (
    STT,
    NotedJudge,
    NotedSpeech,
    NotedTranscriber,
    spoken,
    text_key,
)
from voicebot.audio.recording.wirelog import WITHHELD, Message, What
from voicebot.audio.recording.writer import Tape
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.audio.speaking.playout import Wire
from voicebot.audio.speaking.wavefile import SpokenAudio
from voicebot.channels.twilio.wire import Dtmf, Mark, Media, Stop
from voicebot.core.clock import Clock
from voicebot.dialogue.evidence import COMMITTED

KEPT_TURNS = 4
"""Over so many turns the digits of one card are joined (`safety.pii.masking`)."""

MANY_DIGITS = 9
"""Words of a turn that never came about, with so many digits: they may have been a card's."""


class Evidence:
    """One per call. Every method returns at once and is called on the call's event loop.

    Args:
        tape: the call's recording.
        clock: seconds.
        now_ms: the media clock.
    """

    def __init__(self, tape: Tape, clock: Clock, now_ms: Callable[[], int]) -> None:
        self._tape = tape
        self._clock = clock
        self._now_ms = now_ms
        self._began_s = clock()
        self._held: deque[dict[str, Any]] = deque()
        self._turns: deque[int] = deque()  # how many of `_held` each of the last turns has
        self._fresh = 0
        self._secret = False

    # --- the socket -------------------------------------------------------------------

    def came(self, message: Media | Dtmf | Mark | Stop, *, hidden: bool = False) -> None:
        """A message of Twilio's. ``hidden``: a card is being typed in."""
        at_ms = self._at_ms()
        if isinstance(message, Media):
            size = len(message.ulaw)
            self._tape.message(Message(What.MEDIA, at_ms, message.sequence, message.timestamp_ms, size))
            return
        match message:
            case Dtmf():
                key = WITHHELD if hidden or self._secret else message.digit
                made = Message(What.KEY, at_ms, message.sequence, name=key)
            case Mark():
                made = Message(What.MARK, at_ms, message.sequence, name=message.name)
            case Stop():
                made = Message(What.STOP, at_ms, message.sequence)
        self._tape.message(made)

    def out(self, wire: Wire) -> Wire:
        """The same wire, noted."""
        return _NotedWire(wire, self)

    def went(self, what: What, *, size: int = 0, name: str = "") -> None:
        """A message of ours."""
        self._tape.message(Message(what, self._at_ms(), size=size, name=name))

    # --- the engines ------------------------------------------------------------------

    def transcriber(self, inner: Transcriber) -> Transcriber:
        """The same, noted; here and below."""
        return NotedTranscriber(inner, self.note, self._clock, self._now_ms)

    def judge(self, inner: TurnJudge) -> TurnJudge:  # noqa: D102
        return NotedJudge(inner, self.note, self._clock, self._now_ms)

    def speech(self, inner: Speech) -> Speech:  # noqa: D102
        return NotedSpeech(inner, self.note, self._clock)

    def phrases(self, inner: PhraseCache) -> PhraseCache:  # noqa: D102
        return _NotedPhrases(inner, self)

    # --- facts ------------------------------------------------------------------------

    def note(self, fact: dict[str, Any]) -> None:
        """A fact of this call; what engines made of the caller's words waits."""
        fact = {"at_ms": self._now_ms(), **fact}
        if fact["type"] == STT:
            self._held.append(fact)
            self._fresh += 1
            return
        if fact["type"] == COMMITTED:
            self._committed(fact)
        self._tape.event(fact)

    def close(self) -> None:
        """The call is over: what waits is kept, but for what may have been a card's."""
        for fact in list(self._held)[len(self._held) - self._fresh :]:
            if any(count_digits(text) >= MANY_DIGITS for text in _texts(fact)):
                _withhold(fact, "unfinished")
        while self._held:
            self._tape.event(self._held.popleft())

    def _committed(self, fact: dict[str, Any]) -> None:
        self._secret = bool(fact["asks_code"])
        if not self._fresh:
            return
        if fact["card"]:
            for one in self._held:
                _withhold(one, "card")
        elif fact["code"]:
            for one in list(self._held)[len(self._held) - self._fresh :]:
                _withhold(one, "code")
        self._turns.append(self._fresh)
        self._fresh = 0
        while len(self._turns) > KEPT_TURNS:
            for _ in range(self._turns.popleft()):
                self._tape.event(self._held.popleft())

    def _at_ms(self) -> float:
        return (self._clock() - self._began_s) * 1000


def _withhold(fact: dict[str, Any], why: str) -> None:
    """Leaves when something was answered, and not what."""
    fact["withheld"] = why
    fact["answers"] = [[what, fed_ms, took_ms, {}] for what, fed_ms, took_ms, _ in fact["answers"]]


def _texts(fact: dict[str, Any]) -> Iterable[str]:
    return (str(made.get("text", "")) for _, _, _, made in fact["answers"])


class _NotedWire:
    """`Wire` of one call."""

    def __init__(self, inner: Wire, evidence: Evidence) -> None:
        self._inner = inner
        self._evidence = evidence

    async def media(self, ulaw: bytes) -> None:
        self._evidence.went(What.SENT, size=len(ulaw))
        await self._inner.media(ulaw)

    async def mark(self, name: str) -> None:
        self._evidence.went(What.ASKED, name=name)
        await self._inner.mark(name)

    async def clear(self) -> None:
        self._evidence.went(What.CLEAR)
        await self._inner.clear()


class _NotedPhrases(PhraseCache):
    """The node's cache, as one call uses it: what lies ready has a length, too."""

    def __init__(self, inner: PhraseCache, evidence: Evidence) -> None:
        super().__init__(None)
        self._inner = inner
        self._evidence = evidence
        self._noted: set[str] = set()

    async def get(self, voice_id: str, text: str) -> SpokenAudio | None:
        audio = await self._inner.get(voice_id, text)
        key = text_key(text)
        if audio is not None and key not in self._noted:
            self._noted.add(key)
            self._evidence.note(spoken(text, len(audio.ulaw) // 8, audio.words, 0.0))
        return audio

    async def put(self, voice_id: str, text: str, ulaw: bytes, words: Iterable[SpokenWord]) -> None:
        self._noted.add(text_key(text))
        await self._inner.put(voice_id, text, ulaw, words)

    async def warm(self, speech: Speech, texts: Iterable[str]) -> int:
        return await self._inner.warm(speech, texts)
