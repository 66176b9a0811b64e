"""Voice activity: one Silero session for the process, a recurrent state per call.

The weights are those inside the pipecat wheel (``pipecat/audio/vad/data/silero_vad.onnx``, Silero v5).
At 8 kHz the model reads windows of 256 samples (32 ms) behind the last 32 samples of the window before;
one window costs about 0.1 ms on one thread.

A line that is silent is not asked about: below ``SILENT_DBFS`` nothing counts as a voice, whatever Silero
says (``bargein``), and most of a call is the silence of one side.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

WINDOW = 256
"""Samples per window at 8 kHz."""

WINDOW_MS = 32

_CONTEXT = 32
# After long silence or noise the recurrent state hears the next speech late or not at all (worst at
# 8 kHz). So it is cleared now and then, but only in clear quiet: a reset inside speech loses confidence.
_RESET_AFTER_WINDOWS = 62  # 2 s
_RESET_QUIET_WINDOWS = 8  # 256 ms in a row ...
_RESET_QUIET_BELOW = 0.1  # ... below this

SILENT_DBFS = -60.0
"""After as much quiet, windows this soft are no voice and the model rests: 5 dB below the softest that an
onset or a turn that goes on may have."""

_SETTLED_WINDOWS = 30
"""A model that rested hears what follows as one that has heard a second of silence would. From a cleared
state it would hear speech that swells out of silence late: over 42 recorded lines of three voices, faded in
over 200 ms, the onset came 3.4 windows after the first sound, from this state 0.8 (at the worst 11, 5)."""


class VoiceActivity(Protocol):
    """Says how likely a window holds a voice. Has state: one per call, windows in order."""

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        """Probability in 0..1 for the next ``WINDOW`` samples of PCM16 at 8 kHz. Never blocks."""
        ...


class VadUnavailable(Exception):  # names a state that doctor reports
    """The voice activity model is not where it should be; reinstall pipecat-ai."""


class SharedSilero:
    """The one ONNX session of a process. Thread-safe; ``voice()`` gives each call its own state."""

    def __init__(self, weights: Path | None = None) -> None:
        path = weights or bundled_weights()
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"], sess_options=options
        )
        self._rate = np.array(8000, dtype=np.int64)
        self.settled = np.zeros((2, 1, 128), dtype=np.float32)
        """The state behind ``_SETTLED_WINDOWS`` of digital silence."""
        for _ in range(_SETTLED_WINDOWS):
            _, self.settled = self.run(np.zeros((1, _CONTEXT + WINDOW), dtype=np.float32), self.settled)

    def voice(self) -> SileroVoice:
        """A fresh state for one call."""
        return SileroVoice(self)

    def run(
        self, samples: npt.NDArray[np.float32], state: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """One step for n calls: samples ``[n, 288]``, state ``[2, n, 128]`` -> ``[n, 1]``, state."""
        probability, after = self._session.run(None, {"input": samples, "state": state, "sr": self._rate})
        return probability, after


class _Lull:
    """When one call's line need not be asked about, and when its state is cleared. Pure."""

    __slots__ = ("_quiet", "_windows", "begins", "rests")

    def __init__(self) -> None:
        self._windows = 0
        self._quiet = 0
        self.rests = False
        self.begins = False
        """Whether it rests since this window: the state is then to be the settled one."""

    def look(self, level_dbfs: float) -> bool:
        """Takes a window's level; returns whether it needs no judgement."""
        silent = level_dbfs < SILENT_DBFS and self._quiet >= _RESET_QUIET_WINDOWS
        self.begins = silent and not self.rests
        if self.begins:
            self._windows = 0
        self.rests = silent
        return silent

    def judged(self, probability: float) -> bool:
        """Takes what was found of a window; returns whether the state is to be cleared."""
        self._windows += 1
        self._quiet = self._quiet + 1 if probability < _RESET_QUIET_BELOW else 0
        clear = self._windows >= _RESET_AFTER_WINDOWS and self._quiet >= _RESET_QUIET_WINDOWS
        if clear:
            self._windows = 0
        return clear


class SileroVoice:
    """Silero's view of one call (``VoiceActivity``)."""

    def __init__(self, model: SharedSilero) -> None:
        self._model = model
        self._input = np.zeros((1, _CONTEXT + WINDOW), dtype=np.float32)
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._lull = _Lull()

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        """Probability in 0..1 that the window (``WINDOW`` samples, PCM16) holds a voice."""
        if window.shape != (WINDOW,):
            raise ValueError(f"a window has {WINDOW} samples, not {window.shape}")
        if self._lull.look(level_dbfs(window)):
            if self._lull.begins:
                self._begin(self._model.settled)
            return 0.0
        self._input[0, _CONTEXT:] = window
        self._input[0, _CONTEXT:] /= 32768.0
        probability, self._state = self._model.run(self._input, self._state)
        self._input[0, :_CONTEXT] = self._input[0, -_CONTEXT:]
        value = float(probability[0, 0])
        if self._lull.judged(value):
            self._begin(np.zeros_like(self._state))
        return value

    def _begin(self, state: npt.NDArray[np.float32]) -> None:
        self._state = state
        self._input[:] = 0.0


class SileroStates:
    """Silero's views of many calls, each in its slot, moved on together.

    A call's probabilities are those of a ``SileroVoice`` to the last digits of a float: it is the same model,
    with more than one window in a run.
    """

    def __init__(self, model: SharedSilero, slots: int = 16) -> None:
        self._model = model
        self._inputs = np.zeros((slots, _CONTEXT + WINDOW), dtype=np.float32)
        self._states = np.zeros((2, slots, 128), dtype=np.float32)
        self._lulls = [_Lull() for _ in range(slots)]
        self._free = list(range(slots))

    def take(self) -> int:
        """A fresh slot."""
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self._begin(slot, 0.0)
        self._lulls[slot] = _Lull()
        return slot

    def give_back(self, slot: int) -> None:
        """Its call is over."""
        self._free.append(slot)

    def probabilities(
        self, slots: list[int], windows: npt.NDArray[np.int16], levels: list[float]
    ) -> list[float]:
        """How likely each window (``[n, WINDOW]``, PCM16) holds a voice; no slot twice.

        ``levels``: theirs, as ``levels_dbfs`` tells them.
        """
        asked = [n for n, slot in enumerate(slots) if not self._rests(slot, levels[n])]
        values = [0.0] * len(slots)
        if not asked:
            return values
        if len(asked) == len(slots):
            return self._judged(slots, windows)
        for n, value in zip(asked, self._judged([slots[n] for n in asked], windows[asked]), strict=True):
            values[n] = value
        return values

    def _rests(self, slot: int, level_dbfs: float) -> bool:
        lull = self._lulls[slot]
        rests = lull.look(level_dbfs)
        if lull.begins:
            self._begin(slot, self._model.settled[:, 0])
        return rests

    def _judged(self, slots: list[int], windows: npt.NDArray[np.int16]) -> list[float]:
        samples = self._inputs[slots]
        samples[:, _CONTEXT:] = windows
        samples[:, _CONTEXT:] /= 32768.0
        found, after = self._model.run(samples, self._states[:, slots])
        self._states[:, slots] = after
        self._inputs[slots, :_CONTEXT] = samples[:, -_CONTEXT:]
        values: list[float] = found[:, 0].tolist()
        for slot, value in zip(slots, values, strict=True):
            if self._lulls[slot].judged(value):
                self._begin(slot, 0.0)
        return values

    def _begin(self, slot: int, state: npt.NDArray[np.float32] | float) -> None:
        self._states[:, slot] = state
        self._inputs[slot] = 0.0

    def _grow(self) -> None:
        had = len(self._lulls)
        self._inputs = np.concatenate((self._inputs, np.zeros_like(self._inputs)))
        self._states = np.concatenate((self._states, np.zeros_like(self._states)), axis=1)
        self._lulls += [_Lull() for _ in range(had)]
        self._free = list(range(had, 2 * had))


@lru_cache(maxsize=1)
def shared_silero() -> SharedSilero:
    """The process's session, loaded at the first call (about 60 ms): call it before taking calls."""
    return SharedSilero()


def bundled_weights() -> Path:
    """Where the installed pipecat keeps Silero's weights, found without importing it.

    Raises:
        VadUnavailable: it is not installed, or keeps them elsewhere.
    """
    spec = find_spec("pipecat")
    for root in (spec.submodule_search_locations or []) if spec else []:
        path = Path(root) / "audio" / "vad" / "data" / "silero_vad.onnx"
        if path.is_file():
            return path
    raise VadUnavailable("no silero_vad.onnx in the pipecat package: reinstall pipecat-ai==1.14.0")


def level_dbfs(window: npt.NDArray[np.int16]) -> float:
    """Root mean square level in dB below full scale; -100 for digital silence."""
    samples = window.astype(np.float32)
    mean_square = float(np.dot(samples, samples)) / max(1, samples.size)
    if mean_square < 1e-1:
        return -100.0
    return 10.0 * float(np.log10(mean_square)) - 90.309  # 20 log10(32768)


def levels_dbfs(windows: npt.NDArray[np.int16]) -> list[float]:
    """``level_dbfs`` of each row."""
    samples = windows.astype(np.float32)
    mean_squares = np.einsum("ij,ij->i", samples, samples) / max(1, windows.shape[1])
    levels = 10.0 * np.log10(np.maximum(mean_squares, 1e-1)) - 90.309
    return np.where(mean_squares < 1e-1, -100.0, levels).tolist()
