"""How long an Opus packet sounds, from its first bytes. Pure.

Source: RFC 6716, section 3.1 (the TOC byte) and 3.2 (how many frames a packet holds).
"""

from __future__ import annotations

RATE_HZ = 48_000
"""The clock of Opus in RTP, whatever the sound's band (RFC 7587, section 4.1)."""
MOST_SAMPLES = RATE_HZ * 120 // 1000
"""120 ms, the longest that one packet may hold."""
MOST_BYTES = 1500
"""A datagram; nothing longer is decoded."""

_SILK = (480, 960, 1920, 2880)
_HYBRID = (480, 960)
_CELT = (120, 240, 480, 960)


def samples(payload: bytes) -> int | None:
    """Samples at 48 kHz that the packet decodes to; None: it is no Opus packet."""
    if not payload or len(payload) > MOST_BYTES:
        return None
    config, code = payload[0] >> 3, payload[0] & 3
    if config < 12:
        frame = _SILK[config & 3]
    elif config < 16:
        frame = _HYBRID[config & 1]
    else:
        frame = _CELT[config & 3]
    if code == 3 and len(payload) < 2:
        return None
    count = {0: 1, 1: 2, 2: 2}.get(code) or payload[1] & 0x3F
    length = frame * count
    return length if 0 < length <= MOST_SAMPLES else None
