"""What a browser call's pipeline has beside a phone call's: the page shows it, and no telephone rings."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from pipecat.frames.frames import Frame, StartFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voicebot.channels.browser import rtvi
from voicebot.channels.browser.session import BrowserSession
from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.frames import CallerVoiceFrame, EmergencyFrame, SpokenFrame
from voicebot.core.conversation import Event

TAKEN = "taken_at_desk"
"""Why the bot steps back where somebody comes after all."""


class Screen:
    """Events of a call as messages for its page. Pure; words are masked already."""

    def __init__(self) -> None:
        self._segment = 0
        self._clause: str | None = None
        self._speaks = False

    def event(self, event: Event) -> list[rtvi.Message]:
        """What somebody said, or is saying."""
        match event.type:
            case "caller.partial":
                return [rtvi.caller_said(event.data["text"], event.time.isoformat(), final=False)]
            case "turn.committed" if event.data["input"].get("kind") == "utterance":
                said = event.data["input"]["text"]
                return [rtvi.caller_said(said, event.time.isoformat(), final=True)] if said else []
            case "bot.clause":
                return self._clause_begins(event.data["text"])
            case _:
                return []

    def spoken(self, complete: bool) -> list[rtvi.Message]:
        """An answer is over; the clause that was cut stays as it began."""
        made = self._heard() if complete else []
        self._clause = None
        if self._speaks:
            made.append(rtvi.bot_speaks(False))
        self._speaks = False
        return made

    def _clause_begins(self, text: str) -> list[rtvi.Message]:
        made = self._heard()
        if not self._speaks:
            made.append(rtvi.bot_speaks(True))
        self._speaks = True
        self._segment += 1
        self._clause = text
        return [*made, rtvi.bot_says(text, self._segment, "new")]

    def _heard(self) -> list[rtvi.Message]:
        if self._clause is None:
            return []
        return [rtvi.bot_says(self._clause, self._segment, "completed")]


class Showing(FrameProcessor):
    """Keeps the page up to date; every frame passes.

    Args:
        call: whose session is a `BrowserSession`.
    """

    def __init__(self, call: PhoneCall) -> None:
        super().__init__()
        if not isinstance(call.session, BrowserSession):
            raise TypeError("Showing is for pipelines/browser.py: this call has no page")
        self._session = call.session
        self._bus = call.kit.bus
        self._screen = Screen()
        self._pump: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See Pipecat's FrameProcessor."""
        await super().process_frame(frame, direction)
        if isinstance(frame, CallerVoiceFrame):
            self._session.show(rtvi.caller_speaks(frame.speaking))
        elif isinstance(frame, SpokenFrame):
            self._show(self._screen.spoken(frame.heard.complete))
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._pump = self.create_task(self._follow())

    async def cleanup(self) -> None:
        """Ends with the pipeline."""
        if self._pump is not None:
            await self.cancel_task(self._pump)
        await super().cleanup()

    async def _follow(self) -> None:
        watching = self._bus.subscribe(self._session.conversation_id)
        try:
            async for event in watching:
                self._show(self._screen.event(event))
        finally:
            watching.close()

    def _show(self, messages: list[rtvi.Message]) -> None:
        for message in messages:
            self._session.show(message)


class NoTelephone(FrameProcessor):
    """No telephone network puts a browser through: where a failure would promise it, that is not said.

    What was said is given to a person all the same; they read it at the desk.
    """

    def __init__(self, call: PhoneCall) -> None:
        super().__init__()
        self._session = call.session

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See Pipecat's FrameProcessor."""
        await super().process_frame(frame, direction)
        if isinstance(frame, EmergencyFrame) and frame.line == "handing_over" and frame.reason != TAKEN:
            frame.line = "sorry_ended"
            if isinstance(self._session, BrowserSession):
                self._session.show(rtvi.error(f"{FAILED} ({datetime.now(UTC):%H:%M} UTC)"))
        await self.push_frame(frame, direction)


FAILED = "Something went wrong here. A colleague has what you said; please call again later"
