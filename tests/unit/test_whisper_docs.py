"""The guide's numbers are the code's."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.audio.engines.whisper import pace, transcriber, utterance, windows

GUIDE = " ".join((Path(__file__).parents[2] / "docs" / "whisper.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    "said",
    [
        f"the speech, {windows.MARGIN_FRAMES / 100:g} s behind it",
        f"at least {windows.FLOOR_FRAMES / 100:g} s",
        f"({windows.END_FLOOR_FRAMES / 100:g} s at the end of a turn)",
        f"after {utterance.TAIL_MS} ms of silence",
        f"Above {windows.TRIM_ABOVE_MS / 1000:g} s the window is cut",
        f"at most {windows.LAST_RESORT_MS / 1000:g} s of audio",
        f"after {pace.SOONEST_MS / 1000:g} to {pace.LATEST_MS / 1000:g} s of new audio",
        f"use at most {pace.CALL_SHARE * 100:g} % of a core",
        f"all callers {pace.ALL_SHARE * 100:g} % of the engine's threads",
        f"With {transcriber.PLACES} utterances open",
        f"waiting for {transcriber.LONGEST_WAIT_S:g} s",
    ],
)
def test_the_guide_says(said: str) -> None:
    assert said in GUIDE
