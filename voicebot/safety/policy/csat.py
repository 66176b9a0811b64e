"""Whether callers are asked how satisfied they were."""

from __future__ import annotations

from voicebot.core.conversation import Channel, Strict


class CsatRules(Strict):
    """``channels``: where it is asked, once, after the goodbye. Nowhere unless said."""

    channels: tuple[Channel, ...] = ()
