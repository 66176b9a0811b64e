"""eSpeak NG: the voice that needs no download. GPL, so it is loaded only inside its own host process.

Spoken through the C library of the ``espeakng-loader`` wheel: audio comes by callback as it is made,
with events that say where each word begins. The library keeps one global state, so one thread speaks
at a time; a clause of 4 s takes about 5 ms.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from voicebot.audio.engines.hosted import Emit
from voicebot.audio.engines.resampling import Resampler
from voicebot.audio.engines.spoken import WordClock
from voicebot.audio.engines.types import EngineUnavailable, SpeechChunk, SpokenWord

WORDS_PER_MINUTE = 175
BUFFER_MS = 100
"""Audio per callback."""

# Names and numbers of eSpeak NG's speak_lib.h, API revision 12.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1
_POS_CHARACTER = 1
_CHARS_UTF8 = 1
_RATE = 1
_EE_OK = 0


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class EspeakEngine:
    """See ``SpeechEngine``. One per process.

    Args:
        voice: eSpeak NG's name of a voice or language, e.g. ``en-us``, ``en`` (British), ``en-us+f3``.
        words_per_minute: 80 to 450.

    Raises:
        EngineUnavailable: the wheel is missing, or the voice is unknown.
    """

    kind = "espeak"
    threads = 1
    notes: tuple[str, ...] = ()

    def __init__(self, voice: str = "en-us", words_per_minute: int = WORDS_PER_MINUTE) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise EngineUnavailable(
                "eSpeak NG is not installed: pip install 'voicebot[gpl]' (GPL, run in a process of its own)"
            ) from error
        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        self._rate_hz = int(
            self._lib.espeak_Initialize(
                _AUDIO_OUTPUT_SYNCHRONOUS,
                BUFFER_MS,
                espeakng_loader.get_data_path().encode(),
                _INITIALIZE_DONT_EXIT,
            )
        )
        if self._rate_hz <= 0:
            raise EngineUnavailable("eSpeak NG cannot read its data: reinstall the package espeakng-loader")
        if self._lib.espeak_SetVoiceByName(voice.encode()) != _EE_OK:
            raise EngineUnavailable(f"eSpeak NG has no voice {voice!r}: try en-us, en, de, fr or es")
        self._lib.espeak_SetParameter(_RATE, words_per_minute, 0)
        self.model = f"{voice} at {words_per_minute} words a minute"
        self.voice_id = f"espeak/{voice}/{words_per_minute}"
        self._clause: _Clause | None = None
        self._callback = _Callback(self._made)  # kept alive: the library holds only the pointer
        self._lib.espeak_SetSynthCallback(self._callback)
        self._one_at_a_time = threading.Lock()

    def warm_up(self) -> None:
        """See ``SpeechEngine.warm_up``."""
        self.say("Hello.", 8000, lambda _: True)

    def say(self, text: str, rate_hz: int, emit: Emit) -> None:
        """See ``SpeechEngine.say``."""
        encoded = text.encode("utf-8", errors="replace")
        with self._one_at_a_time:
            clause = self._clause = _Clause(text, self._rate_hz, rate_hz, emit)
            try:
                code = self._lib.espeak_Synth(
                    encoded, len(encoded) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
                )
            finally:
                self._clause = None
        if code != _EE_OK:
            raise RuntimeError(f"eSpeak NG refused the clause with code {code}")
        clause.end()

    def _made(self, samples: Any, count: int, events: Any) -> int:
        """The library's callback: 0 = go on, 1 = stop."""
        clause = self._clause
        if clause is None:
            return 1
        nth = 0
        while (event := events[nth]).type != _EVENT_LIST_TERMINATED:
            if event.type == _EVENT_WORD:
                clause.clock.event(event.text_position - 1, event.audio_position)
            nth += 1
        if samples and count:
            clause.audio(np.ctypeslib.as_array(samples, (count,)).astype(np.int16))
        return 0 if clause.listened_to else 1


class _Clause:
    """The clause being spoken: its word clock, its resampler, its listener."""

    def __init__(self, text: str, from_hz: int, to_hz: int, emit: Emit) -> None:
        self.clock = WordClock(text)
        self.listened_to = True
        self._resampler = Resampler(from_hz, to_hz)
        self._emit = emit
        self._from_hz = from_hz
        self._samples = 0

    def audio(self, samples: npt.NDArray[np.int16]) -> None:
        self._samples += len(samples)
        self._tell(self._resampler.feed(samples), self.clock.known())

    def end(self) -> None:
        rest = self._resampler.feed(np.zeros(0, np.int16), last=True)
        self._tell(rest, self.clock.rest(self._samples * 1000 // self._from_hz))

    def _tell(self, audio: bytes, words: tuple[SpokenWord, ...]) -> None:
        if self.listened_to and (audio or words):
            self.listened_to = self._emit(SpeechChunk(audio, words))
