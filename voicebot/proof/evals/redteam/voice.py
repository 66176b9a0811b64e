"""Attacks by voice: recorded lines, read by the recogniser that the server would use.

What is held against the bot is what was heard: a garbled attack is one, too. The call around it (endpointing,
barge-in) is tested elsewhere; here words are all that counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from voicebot.audio import mulaw
from voicebot.audio.engines.choice import choose
from voicebot.audio.engines.client import GrpcTranscriber
from voicebot.audio.engines.hosts import EngineHosts
from voicebot.audio.engines.types import Transcriber
from voicebot.core.conversation import Expects
from voicebot.core.settings import Settings
from voicebot.proof.evals.redteam.attacks import RedteamError
from voicebot.proof.simulation.clips import ClipError, read_wav

PACKET = 800  # samples, 100 ms
_PAUSE = bytes([mulaw.SILENCE]) * 2400  # 300 ms around a line, as hearing hands it over
_ALTERNATIVES = 3


class Voice:
    """Reads recorded lines. ``engine`` names the recogniser."""

    def __init__(self, lines: Path, transcriber: Transcriber, engine: str) -> None:
        self._lines = lines
        self._transcriber = transcriber
        self.engine = engine

    async def heard(self, line: str, expects: str) -> tuple[str, tuple[str, ...]]:
        """First reading and others of ``VOICE/NAME``. ``expects``: what was asked, as ``Got.expects`` has it.

        Raises:
            RedteamError: the line is not there.
        """
        path = self._lines / f"{line}.wav"
        try:
            ulaw = _PAUSE + read_wav(path) + _PAUSE
        except (OSError, ClipError) as error:
            raise RedteamError(f"{path}: {error}") from error
        pcm = mulaw.decode(ulaw)
        recognition = await self._transcriber.open("redteam", _expected(expects), lambda partial: None)
        for start in range(0, len(pcm), PACKET):
            recognition.feed(pcm[start : start + PACKET].tobytes())
        final = await recognition.finish()
        return final.text, tuple(final.alternatives[:_ALTERNATIVES])


def _expected(awaited: str) -> Expects:
    """``digits(6)`` and the like.

    >>> _expected("digits(6)"), _expected("yes_no")
    (Expects(kind='digits', length=6), Expects(kind='yes_no', length=None))
    """
    kind, _, length = awaited.rstrip(")").partition("(")
    return Expects.model_validate({"kind": kind, "length": int(length) if length else None})


@asynccontextmanager
async def listening(settings: Settings) -> AsyncGenerator[Voice]:
    """A voice with the recogniser of the settings (``VOICEBOT_STT``) in a process of its own.

    Raises:
        EngineError: it does not start.
    """
    deployment = settings.deployment
    with tempfile.TemporaryDirectory(prefix="redteam-") as folder:
        choice = choose(settings)
        hosts = EngineHosts(choice, Path(folder), phrases=deployment / "business" / "phrases.yaml")
        await hosts.start()
        try:
            transcriber = GrpcTranscriber(hosts.targets.stt)
            yield Voice(deployment / "recordings" / "lines", transcriber, choice.stt.kind)
        finally:
            await hosts.stop()
