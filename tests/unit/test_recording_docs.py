"""The reader printed in docs/recording.md reads a real recording, so the document is the format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from voicebot.audio import mulaw
from voicebot.audio.recording.reader import read_recording
from voicebot.audio.recording.writer import Recorder

DOCUMENT = Path(__file__).parents[2] / "docs" / "recording.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


async def test_the_printed_reader_reads_what_the_writer_writes(tmp_path: Path) -> None:
    key = bytes(range(32))
    recorder = Recorder(tmp_path / "call", key, "cv_1")
    for at_ms in range(0, 9000, 20):
        recorder.caller(bytes([at_ms // 20 % 256]) * 160, at_ms)
    recorder.caller(bytes([3]) * 160, 60_000)  # behind a gap
    await recorder.close()
    package, alone = EXAMPLES
    names: dict[str, Any] = {"path": recorder.audio_path, "key": key}
    exec(package, names)  # noqa: S102  # the document's own examples
    exec(alone, names)  # noqa: S102
    ulaw = names["sound"](recorder.audio_path, key)
    expected = read_recording(recorder.audio_path, key).pcm16
    assert (mulaw.decode(ulaw).reshape(-1, 2) == expected).all()
    assert np.array_equal(names["recording"].pcm16, expected)
    assert recorder.audio_path.with_suffix(".wav").exists()
