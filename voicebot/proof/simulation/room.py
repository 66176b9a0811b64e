"""A conference's rules: who is in it, who hears whom, when it begins and ends, what is told of it. Pure.

Sources: twilio.com/docs/voice/twiml/conference and docs/voice/api/conference-participant-resource.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

LeftBecause = Literal[
    "conference_ended_via_api",
    "moderator_ended_conference",
    "participant_updated_via_api",
    "participant_hung_up",
    "participant_add_failed",
]
EndedBecause = Literal[
    "conference-ended-via-api",
    "participant-with-end-conference-on-exit-left",
    "participant-with-end-conference-on-exit-kicked",
    "last-participant-kicked",
    "last-participant-left",
]
_GROUP = {
    "conference-start": "start", "conference-end": "end", "participant-join": "join",
    "participant-leave": "leave", "participant-mute": "mute", "participant-unmute": "mute",
    "participant-hold": "hold", "participant-unhold": "hold", "participant-modify": "modify",
    "announcement-end": "announcement", "announcement-fail": "announcement",
}  # fmt: skip


@dataclass(frozen=True)
class Seat:
    """How a participant takes part. ``coaching``: the CallSid of the only one that hears it."""

    call_sid: str
    label: str = ""
    muted: bool = False
    hold: bool = False
    coaching: str | None = None
    start_on_enter: bool = True
    end_on_exit: bool = False

    def form(self) -> dict[str, str]:
        """As callbacks show it."""
        form = {
            "CallSid": self.call_sid,
            "Muted": _flag(self.muted),
            "Hold": _flag(self.hold),
            "Coaching": _flag(self.coaching is not None),
            "StartConferenceOnEnter": _flag(self.start_on_enter),
            "EndConferenceOnExit": _flag(self.end_on_exit),
        }
        if self.label:
            form["ParticipantLabel"] = self.label
        if self.coaching is not None:
            form["CallSidToCoach"] = self.coaching
        return form


@dataclass(frozen=True)
class RoomEvent:
    """Something that is told to the status callback, if its ``group`` was asked for."""

    name: str
    number: int
    """``SequenceNumber``: counts every event of the room from 1, also those nobody asked for."""
    form: dict[str, str]

    @property
    def group(self) -> str:
        """The word of ``statusCallbackEvent`` that asks for it."""
        return _GROUP[self.name]


@dataclass
class Room:
    """The state of one conference. Each change returns what is told of it, in order."""

    status: Literal["init", "in-progress", "completed"] = "init"
    seats: dict[str, Seat] = field(default_factory=dict[str, Seat])
    ended_because: EndedBecause | None = None
    ended_by: str | None = None
    _told: int = 0

    def find(self, sid_or_label: str) -> Seat | None:
        """A participant by CallSid or label."""
        found = self.seats.get(sid_or_label)
        return found or next((s for s in self.seats.values() if s.label and s.label == sid_or_label), None)

    def hears(self, listener: str, speaker: str) -> bool:
        """Whether the one hears the other, by CallSids.

        On hold nobody hears you and you hear music; muted you hear everybody; a coach is heard by the coached
        alone.
        """
        ear, mouth = self.seats.get(listener), self.seats.get(speaker)
        if self.status != "in-progress" or ear is None or mouth is None or ear is mouth:
            return False
        if ear.hold or mouth.hold or mouth.muted:
            return False
        return mouth.coaching is None or mouth.coaching == listener

    def is_recorded(self, speaker: str) -> bool:
        """Whether a recording of the room has what they say; a coach is not in it."""
        mouth = self.seats.get(speaker)
        if self.status != "in-progress" or mouth is None:
            return False
        return not (mouth.hold or mouth.muted or mouth.coaching)

    @property
    def waits(self) -> bool:
        """Whether who is here hears the music of ``waitUrl``."""
        return self.status == "init"

    def join(self, seat: Seat) -> list[RoomEvent]:
        """Somebody comes in. The room starts with two, of whom one may start it."""
        self.seats[seat.call_sid] = seat
        events = [self._tell("participant-join", seat.form())]
        if (
            self.status == "init"
            and len(self.seats) >= 2
            and any(seat.start_on_enter for seat in self.seats.values())
        ):
            self.status = "in-progress"
            events.append(self._tell("conference-start", {}))
        return events

    def leave(
        self, call_sid: str, why: LeftBecause, *, call_status: str = "completed", kicked: bool = False
    ) -> list[RoomEvent]:
        """Somebody goes; with them the room, if it was theirs to end or nobody is left."""
        seat = self.seats.pop(call_sid, None)
        if seat is None:
            return []
        left = seat.form() | {"ReasonParticipantLeft": why, "ParticipantCallStatus": call_status}
        events = [self._tell("participant-leave", left)]
        if self.status == "completed":
            return events
        because: EndedBecause | None = None
        if seat.end_on_exit:
            because = "participant-with-end-conference-on-exit-left"
            if kicked:
                because = "participant-with-end-conference-on-exit-kicked"
        elif not self.seats:
            because = "last-participant-kicked" if kicked else "last-participant-left"
        return events if because is None else events + self.end(because, seat)

    def end(
        self,
        because: EndedBecause,
        by: Seat | None = None,
        *,
        others: LeftBecause = "moderator_ended_conference",
    ) -> list[RoomEvent]:
        """The room is over, and whoever is still in it is out."""
        if self.status == "completed":
            return []
        self.status = "completed"
        self.ended_because, self.ended_by = because, by.call_sid if by else None
        events: list[RoomEvent] = []
        for call_sid in list(self.seats):
            events += self.leave(call_sid, others, call_status="in-progress")
        form: dict[str, str] = {"ReasonConferenceEnded": because, "Reason": _sentence(because, by)}
        if by is not None:
            form["CallSidEndingConference"] = by.call_sid
            if by.label:
                form["ParticipantLabelEndingConference"] = by.label
        return [*events, self._tell("conference-end", form)]

    def update(
        self, call_sid: str, *, muted: bool | None = None, hold: bool | None = None,
        end_on_exit: bool | None = None, coaching: str | Literal[False] | None = None,
    ) -> list[RoomEvent]:  # fmt: skip
        """REST changes a participant; ``coaching`` False: no coach any more. Only what changed is told."""
        before = self.seats[call_sid]
        after = replace(
            before,
            muted=before.muted if muted is None else muted,
            hold=before.hold if hold is None else hold,
            end_on_exit=before.end_on_exit if end_on_exit is None else end_on_exit,
            coaching=before.coaching if coaching is None else (coaching or None),
        )
        self.seats[call_sid] = after
        events: list[RoomEvent] = []
        if after.muted != before.muted:
            name = "participant-mute" if after.muted else "participant-unmute"
            events.append(self._tell(name, after.form()))
        if after.hold != before.hold:
            name = "participant-hold" if after.hold else "participant-unhold"
            events.append(self._tell(name, after.form()))
        if (after.end_on_exit, after.coaching) != (before.end_on_exit, before.coaching):
            events.append(self._tell("participant-modify", after.form()))
        return events

    def announced(self, *, failed: bool, url: str, call_sid: str | None) -> RoomEvent:
        """An announcement was played, to one participant or to all, or could not be."""
        form = {"AnnounceUrl": url}
        if call_sid is not None and call_sid in self.seats:
            form |= self.seats[call_sid].form()
        if failed:
            form["ReasonAnnouncementFailed"] = "the announcement could not be played"
        return self._tell("announcement-fail" if failed else "announcement-end", form)

    def add_failed(self, seat: Seat, call_status: str) -> RoomEvent:
        """A leg that REST dialled for the room never came into it."""
        form = {"ReasonParticipantLeft": "participant_add_failed", "ParticipantCallStatus": call_status}
        return self._tell("participant-leave", seat.form() | form)

    def _tell(self, name: str, form: dict[str, str]) -> RoomEvent:
        self._told += 1
        return RoomEvent(name, self._told, form)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _sentence(because: EndedBecause, by: Seat | None) -> str:
    who = f"Participant {by.label or by.call_sid}" if by is not None else "A REST request"
    return f"{who} ended the conference: {because}"
