"""Piper: neural voices from a file. GPL, so it is loaded only inside its own host process.

A voice is an ONNX model with its configuration beside it (``NAME.onnx``, ``NAME.onnx.json``). Piper makes
audio sentence by sentence and says nothing about when a word is spoken: the words share their sentence's
time in proportion to their letters. One ONNX thread per sentence; several sentences of different calls are
made side by side.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from voicebot.audio.engines.hosted import Emit
from voicebot.audio.engines.models.download import Downloader
from voicebot.audio.engines.models.errors import ModelsError
from voicebot.audio.engines.models.manifest import Manifest, ModelFile, manifest_path
from voicebot.audio.engines.models.pull import pull
from voicebot.audio.engines.models.store import Store
from voicebot.audio.engines.resampling import Resampler
from voicebot.audio.engines.spoken import in_proportion
from voicebot.audio.engines.types import EngineUnavailable, SpeechChunk

HUB = "https://huggingface.co"
MOST_THREADS = 4
PIECE_MS = 500
"""Audio per chunk once a sentence is made; small enough for one message at any rate."""

RATES_HZ = range(8000, 48001)
INPUTS = frozenset({"input", "input_lengths", "scales"})
"""What Piper feeds a voice of one speaker; ``sid`` besides for several."""

_SENTENCE = re.compile(r"\S.*?(?:[.!?]+(?=\s)|$)", re.DOTALL)


class PiperEngine:
    """See ``SpeechEngine``. Blocking to make.

    Args:
        voice: an ``.onnx`` file, or a voice's name such as ``en_US-lessac-medium``.
        kept_in: where models pulled for this server lie; a name that is not there is fetched into it.
        threads: sentences at once; by default half the cores (calls need the others), at most four.

    Raises:
        EngineUnavailable: it cannot be loaded; the message says what is missing and what to do.
    """

    kind = "piper"
    notes: tuple[str, ...] = ()

    def __init__(self, voice: str, kept_in: Path | None = None, *, threads: int | None = None) -> None:
        try:
            from piper import PiperVoice
            from piper.config import PiperConfig
        except ImportError as error:
            raise EngineUnavailable(
                "Piper is not installed: pip install 'voicebot[gpl]' (GPL, run in a process of its own)"
            ) from error
        # Piper logs what it is told to say at DEBUG.
        logging.getLogger("piper").setLevel(logging.WARNING)
        path = find_voice(voice, kept_in)
        config = read_config(path)
        try:
            parsed = PiperConfig.from_dict(config)
        except (KeyError, TypeError, ValueError) as error:
            raise EngineUnavailable(
                f"{path}.json is no configuration of a Piper voice: {type(error).__name__} {error}"
            ) from error
        self._rate_hz = rate_of(config, path)
        self._voice = PiperVoice(session=_session(path, parsed.num_speakers), config=parsed)
        cores = len(os.sched_getaffinity(0))
        self.threads = threads or max(1, min(MOST_THREADS, cores // 2))
        name = path.name.removesuffix(".onnx")
        self.model = f"{name} at {self._rate_hz} Hz"
        self.voice_id = f"piper/{name}"

    def warm_up(self) -> None:
        """See ``SpeechEngine.warm_up``.

        Raises:
            EngineUnavailable: the voice loads and cannot speak.
        """
        try:
            for sentence in ("Hello.", "How can I help you today?"):
                self.say(sentence, 8000, lambda _: True)
        except Exception as error:  # whatever the model or the phonemizer raises, nobody will be understood
            raise EngineUnavailable(
                f"the voice {self.voice_id} cannot speak ({type(error).__name__}: {error}): take another, or "
                "VOICEBOT_TTS=espeak"
            ) from error

    def say(self, text: str, rate_hz: int, emit: Emit) -> None:
        """See ``SpeechEngine.say``. A sentence that is under way is made to its end, whoever listens."""
        resampler = Resampler(self._rate_hz, rate_hz)
        made = 0
        for sentence in sentences(text):
            audio = np.concatenate(
                [np.zeros(0, np.int16), *(c.audio_int16_array for c in self._voice.synthesize(sentence))]
            )
            words = in_proportion(sentence, _ms(audio.size, self._rate_hz), _ms(made, self._rate_hz))
            made += audio.size
            piece = self._rate_hz * PIECE_MS // 1000
            for at in range(0, max(1, audio.size), piece):
                chunk = SpeechChunk(resampler.feed(audio[at : at + piece]), words if at == 0 else ())
                if not emit(chunk):
                    return
        if rest := resampler.feed(np.zeros(0, np.int16), last=True):
            emit(SpeechChunk(rest))


def sentences(text: str) -> Iterator[str]:
    """The text in sentences; together they have every word of it, in order."""
    return (found.group() for found in _SENTENCE.finditer(text))


def find_voice(voice: str, kept_in: Path | None = None) -> Path:
    """The ``.onnx`` file of a voice: a path, a name under ``kept_in``/piper, or one that the hub has.

    Raises:
        EngineUnavailable: it is not here and cannot be fetched; says what to do.
    """
    for candidate in (Path(voice).expanduser(), *((kept_in / "piper" / f"{voice}.onnx",) if kept_in else ())):
        if candidate.is_file():
            return candidate.resolve()
    if voice.endswith(".onnx") or "/" in voice or voice.startswith((".", "~")):
        raise EngineUnavailable(
            f"there is no Piper voice in {voice}: give an .onnx file, or a name like en_US-lessac-medium"
        )
    if kept_in is None:
        raise EngineUnavailable(f"the Piper voice {voice!r} is not here: give the path of its .onnx file")
    return _fetch(voice, kept_in)


def _fetch(voice: str, kept_in: Path) -> Path:
    """From the hub, as ``voicebot models pull`` does it: checked, and put in place whole."""
    try:
        manifest = Manifest.load(manifest_path(Path.cwd()))
        model = manifest.find(voice)
        if model.kind != "piper":
            raise EngineUnavailable(f"{voice!r} is a {model.kind} model, not a voice")
        if os.environ.get("HF_HUB_OFFLINE"):
            raise EngineUnavailable(
                f"the Piper voice {voice!r} is not on this machine and HF_HUB_OFFLINE forbids to fetch it"
            )
        store = Store(manifest, kept_in, kept_in, kept_in)
        # httpx logs each request at INFO.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        with Downloader(os.environ.get("VOICEBOT_MODELS_MIRROR") or HUB) as downloader:
            return pull(model, store, downloader, _to_nobody).path
    except ModelsError as error:
        why = " ".join(str(error).split())
        raise EngineUnavailable(
            f"the Piper voice {voice!r} is not on this machine and could not be fetched: {why}"
        ) from error


def _to_nobody(file: ModelFile, done: int, total: int | None) -> None:
    """The progress of a download in a host: the server waits for the host to be ready, that is all."""


def read_config(voice: Path) -> dict[str, Any]:
    """The configuration beside a voice.

    Raises:
        EngineUnavailable: it is missing or no JSON object.
    """
    path = voice.with_name(voice.name + ".json")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EngineUnavailable(
            f"the voice {voice} lacks {path.name} beside it: both files of a voice are needed"
        ) from error
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise EngineUnavailable(f"{path} is no configuration of a Piper voice: it holds no JSON object")
    return config


def rate_of(config: dict[str, Any], voice: Path) -> int:
    """The rate of the voice's audio in Hz.

    Raises:
        EngineUnavailable: none, or none that can be resampled.
    """
    audio = config.get("audio")
    rate = audio.get("sample_rate") if isinstance(audio, dict) else None
    if not isinstance(rate, int) or rate not in RATES_HZ:
        raise EngineUnavailable(
            f"{voice}.json says audio.sample_rate is {rate!r}: a whole number of Hz from {RATES_HZ[0]} to "
            f"{RATES_HZ[-1]} is needed"
        )
    return rate


def _session(path: Path, speakers: int) -> onnxruntime.InferenceSession:
    """The model on one thread: Piper's own loader would take every core for a sentence."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common root; each means a file it cannot run
        why = str(error).strip().splitlines()[0][:200]
        raise EngineUnavailable(f"{path} is no model that this machine can run: {why}") from error
    wanted = {*INPUTS, *(["sid"] if speakers > 1 else [])}
    got = {str(each.name) for each in session.get_inputs()}
    if got != wanted:
        raise EngineUnavailable(
            f"{path} is no Piper voice: it takes {', '.join(sorted(got))}, a voice takes "
            f"{', '.join(sorted(wanted))}"
        )
    return session


def _ms(samples: int, rate_hz: int) -> int:
    return samples * 1000 // rate_hz
