"""Mu-law is G.711 to the bit: every code survives the round trip, and known points stand where the
standard puts them.
"""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.audio import mulaw


def test_every_code_survives_decode_then_encode():
    codes = bytes(range(256))
    again = mulaw.encode(mulaw.decode(codes))
    # 0x7F is negative zero; G.711 has two zeros and an encoder may only use the positive one.
    assert again == codes.replace(b"\x7f", b"\xff")


@pytest.mark.parametrize(
    ("code", "sample"),
    [(0xFF, 0), (0x7F, 0), (0x80, 32124), (0x00, -32124), (0xFE, 8), (0x7E, -8), (0xF0, 120), (0xEF, 132)],
)
def test_known_points(code: int, sample: int):
    assert mulaw.decode(bytes([code])).tolist() == [sample]


def test_full_scale_is_clipped_not_wrapped():
    assert mulaw.encode(np.array([32767, -32768], dtype=np.int16)) == b"\x80\x00"


def test_error_is_bounded_by_the_step_of_the_segment():
    samples = np.arange(-32124, 32125, dtype=np.int32)
    back = mulaw.decode(mulaw.encode(samples.astype(np.int16))).astype(np.int32)
    step = 2.0 ** (np.floor(np.log2(np.abs(samples) + 132)) - 4)
    assert np.all(np.abs(back - samples) <= step / 2)


def test_silence_decodes_to_zero_and_empty_stays_empty():
    assert mulaw.decode(bytes([mulaw.SILENCE]) * 3).tolist() == [0, 0, 0]
    assert mulaw.encode(np.zeros(0, dtype=np.int16)) == b""
    assert mulaw.decode(b"").shape == (0,)


def test_a_strided_view_is_encoded_like_its_copy():
    stereo = np.arange(-100, 100, dtype=np.int16).reshape(-1, 2)
    assert mulaw.encode(stereo[:, 0]) == mulaw.encode(stereo[:, 0].copy())
