"""smart-turn v3.2: does the caller sound finished? The weights come inside Pipecat.

One ONNX session for the host; a verdict takes about 45 ms on one core and releases the interpreter, so
two threads give two verdicts.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
import onnxruntime
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

from voicebot.audio.engines.types import RATE_HZ

WINDOW_BYTES = 8 * RATE_HZ * 2
"""The model reads the last 8 s."""


class SmartTurnEngine(LocalSmartTurnAnalyzerV3):
    """See ``JudgeEngine``. Pipecat's analyser without its per-call state: only its verdict is used."""

    kind = "smart-turn"
    model = "smart-turn v3.2"
    notes: tuple[str, ...] = ()
    threads = 2

    def __init__(self) -> None:
        # Not super().__init__: that would load a session and an executor for every analyser.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        weights = resources.files("pipecat.audio.turn.smart_turn.data") / "smart-turn-v3.2-cpu.onnx"
        self._session = onnxruntime.InferenceSession(weights.read_bytes(), sess_options=options)
        self._log_data = False
        self._sample_rate = RATE_HZ

    def warm_up(self) -> None:
        """See ``JudgeEngine.warm_up``."""
        self.probability(bytes(RATE_HZ * 2))

    def probability(self, pcm16_8k: bytes) -> float:
        """See ``JudgeEngine.probability``. No audio at all is no finished turn: 0."""
        if not pcm16_8k:
            return 0.0
        audio = np.frombuffer(pcm16_8k[-WINDOW_BYTES:], dtype=np.int16).astype(np.float32) / 32768.0
        verdict = self._predict_endpoint(audio)
        return min(1.0, max(0.0, float(verdict["probability"])))
