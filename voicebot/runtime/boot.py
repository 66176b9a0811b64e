"""What the supervisor tells a node: one JSON object on its standard input, secrets included."""

from __future__ import annotations

from typing import Any

from voicebot.core.conversation import Strict


class EngineTargets(Strict):
    """Where the engine hosts listen (``unix:/path`` or ``host:port``)."""

    stt: str
    tts: str
    turn: str
    voice_id: str


class DeskBoot(Strict):
    """Everything the desk's process needs that is not in its environment."""

    parent_pid: int
    host: str
    port: int
    api_url: str
    insecure_local: bool
    overrides: dict[str, Any]


class NodeBoot(Strict):
    """Everything a node needs that is not in its environment.

    ``port`` is shared by all nodes of this machine (SO_REUSEPORT). ``overrides`` are the
    settings given on the command line.
    """

    node_id: str
    parent_pid: int
    host: str
    port: int
    insecure_local: bool
    index: int = 0
    nodes: int = 1
    machine: str | None = None
    """File of the table of calls that all nodes of this machine share; None: it is the only one."""
    database_url: str
    engines: EngineTargets
    overrides: dict[str, Any]
