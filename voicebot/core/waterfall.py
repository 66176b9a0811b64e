"""A turn's moments as hops: from the caller's last sound to the bot's first, as it was heard. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.core.conversation import TurnTimings

_PATH = (
    ("seen", "vad_ms"),
    ("end", "turn_ended_ms"),
    ("words", "final_ms"),
    ("plan", "planned_ms"),
    ("commit", "committed_ms"),
    ("clause", "first_clause_ms"),
    ("sound", "first_audio_ms"),
    ("line", "first_heard_ms"),
)
_AHEAD = (
    ("early_words", "eager_ms"),
    ("early_plan", "eager_planned_ms"),
    ("early_sound", "held_ms"),
)


@dataclass(frozen=True)
class Hop:
    """One step, on the call's media clock. ``ahead``: made while the end of the turn was waited for.

    ``seen``: the caller's last sound to the silence behind it. ``end``: the turn is over. ``words``: final
    words. ``plan``, ``commit``, ``clause`` (its words stand), ``sound`` (sent), ``line`` (heard).
    """

    name: str
    from_ms: int
    to_ms: int
    ahead: bool = False

    @property
    def ms(self) -> int:
        """How long it took."""
        return self.to_ms - self.from_ms


def hops(timings: TurnTimings) -> tuple[Hop, ...]:
    """The hops of a turn in the order in which they begin; what did not happen is left out.

    Those on the path follow on each other, so that their sum is what the caller waited; a moment that seems
    to lie before the one it follows on (two clocks meet in ``line``) is taken to be that one.
    """
    path = _chain(timings, timings.last_voiced_ms, _PATH, ahead=False)
    begin = timings.vad_ms if timings.vad_ms is not None else timings.last_voiced_ms
    early = _chain(timings, begin, _AHEAD, ahead=True)
    seen = [hop for hop in path if hop.name == "seen"]
    return (*seen, *early, *(hop for hop in path if hop.name != "seen"))


def waited_ms(timings: TurnTimings) -> int | None:
    """From the caller's last sound to the bot's first, as heard; None if either is not known."""
    if timings.last_voiced_ms is None or timings.first_heard_ms is None:
        return None
    return max(timings.first_heard_ms, timings.first_audio_ms or 0) - timings.last_voiced_ms


def _chain(
    timings: TurnTimings, begin: int | None, moments: tuple[tuple[str, str], ...], *, ahead: bool
) -> list[Hop]:
    found: list[Hop] = []
    for name, field in moments:
        at: int | None = getattr(timings, field)
        if at is None:
            continue
        if begin is not None:
            found.append(Hop(name, begin, max(begin, at), ahead))
        begin = at if begin is None else max(begin, at)
    return found
