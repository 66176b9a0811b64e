"""What a synthetic caller does next, from what it has heard so far. Pure; times are ms on the call clock.

The caller wants one thing after the other (the script's steps). It speaks when the bot has finished, answers
what the bot asks for (the script's rules), says a thing again when nothing understandable came, and
gives a step up after so many tries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from voicebot.proof.ears.recogniser import normal

from .script import Interruption, PartyScript, Rule, Step

_SLOW_EARS_MS = 3000  # words that take longer than this to be read are not waited for


@dataclass(frozen=True)
class Say:
    """Say a line."""

    line: str


@dataclass(frozen=True)
class Press:
    """Press keys."""

    digits: str


@dataclass(frozen=True)
class HangUp:
    """Put the phone down."""


Act = Say | Press | HangUp


@dataclass
class Outcome:
    """How one step went. ``done``: its answer was heard, after the interruption if one was wanted."""

    step: str
    done: bool = False
    tries: int = 0
    interrupted: bool | None = None
    murmured: bool = False
    began_ms: int | None = None
    done_ms: int | None = None
    keypad: bool = False
    """Keys were needed on the way."""


@dataclass
class _Hearing:
    """What came from the bot since the caller last did something."""

    since_ms: int = 0
    voiced: bool = False
    """The bot was heard after the caller's own words."""
    last_voice_ms: int | None = None
    go_ms: int | None = None
    """When the bot's present go began: speech without a pause that would end it."""
    stuck_ms: int | None = None
    """When the bot first stopped without anything understood."""
    words: list[str] = field(default_factory=list[str])

    def heard(self, cues: Iterable[str]) -> bool:
        text = f" {' '.join(self.words)} "
        return any(f" {normal(cue)} " in text for cue in cues)


class Mind:
    """The caller's decisions. Call ``tick`` every 20 ms, ``words`` whenever a clause was read."""

    def __init__(self, script: PartyScript) -> None:
        self._script = script
        self.outcomes = [
            Outcome(step.label, interrupted=None if step.interrupt is None else False)
            for step in script.steps
        ]
        self._at = -1
        self._hearing = _Hearing()
        self._interrupting = False
        self._murmured = False
        self._used: dict[int, int] = {}
        self._left = False
        self._acted_ms = 0  # when the caller last spoke or pressed

    @property
    def finished(self) -> bool:
        """Nothing is left to do."""
        return self._left

    @property
    def ok(self) -> bool:
        """Every step was done."""
        return all(outcome.done for outcome in self.outcomes)

    def words(self, text: str, start_ms: int) -> None:
        """A clause of the bot that began at ``start_ms``; what began before our last act is old news."""
        if text and start_ms >= self._hearing.since_ms:
            self._hearing.words.append(text)

    def over(self, at_ms: int) -> None:
        """The call ended. A step that only waits, or would have hung up now, is done by that."""
        self._left = True
        for outcome, step in zip(self.outcomes, self._script.steps, strict=True):
            if not outcome.done and (step.hang_up or (step.wait_s and not step.until)):
                outcome.done, outcome.done_ms = True, at_ms

    def tick(self, at_ms: int, *, talking: bool, reading: bool, busy: bool) -> Act | None:
        """What to do now, if anything.

        Args:
            at_ms: now.
            talking: the bot is heard in this frame.
            reading: some of what it said has not been read yet.
            busy: the caller itself is still speaking or pressing.
        """
        if self._left:
            return None
        if at_ms > self._script.limit_s * 1000:
            self._left = True
            return HangUp()
        if talking:
            self._voice(at_ms, busy)
        if busy:
            self._acted_ms = at_ms
            return None
        if self._at < 0:
            return self._greeted(at_ms, reading)
        return self._pursue(at_ms, self._script.steps[self._at], talking, reading)

    # --- hearing ----------------------------------------------------------------------

    def _voice(self, at_ms: int, busy: bool) -> None:
        h = self._hearing
        pause = 0 if h.last_voice_ms is None else at_ms - h.last_voice_ms
        h.last_voice_ms = at_ms
        if busy:  # the tail of what we spoke into is no answer to us
            h.go_ms = None
            return
        h.voiced = True
        if h.go_ms is None or pause > self._script.silence_ms:
            h.go_ms = at_ms

    def _quiet_ms(self, at_ms: int) -> int:
        last = self._hearing.last_voice_ms
        return at_ms - max(last if last is not None else self._hearing.since_ms, self._acted_ms)

    def _bot_finished(self, at_ms: int, reading: bool) -> bool:
        quiet = self._quiet_ms(at_ms)
        if not self._hearing.voiced or quiet < self._script.silence_ms + self._script.pause_ms:
            return False
        return not reading or quiet >= self._script.silence_ms + _SLOW_EARS_MS

    # --- steps ------------------------------------------------------------------------

    def _greeted(self, at_ms: int, reading: bool) -> Act | None:
        silent = not self._hearing.voiced and at_ms >= self._script.greeting_s * 1000
        if silent or self._bot_finished(at_ms, reading):
            return self._next_step(at_ms)
        return None

    def _next_step(self, at_ms: int) -> Act | None:
        self._at += 1
        self._interrupting = False
        if self._at >= len(self._script.steps):
            self._left = True
            return HangUp()
        self.outcomes[self._at].began_ms = at_ms
        return self._begin(at_ms, self._script.steps[self._at])

    def _begin(self, at_ms: int, step: Step) -> Act | None:
        outcome = self.outcomes[self._at]
        outcome.tries += 1
        self._interrupting = self._murmured = False
        self._hearing = _Hearing(since_ms=at_ms)
        if step.hang_up:
            outcome.done, outcome.done_ms = True, at_ms
            self._left = True
            return HangUp()
        if step.say is not None:
            return Say(step.say[min(outcome.tries - 1, len(step.say) - 1)])
        return Press(step.press) if step.press is not None else None

    def _pursue(self, at_ms: int, step: Step, talking: bool, reading: bool) -> Act | None:
        if step.at_once:
            return self._done(at_ms)
        if step.wait_s is not None:
            return self._waited(at_ms, step)
        if step.interrupt is not None and not self._interrupting:
            cut_in = self._cut_in(at_ms, step, talking)
            if cut_in is not None:
                return cut_in
        if step.murmur is not None and not self._murmured and self._has_spoken(at_ms, step.murmur, talking):
            self._murmured = True
            outcome = self.outcomes[self._at]
            outcome.murmured = True
            return Say(step.murmur.say[min(outcome.tries - 1, len(step.murmur.say) - 1)])
        if self._bot_finished(at_ms, reading):
            if self._answered(step):
                return self._done(at_ms)
            answer = self._asked(at_ms)
            if answer is not None:
                return answer
            if step.interrupt is not None and not self._interrupting:
                return self._again(at_ms, step)  # it stopped before it could be interrupted
            if self._hearing.stuck_ms is None:
                self._hearing.stuck_ms = at_ms
            if at_ms - self._hearing.stuck_ms >= self._script.patience_s * 1000:
                return self._again(at_ms, step)
        elif not self._hearing.voiced and self._quiet_ms(at_ms) >= self._script.patience_s * 1000:
            return self._again(at_ms, step)
        return None

    def _waited(self, at_ms: int, step: Step) -> Act | None:
        assert step.wait_s is not None
        heard = bool(step.until) and self._hearing.heard(step.until)
        began = self.outcomes[self._at].began_ms or 0
        if not heard and at_ms - began < step.wait_s * 1000:
            return None
        if heard or not step.until:
            return self._done(at_ms)
        return self._next_step(at_ms)

    def _answered(self, step: Step) -> bool:
        if step.interrupt is not None and not self._interrupting:
            return False
        return not step.until or self._hearing.heard(step.until)

    def _done(self, at_ms: int) -> Act | None:
        outcome = self.outcomes[self._at]
        outcome.done, outcome.done_ms = True, at_ms
        return self._next_step(at_ms)

    def _again(self, at_ms: int, step: Step) -> Act | None:
        if self.outcomes[self._at].tries >= step.tries:
            return self._next_step(at_ms)
        return self._begin(at_ms, step)

    def _cut_in(self, at_ms: int, step: Step, talking: bool) -> Act | None:
        assert step.interrupt is not None
        if not self._has_spoken(at_ms, step.interrupt, talking):
            return None
        outcome = self.outcomes[self._at]
        outcome.interrupted = True
        self._interrupting = True
        self._hearing = _Hearing(since_ms=at_ms)
        return Say(step.interrupt.say[min(outcome.tries - 1, len(step.interrupt.say) - 1)])

    def _has_spoken(self, at_ms: int, into: Interruption, talking: bool) -> bool:
        """Whether the bot speaks and has for long enough."""
        go = self._hearing.go_ms
        return talking and go is not None and at_ms - go >= into.after_s * 1000

    def _asked(self, at_ms: int) -> Act | None:
        """The first rule whose cues were heard."""
        for n, rule in enumerate(self._script.answers):
            used = self._used.get(n, 0)
            if used < rule.times and self._applies(rule):
                self._used[n] = used + 1
                self._hearing = _Hearing(since_ms=at_ms)
                if rule.press is not None:
                    self.outcomes[self._at].keypad = True
                    return Press(rule.press)
                assert rule.say is not None
                return Say(rule.say[min(used, len(rule.say) - 1)])
        return None

    def _applies(self, rule: Rule) -> bool:
        heard = self._hearing.heard
        return heard(rule.when) and (not rule.also or heard(rule.also)) and not heard(rule.unless)
