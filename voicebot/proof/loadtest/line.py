"""One telephone line of a run: call after call, each by a script, and what it was like."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from voicebot.proof.simulation.call import LocalCall
from voicebot.proof.simulation.caller import BotBegan, CallerEvent, SyntheticCaller
from voicebot.proof.simulation.exchange import LocalTwilio
from voicebot.proof.simulation.stream import UNDERRUN_MS

from .hearing import Gap, HeardCall, SaidLine, heard_turns, speech_ms
from .preparing import Caller

BETWEEN_S = 1.0
"""From one call of a line to the next."""
REDIAL_S = 5.0
"""The same when the last one was not taken."""
FORWARDED_S = 3.0
"""A caller who is given to somebody else listens for so long, then hangs up."""
_SETTLE_S = 5.0

Tell = Callable[[float], None]
"""Gets the latency of each turn as it is heard (right to a frame), for a display."""


class PhoneLine:
    """Phones by the clock of its exchange until ``over`` is set.

    Args:
        exchange: whose calls.
        voice_url, status_url: the server's webhooks.
        callers: whom it may be.
        turns_of: indices of ``callers``, one per call, repeated when they are used up.
        number: of the caller.
        tell: see ``Tell``.
        keep: gets every call when it is over.
    """

    def __init__(
        self, exchange: LocalTwilio, *, voice_url: str, status_url: str, callers: Sequence[Caller],
        turns_of: Sequence[int], number: str, tell: Tell, keep: Callable[[HeardCall], None],
    ) -> None:  # fmt: skip
        self._exchange = exchange
        self._voice_url = voice_url
        self._status_url = status_url
        self._callers = callers
        self._turns_of = turns_of
        self._number = number
        self._tell = tell
        self._keep = keep
        self.call: LocalCall | None = None

    async def run(self, begin_s: float, over: asyncio.Event) -> None:
        """Calls from ``begin_s`` (monotonic) on, until ``over``; the call that runs then is hung up."""
        await _sleep(begin_s - time.monotonic(), over)
        nth = 0
        while not over.is_set():
            caller = self._callers[self._turns_of[nth % len(self._turns_of)]]
            nth += 1
            heard = await self._one(caller, over)
            self._keep(heard)
            taken = heard.outcome in {"served", "handed_over"}
            await _sleep(BETWEEN_S if taken else REDIAL_S, over)

    async def _one(self, caller: Caller, over: asyncio.Event) -> HeardCall:
        synthetic = SyntheticCaller(
            caller.script, caller.lines, self._heard, deaf=True, background=caller.background
        )
        call = await self._exchange.phone(
            self._voice_url, ear=synthetic, from_=self._number, status_callback=self._status_url
        )
        self.call = call
        synthetic.hold(call)
        given_away = asyncio.create_task(_given_away(call))
        hang_up = asyncio.create_task(over.wait())
        ended = asyncio.create_task(call.wait_ended())
        try:
            await asyncio.wait({given_away, hang_up, ended}, return_when=asyncio.FIRST_COMPLETED)
            away_ms = given_away.result() if given_away.done() and not given_away.cancelled() else None
            if away_ms is not None and not hang_up.done() and not ended.done():
                await _sleep(FORWARDED_S, over)
            call.hang_up()
            await ended
            await call.settle(_SETTLE_S)
        finally:
            for task in (given_away, hang_up):
                task.cancel()
            await asyncio.gather(given_away, hang_up, return_exceptions=True)
        self._exchange.forget(call)
        for leg in self._exchange.legs_of(call):
            self._exchange.forget(leg)
        return await asyncio.to_thread(_judged, caller, call, synthetic, away_ms)

    def _heard(self, event: CallerEvent) -> None:
        if isinstance(event, BotBegan) and event.latency_ms is not None and event.latency_ms >= 0:
            self._tell(event.latency_ms)


async def _sleep(seconds: float, over: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await over.wait()
    except TimeoutError:
        return


async def _given_away(call: LocalCall) -> float | None:
    """When the call was given to somebody else than the bot; waits for it."""
    entry = await call.log.wait("verb", timeout_s=24 * 3600, name="Dial")
    return entry.at_ms


def _judged(caller: Caller, call: LocalCall, synthetic: SyntheticCaller, away_ms: float | None) -> HeardCall:
    """What the call was like; some milliseconds of numpy, so not on the loop."""
    log, began_s = call.log, call.line.began_s
    heard = bytes(call.recording.heard)
    length_ms = len(heard) / 8
    over_ms = min(length_ms, away_ms if away_ms is not None else length_ms)
    said = _said(synthetic, _murmurs(caller), length_ms)
    taken = bool(log.of("stream", event="start"))
    outcome = _outcome(call, taken=taken, away=away_ms is not None)
    asked = log.of("webhook", purpose="twiml")
    answered = log.of("answer", purpose="twiml")
    bot_ms = over_ms if taken else 0.0
    return HeardCall(
        caller=caller.name,
        voice=caller.voice,
        call_sid=call.call_sid,
        began_s=began_s,
        ended_s=began_s + length_ms / 1000,
        outcome=outcome,
        status=call.status,
        answer_ms=answered[0].at_ms - asked[0].at_ms if asked and answered else None,
        first_sound_ms=_first_sound(heard, asked[0].at_ms if asked else 0.0),
        speech_ms=speech_ms(heard[: int(bot_ms * 8)]),
        waited_ms=_waited(call, length_ms),
        turns=tuple(heard_turns(heard, said, began_s=began_s, over_ms=over_ms)) if taken else (),
        gaps=tuple(Gap(began_s + e.at_ms / 1000, e.data["ms"]) for e in log.of("underrun")),
        leads_ms=_leads(call),
        said=tuple(line.text for line in said if line.whole and line.text and not line.murmur),
        violations=tuple(str(v).partition(" (at ")[0] for v in call.violations),
        errors=tuple(n.code for n in call.notifications if n.level == "error"),
    )


def _murmurs(caller: Caller) -> frozenset[str]:
    """Words that are murmured into answers."""
    names = {name for step in caller.script.steps if step.murmur for name in step.murmur.say}
    return frozenset(caller.lines[name].text for name in names)


def _said(synthetic: SyntheticCaller, murmurs: frozenset[str], length_ms: float) -> list[SaidLine]:
    return [
        SaidLine(
            said.text,
            said.start_ms,
            said.end_ms,
            keys=said.keys is not None,
            murmur=said.text in murmurs,
            whole=said.end_ms <= length_ms,
        )
        for said in synthetic.said
    ]


def _outcome(call: LocalCall, *, taken: bool, away: bool) -> str:
    if taken:
        return "handed_over" if away else "served"
    documents = call.log.of("twiml")
    if not documents:
        return "failed" if call.notifications else "hung_up"
    first = documents[0].data["body"]
    if "<Connect" in first:
        # the caller may have gone before the socket was up
        return "failed" if any(n.level == "error" for n in call.notifications) else "served"
    if call.status == "busy" or "<Reject" in first:
        return "busy"
    if waits(first):
        return "queued"
    return "forwarded" if "<Dial" in first else "hung_up"


def waits(document: str) -> bool:
    """Whether TwiML keeps the caller on hold: in a room or a queue, or with sound and the question again."""
    played = "<Play" in document and "<Redirect" in document
    return "<Conference" in document or "<Enqueue" in document or (played and "<Dial" not in document)


def _waited(call: LocalCall, length_ms: float) -> float | None:
    documents = call.log.of("twiml")
    if not documents or not waits(documents[0].data["body"]):
        return None
    taken = next((d.at_ms for d in documents if "<Connect" in d.data["body"]), length_ms)
    return round(taken - documents[0].at_ms, 1)


def _first_sound(heard: bytes, since_ms: float) -> float | None:
    quiet = heard.lstrip(b"\xff")
    return len(heard[: len(heard) - len(quiet)]) / 8 - since_ms if quiet else None


def _leads(call: LocalCall) -> tuple[float, ...]:
    """How much was waiting whenever sound arrived; negative: so late it was."""
    found: list[float] = []
    for entry in call.log.of("received", event="media"):
        queued, dry = entry.data["queued_ms"], entry.data["dry_ms"]
        if queued > 0:
            found.append(round(queued, 1))
        elif dry is not None and 0 < dry <= UNDERRUN_MS:
            found.append(-dry)
    return tuple(found)
