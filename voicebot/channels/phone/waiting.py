"""The line between the caller's turn and the first word of the answer is kept from falling silent. A shell.

While the words are being worked out, a plan is made, an act is done, or a slow tool works on, nothing else
speaks; so this does, by the same ``Patience`` that goes on into the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import structlog

from voicebot.audio.speaking.speaker import Speaker
from voicebot.channels.phone.punctual import AT_LEAST_S, FALLBACK_S, Patience
from voicebot.core.clock import Clock
from voicebot.core.conversation import Clause

log = structlog.get_logger(__name__)

FILLER_TURN = 0
"""The turn of what is said beside the answers."""

HELD_FILLERS = 8
"""So many for something that was promised; then the caller's silence counts like any other (about 25 s)."""

PERSON_FILLERS = 30
"""So many while a person decides: one takes 3 s at least, and after 60 s a person takes over anyway."""

LOOK_S = 0.25
"""An answer that is cut lets the line fall silent sooner than was known: it is looked at so often."""


class Waiting:
    """One per call. Every method returns at once and must be called on the call's event loop.

    Args:
        speaker: says the fillers.
        filler: the n-th one of this call.
        clock: seconds.
    """

    def __init__(self, speaker: Speaker, filler: Callable[[int], Clause], clock: Clock) -> None:
        self._speaker = speaker
        self._filler = filler
        self._clock = clock
        self._said = 0
        self._patience: Patience | None = None
        self._held = False
        self._held_filler: Callable[[int], Clause] | None = None
        self._most = HELD_FILLERS
        self._before: tuple[Patience | None, bool] = (None, False)
        self._caller_speaks = False
        self._task: asyncio.Task[None] | None = None
        self._saying = False

    # --- what the call tells us -------------------------------------------------------

    def begin(self, silent_s: float = 0.0) -> None:
        """The caller's turn is over after ``silent_s`` of silence: from now on they wait for us."""
        self._caller_speaks = False
        self._before = (self._patience, self._held)
        self._held = False
        self._patience = Patience(self._clock(), silent_s=silent_s)
        self._run()

    def hold(self, filler: Callable[[int], Clause] | None = None) -> None:
        """The answer was said, and something more was promised: they wait for that.

        ``filler``: a person decides; the n-th of what is said meanwhile. Else those of every wait.
        """
        self._held = True
        self._held_filler = filler
        self._most = HELD_FILLERS if filler is None else PERSON_FILLERS
        self._patience = Patience(self._clock())
        self._run()

    def speaks(self) -> None:
        """The caller makes a sound: nobody speaks over them."""
        self._caller_speaks = True
        self._stop()

    def nothing_came(self) -> None:
        """That turn was a click: what was waited for before it is still waited for."""
        self._patience, self._held = self._before
        self.nothing_said()

    def nothing_said(self) -> None:
        """The caller's sound was nothing: the wait goes on."""
        self._caller_speaks = False
        if self._patience is None:
            self._stop()
        else:
            self._run()

    def answered(self) -> Patience:
        """The answer begins, and sees to its own silences; returns the patience that is left for it."""
        now = self._clock()
        patience = self._patience
        if patience is None or self._held:
            patience = Patience(now, silent_s=max(0.0, now - self._speaker.sounds_until_s))
        self.over()
        return patience

    def over(self) -> None:
        """Nothing is waited for any more."""
        self._patience = None
        self._before = (None, False)
        self._held = False
        self._stop()

    # --- what others ask --------------------------------------------------------------

    def next_filler(self) -> Clause:
        """A filler; never the same twice in a row."""
        self._said += 1
        filler = self._held_filler if self._held and self._held_filler is not None else self._filler
        return filler(self._said - 1)

    @property
    def saying(self) -> bool:
        """Whether what is being said is a filler."""
        return self._saying

    def may_speak(self) -> bool:
        """Whether the caller is silent."""
        return not self._caller_speaks

    def left_s(self) -> float:
        """How long a plan may take from now on."""
        if self._patience is None or self._held:
            return FALLBACK_S
        return max(AT_LEAST_S, self._patience.left_s(self._clock()))

    # --- the task ---------------------------------------------------------------------

    def _run(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep())
            self._task.add_done_callback(self._done)
        elif not self._saying:
            self._stop()
            self._run()

    def _stop(self) -> None:
        """A filler that is being said is heard to its end (or cut with everything else)."""
        if self._task is not None and not self._saying:
            task, self._task = self._task, None
            task.cancel()

    async def _keep(self) -> None:
        while (patience := self._patience) is not None and not self._caller_speaks:
            if self._held and patience.fillers >= self._most:
                return
            due = patience.next(self._speaker.sounds_until_s, self._clock(), gives_up=False)
            if due.in_s > 0:
                await asyncio.sleep(min(due.in_s, LOOK_S))
                continue
            patience.filled(self._speaker.sounds_until_s)
            self._saying = True
            try:
                await self._speaker.say(FILLER_TURN, _one(self.next_filler()))
            finally:
                self._saying = False

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("filler_failed", exc_info=error)


async def _one(clause: Clause) -> AsyncIterator[Clause]:
    yield clause
