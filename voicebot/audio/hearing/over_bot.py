"""A sound of the caller over the bot: what is known of it, and whether it is ours. Synchronous; no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voicebot.audio.engines.types import Transcript
from voicebot.audio.hearing import bargein
from voicebot.audio.hearing.echo import EchoEstimate
from voicebot.audio.hearing.events import KEYED
from voicebot.audio.hearing.foreground import Foreground
from voicebot.audio.hearing.overlap import OverlapFacts, Verdict
from voicebot.core.conversation import FREE, Expects

OWN_SHARE = 0.35
"""A window of which so much is our own sound coming back is not the caller's voice. Plain echo 20 and 26 dB
down has 0.94 and more, through a filtering line 0.6-0.9, speech over such echo below 0.1 (flite, mu-law)."""

OVER_OWN_DB = 6.0
"""What is louder than our own echo by more than this is not part of it."""

AGAIN_MS = 1500
"""Words that follow so soon on words that were not believed are the caller's second try."""


@dataclass
class Overlap:
    """One sound over the bot (ms on the media clock), and what came of it."""

    began_ms: int
    since_ms: int
    voiced_ms: int
    loudest_dbfs: float
    under_way: bool
    bot_done: bool
    own_ms: int = 0
    own_dbfs: float = -100.0
    verdict: Verdict | None = None
    vouched: bool = True

    @property
    def undecided(self) -> bool:
        """Whether it is still being weighed."""
        return self.verdict is None

    @property
    def passed(self) -> bool:
        """The bot went on."""
        return self.verdict not in (None, "interruption")

    @property
    def own_share(self) -> float:
        """How much of the sound was our own; none of it where something louder spoke over it."""
        if self.loudest_dbfs > self.own_dbfs + OVER_OWN_DB:
            return 0.0
        return self.own_ms / max(1, self.own_ms + self.voiced_ms)

    def voiced(self, ms: int, level_dbfs: float) -> None:
        """It goes on."""
        self.voiced_ms += ms
        self.loudest_dbfs = max(self.loudest_dbfs, level_dbfs)

    def own(self, ms: int, level_dbfs: float) -> None:
        """So much of it was the bot's own sound coming back."""
        self.own_ms += ms
        self.own_dbfs = max(self.own_dbfs, level_dbfs)


class OverBot:
    """What the bot is saying, as far as a sound over it is weighed by that. One per call.

    Args:
        done: asked when the caller makes a sound over the bot: had it said all, but for a last word?
    """

    def __init__(self, done: Callable[[], bool]) -> None:
        self.speaking = False
        """Whether the bot is being heard."""
        self.asks_yes_no = False
        """Whether what it is saying asks for a yes or no: then "mm-hm" is an answer."""
        self.asks: Expects = FREE
        """What its answer ends by asking: who speaks into the last word of it answers that."""
        self.onset = bargein.Onset(bargein.OVER_BOT)
        self._done = done
        self._echo = EchoEstimate()
        self._foreground = Foreground()
        self._murmured_ms = -AGAIN_MS

    def sent(self, ulaw: bytes, at_ms: int) -> None:
        """Audio on its way to the caller that plays from ``at_ms`` on; b"": from then on nothing will."""
        if ulaw:
            self._echo.sent(ulaw, at_ms)
        else:
            self._echo.dropped(at_ms)

    def hears(self, window: npt.NDArray[np.int16], at_ms: int) -> None:
        """The next window of the line, before anything is made of it."""
        self._echo.hears(window, at_ms)

    def is_own(self) -> bool:
        """Whether the last window is mostly our own sound coming back."""
        return self._echo.share() >= OWN_SHARE

    def begins(self, probability: float, level_dbfs: float, at_ms: int) -> bool:
        """Whether a sound of the caller over the bot begins with this window."""
        floor_dbfs = self._foreground.floor_dbfs(at_ms)
        return self.speaking and self.onset.push(probability, level_dbfs, at_ms, floor_dbfs)

    def expects(self, otherwise: Expects) -> Expects:
        """What a turn that begins over the bot now is heard with; ``otherwise``: what was asked before."""
        return self.asks if self._done() else otherwise

    def overlap(self, turn_started_ms: int, heard_to_ms: int) -> Overlap:
        """The sound whose onset was just seen, in a turn that began at ``turn_started_ms``."""
        onset = self.onset
        return Overlap(
            began_ms=onset.start_ms,
            since_ms=heard_to_ms,
            voiced_ms=heard_to_ms - onset.start_ms,
            loudest_dbfs=onset.loudest_dbfs,
            under_way=turn_started_ms < onset.start_ms,
            bot_done=self._done(),
        )

    def facts(
        self,
        over: Overlap,
        words: Transcript | None,
        *,
        words_current: bool,
        asked: Expects,
        silence_ms: int,
        now_ms: int,
    ) -> OverlapFacts:
        """What ``overlap.decide`` needs to know of it now. ``asked``: what its turn is heard with."""
        answered = over.bot_done and asked != FREE  # "four" into the last word of the question is no "mm-hm"
        return OverlapFacts(
            since_ms=now_ms - over.since_ms,
            voiced_ms=over.voiced_ms,
            silence_ms=silence_ms,
            words=None if words is None else words.text,
            words_current=words_current,
            confidence=None if words is None else words.confidence,
            below_caller_db=self._foreground.below_caller_db(over.loudest_dbfs),
            echo=over.own_share,
            question_open=self.asks_yes_no or answered or asked.kind == "yes_no",
            bot_done=over.bot_done,
            under_way=over.under_way,
            again=over.began_ms - self._murmured_ms <= AGAIN_MS,
            vouched=over.vouched,
        )

    def passed(self, over: Overlap, why: str, heard_to_ms: int) -> None:
        """The bot goes on over it: what is like it will be weighed by that."""
        if why == "murmur":
            self._murmured_ms = heard_to_ms
        if over.verdict == "noise" and why != KEYED:
            self._foreground.noise(over.loudest_dbfs, over.voiced_ms, heard_to_ms)
        self.onset.reset()

    def far_after_ms(self, level_dbfs: float) -> int | None:
        """See `Foreground`."""
        return self._foreground.far_after_ms(level_dbfs)

    def caller(self, loudest_dbfs: float) -> None:
        """A turn of the caller, not over the bot, was as loud as this."""
        self._foreground.turn(loudest_dbfs)
