"""A try at the identity gate that counts when its turn is committed. Values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from voicebot.dialogue.flow.draft import Draft


@dataclass(frozen=True, slots=True)
class Trial:
    """What a turn tries, what the plan expects to come of it, and the turn if something else does.

    ``kind``: ``facts`` were compared (``matched``, ``not_matched``), a ``code`` was told (``right``,
    ``wrong``, ``expired``), or one is to be sent (``sent``, ``not_sent``). Any of them may turn out
    ``locked``: too many tries, here or on another node just now. In memory only: nothing of it is stored.
    """

    kind: Literal["facts", "code", "send"]
    expected: str
    then: Callable[[str], Draft] = field(repr=False)
    references: tuple[str, ...] = field(default=(), repr=False)
    """What it is about, the one that counts first."""
    code: tuple[str, ...] = field(default=(), repr=False)
    """Readings of the code that was told."""
    customer_id: str = field(default="", repr=False)
    number: str = field(default="", repr=False)
    """Where a code goes, E.164."""
    digits: int = 6
    words: str = field(default="", repr=False)
    """The message, with ``{code}`` in it."""
