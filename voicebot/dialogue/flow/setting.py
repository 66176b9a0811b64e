"""What one turn is planned in, as one value: the scene, the reads, what the monitor made of the words."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.core.conversation import MonitorScores
from voicebot.dialogue.flow.reads import Reads
from voicebot.dialogue.scene import Scene


@dataclass(frozen=True, slots=True)
class Setting:
    """One turn being planned. ``scores`` is None for inputs without words."""

    scene: Scene
    reads: Reads
    scores: MonitorScores | None = None
