"""A recording as a caller: its messages with their sound, and turns whose sound was taken out of it. Pure.

Where a card's number was said there is silence. Such a turn comes back as the words that were kept of it,
masked, with a number in the mask's place that every payment processor publishes for tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voicebot.audio.mulaw import SILENCE
from voicebot.audio.recording.reader import Problem, Recording
from voicebot.audio.recording.wirelog import FROM_CALLER, WITHHELD, What
from voicebot.channels.legs import Dtmf, Media, Stop
from voicebot.core.conversation import Utterance
from voicebot.dialogue.evidence import COMMITTED
from voicebot.proof.replay.leg import VirtualLeg
from voicebot.safety.pii.masking import TOKEN

TEST_CARD = "four two four two four two four two four two four two four two four two"
_FRAME_MS = 20
_LINE_MS = 33

FROM_ELSEWHERE = frozenset({"agent_decision", "payment_over", "transfer_failed", "whispered"})
"""Inputs that no caller gives and no replay makes: they came from people and systems."""


@dataclass(frozen=True)
class KeptTurn:
    """A turn that is told instead of heard, at these moments of the media clock."""

    utterance: Utterance
    started_ms: int
    ended_ms: int


def messages_of(recording: Recording) -> list[tuple[float, Media | Dtmf | Stop]]:
    """What came from the caller, each with its time (ms since the pipeline began); no withheld keys.

    A recording without messages (version 1) is taken as a line without jitter.
    """
    came = [m for m in recording.wire if m.what in FROM_CALLER]
    if not any(m.what is What.MEDIA for m in came):
        return list(_on_time(recording))
    found: list[tuple[float, Media | Dtmf | Stop]] = []
    for message in came:
        match message.what:
            case What.MEDIA:
                at = message.timestamp_ms or 0
                ulaw = recording.ulaw[at * 8 : at * 8 + message.size, 0].tobytes()
                ulaw += bytes([SILENCE]) * (message.size - len(ulaw))
                frame = Media(VirtualLeg.stream_sid, ulaw, at, None, message.sequence, "inbound")
                found.append((message.at_ms, frame))
            case What.KEY if message.name != WITHHELD:
                key = Dtmf(VirtualLeg.stream_sid, message.name, message.sequence)
                found.append((message.at_ms, key))
            case What.STOP:
                found.append((message.at_ms, Stop(VirtualLeg.stream_sid, None, message.sequence)))
            case _:
                pass
    return found


def _on_time(recording: Recording) -> list[tuple[float, Media | Dtmf | Stop]]:
    found: list[tuple[float, Media | Dtmf | Stop]] = []
    for number in range(recording.ulaw.shape[0] // 160):
        ulaw = recording.ulaw[number * 160 : number * 160 + 160, 0].tobytes()
        at_ms = float(number * _FRAME_MS + _FRAME_MS + _LINE_MS)
        frame = Media(VirtualLeg.stream_sid, ulaw, number * _FRAME_MS, None, None, "inbound")
        found.append((at_ms, frame))
    return found


def kept_turns(events: list[dict[str, Any]]) -> list[KeptTurn]:
    """Turns whose sound was taken out, in order."""
    spans = [
        (int(e["at_ms"]), int(e["until_ms"]))
        for e in events
        if e.get("type") == "unsaid" and e.get("channel") == "caller"
    ]
    found: list[KeptTurn] = []
    for event in events:
        if event.get("type") != COMMITTED or event["input"]["kind"] != "utterance":
            continue
        given = event["input"]
        began, ended = given.get("started_ms"), given.get("last_voiced_ms")
        if began is None or ended is None or not any(a <= began and ended <= b for a, b in spans):
            continue
        text = TOKEN.sub(_stand_in, given["text"])
        utterance = Utterance(
            text=text, confidence=given.get("confidence"), started_ms=began, last_voiced_ms=ended
        )
        found.append(KeptTurn(utterance, began, max(ended, int(event["at_ms"]) - 100)))
    return found


def _stand_in(found: Any) -> str:
    return TEST_CARD if found.group().startswith("[card") else "one two three"


def missing_in(recording: Recording) -> list[Problem]:
    """What a replay cannot give back, beside what the recording itself lacks."""
    found = list(recording.problems)
    hidden = [m for m in recording.wire if m.what is What.KEY and m.name == WITHHELD]
    if hidden:
        text = (
            f"{len(hidden)} keys were not kept (a card's, or a one-time code's): they are not pressed again"
        )
        found.append(Problem("withheld", round(hidden[0].at_ms), text))
    for event in recording.events:
        if event.get("type") == COMMITTED and event["input"]["kind"] in FROM_ELSEWHERE:
            text = (
                f"turn {event['turn']} came from elsewhere ({event['input']['kind']}): it does not come again"
            )
            found.append(Problem("elsewhere", int(event["at_ms"]), text))
    return found
