"""``<Record>``: what the caller leaves on the line (twilio.com/docs/voice/twiml/record)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from voicebot.audio.mulaw import decode

from .ear import FRAME_MS
from .formats import API_VERSION, new_sid, now, rfc2822
from .meter import VoiceMeter
from .recording import wav_bytes
from .verbs import Record


@dataclass
class Recording:
    """A finished recording of the account. ``source``: ``RecordVerb`` or ``Conference``."""

    call_sid: str
    ulaw: bytes
    source: str = "RecordVerb"
    sid: str = field(default_factory=lambda: new_sid("RE"))
    started: datetime = field(default_factory=now)

    @property
    def duration_s(self) -> int:
        """Whole seconds."""
        return round(len(self.ulaw) / 8000)

    def wav(self) -> bytes:
        """As ``.wav`` shows it: PCM16, 8 kHz, mono."""
        return wav_bytes(np.asarray(decode(self.ulaw)))

    def uri(self, account_sid: str) -> str:
        """Its address below the API's origin, without ending: the sound."""
        return f"/{API_VERSION}/Accounts/{account_sid}/Recordings/{self.sid}"

    def json(self, account_sid: str) -> dict[str, Any]:
        """As REST shows it."""
        return {
            "account_sid": account_sid,
            "api_version": API_VERSION,
            "call_sid": self.call_sid,
            "channels": 1,
            "conference_sid": None,
            "date_created": rfc2822(self.started),
            "date_updated": rfc2822(self.started),
            "duration": str(self.duration_s),
            "encryption_details": None,
            "error_code": None,
            "media_url": self.uri(account_sid),
            "price": None,
            "price_unit": "USD",
            "sid": self.sid,
            "source": self.source,
            "start_time": rfc2822(self.started),
            "status": "completed",
            "track": "inbound",
            "uri": f"{self.uri(account_sid)}.json",
        }


class Recorder:
    """Collects what is said until it is over; ``over`` then has the key that ended it, or ``""``.

    It ends after ``timeout`` seconds of silence, at ``maxLength``, or at a key.
    """

    def __init__(self, verb: Record) -> None:
        self._verb = verb
        self._meter = VoiceMeter()
        self._quiet_ms = 0
        self._voiced = False
        self.ulaw = bytearray()
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def voiced(self) -> bool:
        """Whether anything was said; an empty recording is none."""
        return self._voiced

    def said(self, frame: bytes) -> None:
        """20 ms of the caller."""
        if self.over.done():
            return
        self.ulaw += frame
        loud = self._meter.loud(frame)
        self._voiced = self._voiced or loud
        self._quiet_ms = 0 if loud else self._quiet_ms + FRAME_MS
        longest = len(self.ulaw) / 8000 >= self._verb.max_length_s
        if longest or self._quiet_ms >= self._verb.timeout_s * 1000:
            self.over.set_result("")

    def key(self, digit: str) -> None:
        """A key of the caller."""
        if digit in self._verb.finish_on_key and not self.over.done():
            self.over.set_result(digit)
