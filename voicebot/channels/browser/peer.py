"""One browser at the other end of a WebRTC connection: sound both ways, messages both ways, no business.

aiortc carries DTLS, SRTP, ICE and SCTP. Its audio path is not used: its receive buffer holds four and,
after the first lost one, sixteen for good (300 ms of delay); its sender encodes stereo at 48 kHz. So received
packets are taken before that buffer, and the track hands over packets that are encoded already. Pipecat's
SmallWebRTCConnection is not used either: it sits on that same audio path, passes samples as frames, and takes
silence on the data channel for the end of the connection.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import structlog
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket
from aiortc.sdp import candidate_from_sdp
from aiortc.stats import (
    RTCInboundRtpStreamStats,
    RTCRemoteInboundRtpStreamStats,
    RTCTransportStats,
)

from voicebot.channels.browser import ice
from voicebot.channels.browser.ice import IceServer
from voicebot.channels.browser.incoming import Frame, Incoming
from voicebot.channels.browser.outgoing import MOST_MS, Outbox, OutgoingTrack
from voicebot.core.clock import Clock, monotonic

log = structlog.get_logger(__name__)

CONNECT_S = 15.0
"""From the answer until sound can flow; browsers give up after as long."""
SILENT_S = 10.0
"""Sound, reports and messages come every second; ICE alone needs half a minute to notice that none do."""
MOST_OFFER = 64 * 1024
MOST_SECTIONS = 8
"""Sound, two kinds of pictures and messages are four."""
MOST_CANDIDATES = 40
MOST_MESSAGES = 64
MOST_MESSAGE = 16 * 1024
MOST_BUFFERED = 256 * 1024
"""Bytes that a browser has not taken yet."""

End = Literal["closed", "left", "failed", "never_connected", "silent"]
"""``closed`` by us, ``left`` by the browser; ``silent``: nothing came any more."""

_BUFFER = "_RTCRtpReceiver__jitter_buffer"


class OfferRefused(Exception):
    """The browser's offer cannot be answered; the text says why."""


@dataclass(frozen=True, slots=True)
class PeerStats:
    """How the connection is. ms; ``loss_*`` 0-1 over the whole connection; None: not known (yet).

    ``jitter_*`` as RFC 3550 counts it, from the browser to us and back. ``depth_ms``: what the jitter buffer
    keeps back; ``waited_ms``: what packets really spent in it, mean of the last second. ``made_up_ms``: sound
    that never came. ``queued_ms``: sound that waits to leave.
    """

    rtt_ms: float | None
    loss_in: float | None
    loss_out: float | None
    jitter_in_ms: float | None
    jitter_out_ms: float | None
    depth_ms: float
    waited_ms: float
    made_up_ms: int
    late: int
    queued_ms: int
    dropped_ms: int
    skipped: int


class _Tap:
    """Stands where aiortc keeps its receive buffer, and keeps nothing."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Gives the packet away; nothing is left to decode."""
        self._incoming.packet(packet.timestamp, bytes(packet.payload))
        return False, None


class Peer:
    """One connection. Made on the event loop, and closed when whoever made it is done or ``closed`` is set.

    ``frames`` and ``messages`` are read by one task each; the rest may be called by any task of the loop, at
    any time: after the end it does nothing.

    Args:
        servers: STUN and TURN, if any; host candidates are always used.
        most_ms, lead_ms: see `Outbox`.
        connect_s, silent_s: see `CONNECT_S` and `SILENT_S`.

    Attributes:
        closed: set once, when the connection is over, whoever ended it; ``end`` says how.
        connected: set once sound can flow.
    """

    def __init__(
        self,
        *,
        servers: tuple[IceServer, ...] = (),
        most_ms: int = MOST_MS,
        lead_ms: int = 0,
        connect_s: float = CONNECT_S,
        silent_s: float = SILENT_S,
        clock: Clock = monotonic,
    ) -> None:
        self.closed = asyncio.Event()
        self.connected = asyncio.Event()
        self.end: End | None = None
        self._passed: Callable[[str], None] = lambda name: None
        self._outbox = Outbox(most_ms, lead_ms)
        self._track = OutgoingTrack(self._outbox, lambda name: self._passed(name), clock)
        self._incoming = Incoming(clock)
        self._connect_s = connect_s
        self._silent_s = silent_s
        self._clock = clock
        self._pc = RTCPeerConnection(
            RTCConfiguration(iceServers=ice.for_aiortc(servers), bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._sound = self._pc.addTransceiver(self._track, "sendrecv")
        known = RTCRtpSender.getCapabilities("audio")
        assert known is not None
        self._sound.setCodecPreferences([one for one in known.codecs if one.mimeType == "audio/opus"])
        self._pc.on("connectionstatechange", self._changed)
        self._pc.on("datachannel", self._on_channel)
        self._channel: RTCDataChannel | None = None
        self._waiting_out: deque[str] = deque(maxlen=MOST_MESSAGES)
        self._came: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(MOST_MESSAGES + 1)
        self._tapped = False
        self._candidates = 0
        self._watch: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._stats = PeerStats(None, None, None, None, None, 0.0, 0.0, 0, 0, 0, 0, 0)

    def on_passed(self, passed: Callable[[str], None]) -> None:
        """``passed`` is called with each mark when the sound before it has left, or was cleared."""
        self._passed = passed

    async def answer(self, offer_sdp: str, type: str) -> str:
        """The SDP that answers an offer; a second one renegotiates the same connection.

        Raises:
            OfferRefused: it is no offer, offers no sound that we speak, or the connection is over.
        """
        if self.end is not None:
            raise OfferRefused("the connection is over: begin a new one")
        if type != "offer" or len(offer_sdp) > MOST_OFFER:
            raise OfferRefused("send an SDP offer of at most 64 KiB")
        sections = len(re.findall(r"(?m)^m=", offer_sdp))
        if not 0 < sections <= MOST_SECTIONS or len(re.findall("a=candidate:", offer_sdp)) > MOST_CANDIDATES:
            raise OfferRefused(
                f"too many sections or candidates: at most {MOST_SECTIONS} and {MOST_CANDIDATES}"
            )
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp=offer_sdp, type=type))
            self._take_sides()
            answer = await self._pc.createAnswer()
            await self._pc.setLocalDescription(answer)
        except OfferRefused:
            await self.close()
            raise
        except (
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            AttributeError,
            AssertionError,
            InternalError,
            InvalidAccessError,
            InvalidStateError,
            OperationError,
        ) as error:  # what aiortc's parser and state machine raise for an offer that is none
            log.info("webrtc.offer_refused", error=error.__class__.__name__)
            await self.close()
            raise OfferRefused("the offer cannot be answered: it must offer Opus sound over DTLS") from None
        if self._watch is None and self.end is None:
            self._watch = asyncio.create_task(self._watching())
        return self._pc.localDescription.sdp

    async def add_candidate(self, candidate: str, mid: str | None, line: int | None) -> None:
        """One more address of the browser's; an empty one says that these were all.

        Raises:
            OfferRefused: it is no candidate, or there are too many.
        """
        if self.end is not None:
            return
        if not candidate:
            await self._pc.addIceCandidate(None)
            return
        self._candidates += 1
        if self._candidates > MOST_CANDIDATES:
            raise OfferRefused(f"at most {MOST_CANDIDATES} candidates")
        try:
            parsed = candidate_from_sdp(candidate.removeprefix("candidate:"))
            parsed.sdpMid, parsed.sdpMLineIndex = mid, line
            await self._pc.addIceCandidate(parsed)
        except (ValueError, AssertionError, IndexError):
            raise OfferRefused("this is no ICE candidate") from None

    async def frames(self) -> AsyncIterator[Frame]:
        """What the browser says, without a pause; ends with the connection.

        Begins with the first packet, or with silence a second after the connection stands: without a
        microphone a browser sends none.
        """
        async for frame in self._incoming.frames():
            yield frame

    def send(self, ulaw: bytes) -> None:
        """Queues sound: mu-law, 8 kHz, any length."""
        if self.end is None:
            self._outbox.put(ulaw)

    def mark(self, name: str) -> None:
        """What `on_passed` named is called with it once what was sent before has left."""
        if self.end is None:
            self._outbox.mark(name)

    def clear(self) -> None:
        """Silences what has not left yet; its marks pass now."""
        for name in self._outbox.clear():
            self._passed(name)

    @property
    def queued_ms(self) -> int:
        """Sound that was sent and has not left."""
        return self._outbox.queued_ms

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """JSON objects from the data channel; ends with the connection. What is no object is dropped."""
        while self.end is None or not self._came.empty():
            message = await self._came.get()
            if message is None:
                return
            yield message

    def send_message(self, message: dict[str, Any]) -> bool:
        """Sends a JSON object over the data channel, or keeps it until there is one.

        Returns:
            Whether it was taken: not by a browser that reads nothing, nor after the end.
        """
        if self.end is not None:
            return False
        text = json.dumps(message, ensure_ascii=False)
        channel = self._channel
        if channel is None or channel.readyState != "open":
            self._waiting_out.append(text)
            return True
        if channel.bufferedAmount > MOST_BUFFERED:
            return False
        channel.send(text)
        return True

    def stats(self) -> PeerStats:
        """As of the last second; what is ours, as of now."""
        seen, buffer = self._stats, self._incoming.jitter
        return PeerStats(
            seen.rtt_ms,
            seen.loss_in,
            seen.loss_out,
            seen.jitter_in_ms,
            seen.jitter_out_ms,
            round(buffer.depth_ms, 1),
            round(buffer.waited_ms, 1),
            buffer.counts.missing_ms,
            buffer.counts.late,
            self._outbox.queued_ms,
            self._outbox.dropped_ms,
            self._track.slots.skipped,
        )

    async def close(self) -> None:
        """Ends it; again: waits until it is over."""
        self._over("closed")
        if self._closing is not None:
            await asyncio.shield(self._closing)

    def _take_sides(self) -> None:
        """Sound both ways, in Opus, on the first audio section; everything else is declined.

        Raises:
            OfferRefused: no sound is offered.
        """
        for transceiver in self._pc.getTransceivers():
            if transceiver is not self._sound:
                transceiver.direction = "inactive"
        if self._sound.mid is None:
            raise OfferRefused("the offer has no sound")
        if not self._tapped:
            if not hasattr(self._sound.receiver, _BUFFER):
                raise RuntimeError("this aiortc has another receive buffer: install the pinned version")
            setattr(self._sound.receiver, _BUFFER, _Tap(self._incoming))
            self._tapped = True

    def _changed(self) -> None:
        match self._pc.connectionState:
            case "connected":
                self.connected.set()
                self._incoming.connected()
            case "failed":
                self._over("failed" if self.connected.is_set() else "never_connected")
            case "closed":
                self._over("left")
            case _:
                pass

    def _on_channel(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.on("message", self._on_message)
        channel.on("open", self._flush)
        self._flush()

    def _flush(self) -> None:
        channel = self._channel
        while channel is not None and channel.readyState == "open" and self._waiting_out:
            channel.send(self._waiting_out.popleft())

    def _on_message(self, text: str | bytes) -> None:
        if not isinstance(text, str) or len(text) > MOST_MESSAGE or not text.startswith("{"):
            return  # "ping: ..." of Pipecat's client among them
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):  # a number of 5,000 digits is no JSONDecodeError
            return
        if isinstance(message, dict) and self._came.qsize() < MOST_MESSAGES:
            self._came.put_nowait(cast(dict[str, Any], message))

    async def _watching(self) -> None:
        """Looks once a second whether anything still comes."""
        try:
            async with asyncio.timeout(self._connect_s):
                await self.connected.wait()
        except TimeoutError:
            self._over("never_connected")
            return
        came, since_s = -1, self._clock()
        while self.end is None:
            now_came = await self._look()
            if now_came != came:
                came, since_s = now_came, self._clock()
            elif self._clock() - since_s > self._silent_s:
                self._over("silent")
                return
            await asyncio.sleep(1.0)

    async def _look(self) -> int:
        """Reads aiortc's counters.

        Returns:
            Bytes that came so far.
        """
        report = await self._pc.getStats()
        came = 0
        rtt = loss_in = loss_out = jitter_in = jitter_out = None
        for entry in report.values():
            match entry:
                case RTCTransportStats():
                    came = max(came, entry.bytesReceived)
                case RTCInboundRtpStreamStats():
                    total = entry.packetsReceived + entry.packetsLost
                    loss_in = max(0.0, entry.packetsLost / total) if total else None
                    jitter_in = entry.jitter / 48
                case RTCRemoteInboundRtpStreamStats():
                    total = entry.packetsReceived + entry.packetsLost
                    loss_out = max(0.0, entry.packetsLost / total) if total else None
                    jitter_out = entry.jitter / 48
                    known = cast(float | None, entry.roundTripTime)
                    rtt = known * 1000 if known is not None else None
                case _:
                    pass
        self._stats = PeerStats(rtt, loss_in, loss_out, jitter_in, jitter_out, 0.0, 0.0, 0, 0, 0, 0, 0)
        return came

    def _over(self, how: End) -> None:
        if self.end is not None:
            return
        self.end = how
        self._outbox.clear()
        self._incoming.end()
        self._came.put_nowait(None)
        self.closed.set()
        self._closing = asyncio.create_task(self._close())

    async def _close(self) -> None:
        if self._watch is not None and self._watch is not asyncio.current_task():
            self._watch.cancel()
        self._track.stop()
        try:
            async with asyncio.timeout(5.0):
                await self._pc.close()
        except TimeoutError:
            log.warning("webrtc.close_timed_out")
