"""Conferences and their participants in Twilio's REST API.

Shapes and parameters: twilio-oai ``twilio_api_v2010.json``; refusals: twilio.com/docs/api/errors. Not
promised by any document: 20001 for values that cannot be read, 16020 and 16025 as answers to REST.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from .account import E164, RestError, not_found, page
from .call import LocalCall
from .callbacks import StatusTarget
from .conference import Conference, NotJoined
from .formats import API_VERSION, rfc2822
from .forms import Form, events_of, flag, form_of, jump_of, seconds
from .reading import TwimlError
from .twiml_legs import BEEPS, EVENTS, MAX_PARTICIPANTS, check_label
from .verbs import HOLD_MUSIC, ConferenceRoom, Dial, Document

if TYPE_CHECKING:
    from .exchange import LocalTwilio


def add_conferences(app: FastAPI, twilio: LocalTwilio) -> None:
    """Adds ``Conferences`` and ``Participants`` to the API."""
    base = f"/{API_VERSION}/Accounts/{{account}}/Conferences"
    seats = f"{base}/{{room}}/Participants"

    @app.get(f"{base}.json")
    async def list_conferences(account: str, request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        wanted = request.query_params
        found = [
            conference_json(c, account)
            for c in reversed(twilio.conferences)
            if wanted.get("FriendlyName", c.friendly_name) == c.friendly_name
            and wanted.get("Status", c.room.status) == c.room.status
        ]
        return JSONResponse(page(request.url.path, "conferences", found))

    @app.get(f"{base}/{{room}}.json")
    async def fetch_conference(account: str, room: str) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse(conference_json(_any(twilio, room), account))

    @app.post(f"{base}/{{room}}.json")
    async def update_conference(  # pyright: ignore[reportUnusedFunction]
        account: str, room: str, request: Request
    ) -> JSONResponse:
        conference = _running(twilio, room)
        form = await form_of(request)
        status = form.get("Status")
        if status is not None and status != "completed":
            raise RestError(400, 20001, f"Status {status}: completed")
        announce = jump_of(form, "Announce", code=21205)
        if announce is not None:
            conference.announce(announce, None)
        if status is not None:
            conference.end()
        return JSONResponse(conference_json(conference, account))

    @app.get(f"{seats}.json")
    async def list_participants(  # pyright: ignore[reportUnusedFunction]
        account: str, room: str, request: Request
    ) -> JSONResponse:
        conference = _any(twilio, room)
        wanted = request.query_params
        found = [
            participant_json(conference, call, account)
            for call in _legs(conference)
            if all(
                wanted.get(name)
                in (None, str(getattr(conference.room.seats.get(call.call_sid), key, False)).lower())
                for name, key in (("Muted", "muted"), ("Hold", "hold"))
            )
        ]
        return JSONResponse(page(request.url.path, "participants", found))

    @app.post(f"{seats}.json")
    async def add_participant(  # pyright: ignore[reportUnusedFunction]
        account: str, room: str, request: Request
    ) -> JSONResponse:
        call, conference = _invite(twilio, room, await form_of(request), await request.form())
        return JSONResponse(participant_json(conference, call, account), status_code=201)

    @app.get(f"{seats}/{{who}}.json")
    async def fetch_participant(  # pyright: ignore[reportUnusedFunction]
        account: str, room: str, who: str
    ) -> JSONResponse:
        conference, call = _participant(twilio, room, who)
        return JSONResponse(participant_json(conference, call, account))

    @app.post(f"{seats}/{{who}}.json")
    async def update_participant(  # pyright: ignore[reportUnusedFunction]
        account: str, room: str, who: str, request: Request
    ) -> JSONResponse:
        conference, call = _participant(twilio, room, who)
        form = await form_of(request)
        call.log.add("rest", form=form)
        _change(conference, call, form)
        return JSONResponse(participant_json(conference, call, account))

    @app.delete(f"{seats}/{{who}}.json")
    async def remove_participant(  # pyright: ignore[reportUnusedFunction]
        account: str, room: str, who: str
    ) -> Response:
        conference, call = _participant(twilio, room, who)
        if call.call_sid in conference.participants:
            conference.leave(
                call.call_sid, "participant_updated_via_api", call_status=call.status, kicked=True
            )
        else:
            call.complete()
        return Response(status_code=204)


def _any(twilio: LocalTwilio, room: str) -> Conference:
    named = [c for c in twilio.conferences if room in (c.sid, c.friendly_name)]
    if not named:
        raise not_found(f"/{API_VERSION}/Accounts/{twilio.account_sid}/Conferences/{room}.json")
    return named[-1]


def _running(twilio: LocalTwilio, room: str) -> Conference:
    conference = _any(twilio, room)
    if conference.over:
        raise not_found(f"/{API_VERSION}/Accounts/{twilio.account_sid}/Conferences/{room}.json")
    return conference


def _legs(conference: Conference) -> list[LocalCall]:
    """Who is in the conference or on the way into it; nobody once it is over."""
    if conference.over:
        return []
    inside = [participant.call for participant in conference.participants.values()]
    return inside + [call for call, _ in conference.invited.values()]


def _participant(twilio: LocalTwilio, room: str, who: str) -> tuple[Conference, LocalCall]:
    conference = _any(twilio, room)
    for call in _legs(conference):
        if who in (call.call_sid, _label(conference, call)):
            return conference, call
    raise not_found(
        f"/{API_VERSION}/Accounts/{twilio.account_sid}/Conferences/{room}/Participants/{who}.json"
    )


def _label(conference: Conference, call: LocalCall) -> str | None:
    seat = conference.room.seats.get(call.call_sid)
    invited = conference.invited.get(call.call_sid)
    return (seat.label if seat is not None else invited[1].label if invited is not None else "") or None


def _change(conference: Conference, call: LocalCall, form: Form) -> None:
    sid = call.call_sid
    if sid not in conference.participants:
        raise RestError(400, 20001, "The participant has not joined the conference")
    announce = jump_of(form, "Announce", code=21205)
    hold = flag(form, "Hold")
    if hold:
        conference.hold(sid, jump_of(form, "Hold", code=21205, method="GET", absent=HOLD_MUSIC))
    coaching: str | Literal[False] | None = None
    if "Coaching" in form or "CallSidToCoach" in form:
        coaching = _coached(conference, form) or False
    conference.update(
        sid,
        muted=flag(form, "Muted"),
        hold=hold,
        end_on_exit=flag(form, "EndConferenceOnExit"),
        coaching=coaching,
    )
    if announce is not None:
        conference.announce(announce, sid)


def _coached(conference: Conference | None, form: Form) -> str | None:
    if flag(form, "Coaching") is False:
        return None
    to = form.get("CallSidToCoach")
    seat = conference.room.seats.get(to) if conference is not None and to else None
    if seat is None:
        raise RestError(400, 16028, "Participant to be whispered is not present in the conference")
    if seat.hold:
        raise RestError(400, 16027, "Participant to be coached is on hold")
    return seat.call_sid


def _invite(twilio: LocalTwilio, room: str, form: Form, raw: Any) -> tuple[LocalCall, Conference]:
    to, from_ = form.get("To", ""), form.get("From", "")
    if not to:
        raise RestError(400, 21201, "No 'To' number is specified")
    if not E164.match(to):
        raise RestError(400, 21211, f"The 'To' number {to} is not a valid phone number.")
    if not from_:
        raise RestError(400, 21213, "'From' phone number is required")
    if from_ not in twilio.numbers:
        raise RestError(400, 21210, f"Source number is not yet verified: {from_}")
    conference = next(
        (c for c in twilio.conferences if room in (c.sid, c.friendly_name) and not c.over), None
    )
    if conference is None and room.startswith("CF") and len(room) == 34:
        raise not_found(f"/{API_VERSION}/Accounts/{twilio.account_sid}/Conferences/{room}.json")
    name = room if conference is None else conference.friendly_name
    spec = _spec(name, form, raw, conference)
    ring_s = seconds(form, "Timeout", 60, 5, 600) * twilio.options.second_s
    limit_s = seconds(form, "TimeLimit", 14400, 1, 86400) * twilio.options.second_s
    target = None
    if form.get("StatusCallback"):
        asked = tuple(word for v in raw.getlist("StatusCallbackEvent") for word in str(v).split())
        to_tell = jump_of(form, "StatusCallback", code=21609, whole=True)
        assert to_tell is not None
        target = StatusTarget(to_tell, asked or ("completed",))
    if conference is None:
        conference = twilio.open_conference(name)
    try:
        conference.check("", spec)
    except NotJoined as refused:
        raise RestError(400, refused.code, str(refused)) from refused
    person = twilio.person(to)
    call = LocalCall(
        twilio, direction="outbound-api", from_=from_, to=to, ear=person.ear(), target=target
    )  # fmt: skip
    conference.invited[call.call_sid] = (call, spec)
    document = Document("", (Dial(numbers=(), action=None, room=spec),))
    call.begin(document, person=person, ring_s=ring_s, dialled_for=name, limit_s=limit_s)
    return call, conference


def _spec(name: str, form: Form, raw: Any, conference: Conference | None) -> ConferenceRoom:
    try:
        label = check_label(form.get("Label", ""))
    except TwimlError as error:
        raise RestError(400, error.code, error.reason) from error
    beep = form.get("Beep", "true")
    if beep not in BEEPS:
        raise RestError(400, 20001, f"Beep {beep}: one of {', '.join(BEEPS)}")
    wait = HOLD_MUSIC
    if "WaitUrl" in form:
        wait = jump_of(form, "Wait", code=21205) if form["WaitUrl"] else None
    return ConferenceRoom(
        name=name,
        label=label,
        muted=flag(form, "Muted") or False,
        beep=beep,
        start_on_enter=flag(form, "StartConferenceOnEnter") is not False,
        end_on_exit=flag(form, "EndConferenceOnExit") or False,
        wait=wait,
        max_participants=int(seconds(form, "MaxParticipants", MAX_PARTICIPANTS, 1, MAX_PARTICIPANTS)),
        coach=_coached(conference, form) if "Coaching" in form or "CallSidToCoach" in form else None,
        record=form.get("ConferenceRecord") in ("true", "record-from-start"),
        recording_callback=jump_of(form, "ConferenceRecordingStatusCallback", code=21609, whole=True),
        status_callback=jump_of(form, "ConferenceStatusCallback", code=21609, whole=True),
        status_events=events_of(raw, "ConferenceStatusCallbackEvent", EVENTS, ("start", "end")),
    )


def conference_json(conference: Conference, account_sid: str) -> dict[str, Any]:
    """A conference as REST shows it."""
    uri = f"/{API_VERSION}/Accounts/{account_sid}/Conferences/{conference.sid}"
    return {
        "account_sid": account_sid,
        "api_version": API_VERSION,
        "call_sid_ending_conference": conference.room.ended_by,
        "date_created": rfc2822(conference.created),
        "date_updated": rfc2822(conference.updated),
        "friendly_name": conference.friendly_name,
        "reason_conference_ended": conference.room.ended_because,
        "region": "us1",
        "sid": conference.sid,
        "status": conference.room.status,
        "subresource_uris": {
            "participants": f"{uri}/Participants.json",
            "recordings": f"{uri}/Recordings.json",
        },
        "uri": f"{uri}.json",
    }


def participant_json(conference: Conference, call: LocalCall, account_sid: str) -> dict[str, Any]:
    """A participant as REST shows it; also one whose phone still rings."""
    seat = conference.room.seats.get(call.call_sid)
    spec = conference.invited[call.call_sid][1] if call.call_sid in conference.invited else None
    uri = f"/{API_VERSION}/Accounts/{account_sid}/Conferences/{conference.sid}/Participants/{call.call_sid}"
    status = {
        "queued": "queued",
        "initiated": "connecting",
        "ringing": "ringing",
        "in-progress": "connecting",
    }
    return {
        "account_sid": account_sid,
        "call_sid": call.call_sid,
        "call_sid_to_coach": seat.coaching if seat else spec.coach if spec else None,
        "coaching": bool(seat.coaching if seat else spec and spec.coach),
        "conference_sid": conference.sid,
        "date_created": rfc2822(call.created),
        "date_updated": rfc2822(conference.updated),
        "end_conference_on_exit": seat.end_on_exit if seat else bool(spec and spec.end_on_exit),
        "hold": bool(seat and seat.hold),
        "label": _label(conference, call),
        "muted": seat.muted if seat else bool(spec and spec.muted),
        "queue_time": "0",
        "start_conference_on_enter": seat.start_on_enter if seat else bool(spec and spec.start_on_enter),
        "status": "connected" if seat else status.get(call.status, "failed"),
        "uri": f"{uri}.json",
    }
