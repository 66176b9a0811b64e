"""The self-test's call: its documents, its scenes, and what each of them tells."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from xml.sax.saxutils import escape

from voicebot.channels.twilio import signature, wire
from voicebot.channels.twilio.probe import PREFIX, ProbeSocket
from voicebot.channels.twilio.rest import TwilioError, TwilioRefusedError
from voicebot.channels.twilio.selftest_room import in_a_room, write_room
from voicebot.channels.twilio.selftest_run import Check, Result, Run

_STEP_S = 10.0
_CALLBACKS_S = 0.5  # they come by themselves, a little later
_TONE = bytes([0x8E] * 4 + [0x0E] * 4) * 100  # 100 ms of a 1000 Hz square wave, mu-law, soft


def write_script(run: Run) -> None:
    """Every document of the call, by the path that asks for it."""
    say = "<Say>This is the self test. When I ask, press one, star and pound.</Say>"
    twiml = run.probe.twiml
    twiml["voice"] = run.stream("sound", "1", before=say)
    twiml["1"] = run.stream("action", "action-done", action=True)
    twiml["action-done"] = run.stream("redirect", "redirect-left")
    twiml["redirected"] = run.stream("keys", "3", before="<Say>Press one, star and pound now.</Say>")
    twiml["3"] = run.stream("unknown", "4")
    twiml["4"] = run.stream("refused", "5")
    run.probe.refuse.add("refused")
    twiml["5"] = run.stream("broken", "6")
    twiml["6"] = run.stream("protocol", "7")
    on = escape(run.probe.at.http(f"{PREFIX}/8"))
    twiml["7"] = f'<Response><Pause length="1" colour="green"/><Redirect>{on}</Redirect></Response>'
    write_room(run, "8")


async def scenes(run: Run) -> AsyncIterator[Check]:
    """Plays the call through, scene by scene."""
    yield _webhook_signature(run)
    for scene in _SCENES:
        async for check in scene(run):
            yield check


def _webhook_signature(run: Run) -> Check:
    seen = run.probe.of("voice")[0]
    names = ", ".join(sorted(name for name in seen.headers if "twilio" in name))
    return Check("webhook signature", "ok" if seen.signed else "differs", f"valid={seen.signed}; {names}")


async def _sound(run: Run) -> AsyncIterator[Check]:
    """Signature of the upgrade, frames, marks, clear, and what follows a proper close."""
    socket = await run.probe.socket("sound", within_s=_STEP_S)
    if socket is None:
        yield Check("media socket", "differs", "no socket, or no start, within 10 s")
        return
    yield _upgrade(run, socket)
    await socket.until("media", 100, within_s=4.0)
    yield _frames(socket)
    yield await _marks(socket)
    yield await _clear(socket)
    closed_s = time.monotonic()
    await socket.close(1000)
    asked = await run.probe.request("1", within_s=run.patience_s, since_s=closed_s)
    saw = "the next verb did not run" if asked is None else f"next verb after {asked.at_s - closed_s:.2f} s"
    events = run.stream_events(socket.stream_sid, closed_s)
    yield Check("our close (1000)", "differs" if asked is None else "ok", f"{saw}; callbacks {events}")


def _upgrade(run: Run, socket: ProbeSocket) -> Check:
    url = run.probe.at.websocket(f"{PREFIX}/media/sound")
    if socket.signed_as is None:
        over = "over the https:// address" if socket.signed_over_https else "over no address we know"
        return Check("upgrade signature", "differs", f"valid {over}")
    first = signature.upgrade_spellings(url)[0]
    spelling = "as documented" if socket.signed_as == first else "another spelling"
    extensions = socket.headers.get("sec-websocket-extensions", "none")
    return Check("upgrade signature", "ok", f"over {socket.signed_as} ({spelling}); extensions {extensions}")


def _frames(socket: ProbeSocket) -> Check:
    media = [(at_s, wire.parse(json.dumps(m))) for at_s, m in socket.of("media")]
    frames = [(at_s, m) for at_s, m in media if isinstance(m, wire.Media)]
    if not frames:
        return Check("frames", "not_tested", "no sound came in 4 s")
    lengths = sorted({len(m.ulaw) for _, m in frames})
    gaps_ms = [(b - a) * 1000 for (a, _), (b, _) in pairwise(frames)]
    steps = {b.timestamp_ms - a.timestamp_ms for (_, a), (_, b) in pairwise(frames)}
    first = frames[0][1]
    return Check(
        "frames",
        "ok",
        f"{len(frames)} frames of {lengths} bytes; first timestamp {first.timestamp_ms} ms,"
        f" chunk {first.chunk}; steps {sorted(steps)} ms; longest gap {max(gaps_ms, default=0):.0f} ms",
    )


async def _marks(socket: ProbeSocket) -> Check:
    began_s = time.monotonic()
    for n in range(20):
        await socket.media(_TONE)
        if n % 10 == 9:
            await socket.mark(f"played-{n // 10 + 1}")
    if not await socket.until("mark", 2, within_s=6.0):
        return Check("marks", "differs", "2 s of sound, but its marks did not come back within 6 s")
    back = [(m["mark"]["name"], at_s - began_s) for at_s, m in socket.of("mark")[:2]]
    text = ", ".join(f"{name} after {s:.2f} s" for name, s in back)
    in_time = [name for name, _ in back] == ["played-1", "played-2"] and back[1][1] > 1.5
    return Check("marks", "ok" if in_time else "differs", f"{text} (sent at once: 1 s and 2 s of sound)")


async def _clear(socket: ProbeSocket) -> Check:
    known = len(socket.of("mark"))
    for n in range(50):
        await socket.media(_TONE)
        if n % 10 == 9:
            await socket.mark(f"cleared-{n // 10 + 1}")
    await asyncio.sleep(0.5)
    cleared_s = time.monotonic()
    await socket.send(wire.clear(socket.stream_sid))
    await socket.mark("after-clear")
    await socket.until("mark", known + 6, within_s=6.0)
    back = [(m["mark"]["name"], at_s - cleared_s) for at_s, m in socket.of("mark")[known:]]
    text = ", ".join(f"{name} {s * 1000:.0f} ms" for name, s in back)
    names = [name for name, _ in back]
    complete = len(names) == 6 and all(s < 2.0 for _, s in back)
    return Check("clear", "ok" if complete else "differs", f"marks came back: {text or 'none'}")


async def _action(run: Run) -> AsyncIterator[Check]:
    socket = await run.probe.socket("action", within_s=_STEP_S)
    if socket is None:
        yield Check("Connect action", "not_tested", "the second stream did not come up")
        return
    opened = socket.opened_s - (run.probe.of("1")[0].at_s if run.probe.of("1") else socket.opened_s)
    closed_s = time.monotonic()
    await socket.close(1000)
    asked = await run.probe.request("action-done", within_s=run.patience_s, since_s=closed_s)
    if asked is None:
        yield Check("Connect action", "ok", "not asked (the server uses the next verb instead)")
        return
    special = sorted(set(asked.form) - _COMMON)
    yield Check(
        "Connect action",
        "ok",
        f"asked after {asked.at_s - closed_s:.2f} s, own parameters {special};"
        f" TwiML to socket {opened:.2f} s",
    )


async def _redirect(run: Run) -> AsyncIterator[Check]:
    """The call is given new TwiML by REST while its socket is open."""
    socket = await run.probe.socket("redirect", within_s=_STEP_S)
    if socket is None:
        yield Check("redirect by REST", "not_tested", "the third stream did not come up")
        return
    for _ in range(30):
        await socket.media(_TONE)
    await socket.mark("pending")
    began_s = time.monotonic()
    await run.rest.update_call(run.call_sid, url=run.probe.at.http(f"{PREFIX}/redirected"))
    order = [("REST answer", time.monotonic() - began_s)]
    asked = await run.probe.request("redirected", within_s=run.patience_s, since_s=began_s)
    await socket.until("stop", within_s=3.0)
    with suppress(TimeoutError):
        await asyncio.wait_for(socket.over.wait(), 3.0)
    later = [(m, at_s) for at_s, m in socket.messages if at_s > began_s and m["event"] != "media"]
    order += [(str(m["event"]), at_s - began_s) for m, at_s in later]
    if asked is not None:
        order.append(("new TwiML asked", asked.at_s - began_s))
    closed = socket.over.is_set()
    if closed:
        order.append((f"closed {socket.close_code}", socket.over_s - began_s))
    text = ", ".join(f"{name} {s:.2f} s" for name, s in sorted(order, key=lambda o: o[1]))
    stopped = bool(socket.of("stop"))
    fine = asked is not None and (stopped or closed)
    yield Check("redirect by REST", "ok" if fine else "differs", text)
    await socket.close()


async def _keys(run: Run) -> AsyncIterator[Check]:
    socket = await run.probe.socket("keys", within_s=_STEP_S + 5.0)
    if socket is None:
        yield Check("keys", "not_tested", "its stream did not come up")
        return
    await socket.until("dtmf", 3, within_s=min(10.0, run.patience_s))
    await asyncio.sleep(0.2)
    digits = "".join(str(m["dtmf"]["digit"]) for _, m in socket.of("dtmf"))
    result: Result = "not_tested" if not digits else "ok" if digits == "1*#" else "differs"
    yield Check("keys", result, f"came as {digits!r}" if digits else "nobody pressed 1, star and pound")
    await socket.close()


async def _unknown(run: Run) -> AsyncIterator[Check]:
    """A message Twilio does not know: does the stream survive?"""
    socket = await run.probe.socket("unknown", within_s=_STEP_S)
    if socket is None:
        yield Check("unknown message", "not_tested", "its stream did not come up")
        return
    began_s = time.monotonic()
    await socket.send('{"event":"selftest","streamSid":"' + socket.stream_sid + '"}')
    await socket.mark("still-there")
    alive = await socket.until("mark", within_s=2.0)
    events = run.stream_events(socket.stream_sid, began_s)
    yield Check("unknown message", "ok", f"stream lives on: {alive}; callbacks {events}")
    pong_s = await socket.ping(within_s=2.0)
    yield Check("ping", "ok", "no pong in 2 s" if pong_s is None else f"pong after {pong_s * 1000:.0f} ms")
    await socket.close()


async def _refused(run: Run) -> AsyncIterator[Check]:
    """We answer the upgrade with 403."""
    began_s = time.monotonic()
    if not await run.probe.upgrade_refused("refused", within_s=_STEP_S):
        yield Check("refused upgrade", "not_tested", "the upgrade was not asked for")
        return
    asked = await run.probe.request("5", within_s=run.patience_s, since_s=began_s)
    tries = len(run.probe.refused_upgrades)
    yield await _aftermath(run, "refused upgrade", "5", began_s, asked is not None, f"upgrades asked {tries}")


async def _broken(run: Run) -> AsyncIterator[Check]:
    """The connection dies without a close frame."""
    socket = await run.probe.socket("broken", within_s=_STEP_S)
    if socket is None:
        yield Check("broken socket", "not_tested", "its stream did not come up")
        return
    began_s = time.monotonic()
    socket.cut()
    asked = await run.probe.request("6", within_s=run.patience_s, since_s=began_s)
    yield await _aftermath(run, "broken socket", "6", began_s, asked is not None, "")


async def _protocol_error(run: Run) -> AsyncIterator[Check]:
    """We break the WebSocket protocol itself."""
    socket = await run.probe.socket("protocol", within_s=_STEP_S)
    if socket is None:
        yield Check("protocol error", "not_tested", "its stream did not come up")
        return
    began_s = time.monotonic()
    socket.break_protocol()
    asked = await run.probe.request("7", within_s=run.patience_s, since_s=began_s)
    closed = f"socket closed: {socket.over.is_set()}, code {socket.close_code}"
    yield await _aftermath(run, "protocol error", "7", began_s, asked is not None, closed)


async def _unknown_attribute(run: Run) -> AsyncIterator[Check]:
    """TwiML with an attribute that does not exist (12200, a warning)."""
    asked = await run.probe.request("8", within_s=run.patience_s)
    yield Check("unknown attribute", "ok", f"the call goes on: {asked is not None}")


async def _aftermath(run: Run, name: str, path: str, began_s: float, went_on: bool, more: str) -> Check:
    """After a stream that failed: did Twilio go on by itself? If not, the call is pushed on by REST."""
    await asyncio.sleep(_CALLBACKS_S)
    events = ", ".join(run.stream_events("", began_s)) or "none"
    detail = f"callbacks: {events}{'; ' if more else ''}{more}"
    if went_on:
        after = run.probe.of(path, began_s)[0].at_s - began_s
        return Check(name, "ok", f"the next verb ran after {after:.2f} s; {detail}")
    try:
        call = await run.rest.call(run.call_sid)
        if call.over:
            return Check(name, "differs", f"the call ended ({call.status}); {detail}")
        await run.rest.update_call(run.call_sid, url=run.probe.at.http(f"{PREFIX}/{path}"))
    except TwilioError as error:
        return Check(name, "differs", f"silence for {run.patience_s:.0f} s, and REST: {error}; {detail}")
    pushed = await run.probe.request(path, within_s=_STEP_S, since_s=began_s)
    saw = f"silence for {run.patience_s:.0f} s, then our REST update {'worked' if pushed else 'did nothing'}"
    return Check(name, "ok" if pushed else "differs", f"{saw}; {detail}")


async def _ending(run: Run) -> AsyncIterator[Check]:
    """The end by REST, its callbacks, and a second end."""
    began_s = time.monotonic()
    try:
        await run.rest.update_call(run.call_sid, status="completed")
    except TwilioError as error:
        yield Check("ending by REST", "differs", str(error))
        return
    done = await run.probe.request("status", within_s=run.patience_s, since_s=began_s)
    after = f"after {done.at_s - began_s:.2f} s" if done is not None else "none (not set, or late)"
    yield Check("ending by REST", "ok", f"status callback {after}")
    sequence = [s.form.get("SequenceNumber", "?") for s in run.probe.of("status")]
    yield Check("status callbacks", "ok", f"sequence numbers in order of arrival: {sequence}")
    try:
        await run.rest.update_call(run.call_sid, status="completed")
        yield Check("ending twice", "ok", "Twilio answers with success")
    except TwilioRefusedError as error:
        fine = error.call_is_over
        yield Check(
            "ending twice", "ok" if fine else "differs", f"Twilio answers {error.status}, {error.code}"
        )
    yield await _notices(run)
    run.call_sid = ""


async def _notices(run: Run) -> Check:
    try:
        codes = await run.rest.notices(run.call_sid)
    except TwilioError as error:
        return Check("notices", "not_tested", f"not to be had: {error}")
    return Check("notices", "ok", f"Twilio noted {sorted(set(codes)) or 'nothing'} (31921: our 1000 close)")


_SCENES = (
    _sound,
    _action,
    _redirect,
    _keys,
    _unknown,
    _refused,
    _broken,
    _protocol_error,
    _unknown_attribute,
    in_a_room,
    _ending,
)

_PLACES = {
    f"{who}{what}"
    for who in ("From", "To", "Caller", "Called")
    for what in ("", "City", "State", "Zip", "Country")
}
_COMMON = _PLACES | {
    "CallSid",
    "AccountSid",
    "CallStatus",
    "ApiVersion",
    "Direction",
    "CallerName",
    "CallToken",
    "ForwardedFrom",
    "ParentCallSid",
    "StirVerstat",
}
