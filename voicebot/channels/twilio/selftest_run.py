"""One run of the self-test, and what each of its points says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

from voicebot.channels.twilio.probe import PREFIX, Probe
from voicebot.channels.twilio.rest import TwilioRest

Result = Literal["ok", "differs", "not_tested"]


@dataclass(frozen=True, slots=True)
class Check:
    """One point: what was seen, and whether the server can live with it."""

    name: str
    result: Result
    saw: str

    @property
    def ok(self) -> bool:
        """False only if the server relies on something else."""
        return self.result != "differs"

    def line(self) -> str:
        """For a person to read."""
        return f"{self.result.replace('_', ' '):<10} {self.name}: {self.saw}"


@dataclass
class Run:
    """One self-test: its server, its account, its call."""

    probe: Probe
    rest: TwilioRest
    patience_s: float
    call_sid: str = ""

    def stream(self, scene: str, then: str, *, before: str = "", action: bool = False) -> str:
        """A document that opens the scene's stream, and asks ``then`` afterwards."""
        at = self.probe.at
        url = at.websocket(f"{PREFIX}/media/{scene}")
        callback = at.http(f"{PREFIX}/stream-status")
        following = at.http(f"{PREFIX}/{then}")
        with_action = f' action="{escape(following)}" method="POST"' if action else ""
        after = "" if action else f"<Redirect>{escape(following)}</Redirect>"
        return (
            f"<Response>{before}<Connect{with_action}>"
            f'<Stream url="{escape(url)}" name="{scene}" statusCallback="{escape(callback)}"/>'
            f"</Connect>{after}</Response>"
        )

    def stream_events(self, sid: str, since_s: float) -> list[str]:
        """Stream callbacks about a stream (or without one) since a moment."""
        found = self.probe.of("stream-status", since_s)
        return [stream_event(s.form) for s in found if not sid or s.form.get("StreamSid") in {sid, None}]


def stream_event(form: dict[str, str]) -> str:
    """What a stream callback says happened."""
    error = form.get("StreamError", "")
    return form.get("StreamEvent", "?") + (f" ({error})" if error else "")
