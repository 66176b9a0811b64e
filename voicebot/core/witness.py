"""Who writes down, beside a conversation, what it was told from outside: answers of tools and models, turns.

A call that is recorded names its witness once; every task that its context reaches tells it. Where nobody
listens, telling costs a look-up. Nothing here knows where it is written, and no witness fails who tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Witness = Callable[[dict[str, Any]], None]
"""Gets one fact: a JSON-able dict with its ``type``. Returns at once, and does not raise."""

_witness: ContextVar[Witness | None] = ContextVar("witness", default=None)


def listening() -> bool:
    """Whether anybody writes it down: for what is dear to put together."""
    return _witness.get() is not None


def tell(kind: str, **fact: Any) -> None:
    """Tells the witness of this context, if there is one."""
    witness = _witness.get()
    if witness is not None:
        witness({"type": kind, **fact})


@contextmanager
def told_to(witness: Witness) -> Generator[None]:
    """Tasks that are begun inside tell it, for as long as they run."""
    token = _witness.set(witness)
    try:
        yield
    finally:
        _witness.reset(token)
