"""The voice of a replay: today's, in a process of its own, asked for whole clauses at once; or a silent one.

eSpeak NG and Piper are GPL and run in a host, as in a server. Here it is asked over a plain blocking channel,
so that the order of things cannot depend on it; a clause that was made is kept for the run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc

from voicebot.audio.engines import engines_pb2 as pb
from voicebot.audio.engines import rpc
from voicebot.audio.engines.choice import EngineSpec
from voicebot.audio.engines.hosts import environment_of
from voicebot.audio.engines.types import RATE_HZ, EngineDown, SpokenWord
from voicebot.audio.recording.engine_notes import text_key
from voicebot.proof.replay.errors import EngineMissing

_READY_S = 60.0
_ANSWER_S = 30.0


class HostedVoice:
    """A speech engine in a host that lives as long as this. Close it."""

    def __init__(self, spec: EngineSpec, models: Path | None = None) -> None:
        self.voice_id = spec.voice_id
        self._folder = Path(tempfile.mkdtemp(prefix="vb-voice-"))
        target = f"unix:{self._folder / 'tts.sock'}"
        command = [sys.executable, "-m", "voicebot.audio.engines.host", spec.kind, "--listen", target]
        command += ["--parent", str(os.getpid())]
        command += ["--model", spec.model] if spec.model else []
        command += ["--models", str(models)] if models else []
        self._process = subprocess.Popen(
            command,
            env=environment_of(spec, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._channel = grpc.insecure_channel(target, options=rpc.CHANNEL_OPTIONS)
        self._said: dict[str, tuple[bytes, tuple[SpokenWord, ...]]] = {}
        try:
            self._become_ready(spec)
        except BaseException:
            self.close()
            raise

    def speak(self, text: str) -> tuple[bytes, tuple[SpokenWord, ...]]:
        """See `Voice`."""
        if text not in self._said:
            self._said[text] = self._speak(text)
        return self._said[text]

    def close(self) -> None:
        """Ends the host."""
        self._channel.close()
        self._process.terminate()
        self._process.wait(10)
        if self._process.stderr is not None:
            self._process.stderr.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _speak(self, text: str) -> tuple[bytes, tuple[SpokenWord, ...]]:
        method: Any = self._channel.unary_stream(
            f"/{rpc.SYNTHESIZER}/Speak",
            request_serializer=pb.SpeakRequest.SerializeToString,
            response_deserializer=pb.SpeakReply.FromString,
        )
        try:
            replies = list(
                method(pb.SpeakRequest(call="replay", text=text, rate_hz=RATE_HZ), timeout=_ANSWER_S)
            )
        except grpc.RpcError as error:
            raise EngineDown("tts", "unavailable") from error
        words = tuple(rpc.spoken_of(word) for reply in replies for word in reply.words)
        return b"".join(reply.audio for reply in replies), words

    def _become_ready(self, spec: EngineSpec) -> None:
        method: Any = self._channel.unary_unary(
            f"/{rpc.HEALTH}/Check",
            request_serializer=pb.HealthCheckRequest.SerializeToString,
            response_deserializer=pb.HealthCheckResponse.FromString,
        )
        until_s = time.monotonic() + _READY_S
        while time.monotonic() < until_s:
            if self._process.poll() is not None:
                said = (self._process.stderr.read() if self._process.stderr else "").strip().splitlines()
                raise EngineMissing(
                    f"the voice {spec.voice_id} does not start: {said[-1] if said else 'it said nothing'}; "
                    "choose another with --tts, or --engines recorded"
                )
            try:
                reply = method(pb.HealthCheckRequest(), timeout=1.0, wait_for_ready=True)
            except grpc.RpcError:
                continue
            if reply.status == pb.HealthCheckResponse.SERVING:
                return
            time.sleep(0.02)
        raise EngineMissing(f"the voice {spec.voice_id} was not ready after {_READY_S:.0f} s")


MS_A_WORD = 340
"""Of a clause that the recording does not know: an ordinary pace of speech, 175 words a minute."""


class RecordedVoice:
    """Says nothing for as long as the recorded voice spoke: sound that nobody hears has only a length."""

    def __init__(self, events: list[dict[str, Any]], voice_id: str = "recorded") -> None:
        self.voice_id = voice_id
        self.unknown: list[str] = []
        self._known = {event["key"]: event for event in events if event.get("type") == "engine.tts"}

    def speak(self, text: str) -> tuple[bytes, tuple[SpokenWord, ...]]:
        """See `Voice`."""
        said = text.split()
        known = self._known.get(text_key(text))
        if known is None:
            self.unknown.append(text_key(text))
            audio_ms = MS_A_WORD * len(said)
            times = [[n * MS_A_WORD, (n + 1) * MS_A_WORD] for n in range(len(said))]
        else:
            audio_ms, times = int(known["audio_ms"]), known["words"]
            if len(times) != len(said):  # the voice tells words otherwise than spaces do
                times = [
                    [n * audio_ms // len(said), (n + 1) * audio_ms // len(said)] for n in range(len(said))
                ]
        words = tuple(SpokenWord(w, int(a), int(b)) for w, (a, b) in zip(said, times, strict=True))
        return b"\0\0" * (audio_ms * RATE_HZ // 1000), words
