"""A call node: one process, one event loop, its calls' sockets and dialogue.

Started by the supervisor with a ``NodeBoot`` on standard input. SIGTERM drains: not ready at
once, calls finish, and at the deadline the rest are handed to a person. A second one says that the deadline
is now, a third that callers have had their time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import structlog
import uvloop

from voicebot.core.process import die_with_parent
from voicebot.core.settings import SettingsError, load_settings
from voicebot.core.telemetry import adopt_loguru, configure_logging
from voicebot.runtime.app import NodeApp
from voicebot.runtime.boot import NodeBoot
from voicebot.runtime.server import NodeServer, shared_socket

log = structlog.get_logger(__name__)

ORPHAN_DRAIN_S = 0.0
"""When the supervisor is gone its engines and database are too: callers go to a person at once."""


async def serve(boot: NodeBoot) -> None:
    """Runs the node until it has drained."""
    settings = load_settings(**boot.overrides)
    private = shared_socket("127.0.0.1", 0, listen=True)
    address = f"127.0.0.1:{private.getsockname()[1]}"
    node = NodeApp(boot, settings, address)
    draining: set[asyncio.Task[None]] = set()

    async def drain() -> None:
        orphaned = os.getppid() != boot.parent_pid
        await node.drain(ORPHAN_DRAIN_S if orphaned else settings.drain_s)
        server.should_exit = True

    def on_signal(number: signal.Signals) -> None:
        if node.hurried:
            server.should_exit = True  # a third signal
            return
        if draining:
            log.warning("node.drain_hurried", node=boot.node_id, calls=node.state.calls)
            node.hurry()
            return
        log.info("node.draining", node=boot.node_id, calls=node.state.calls)
        draining.add(asyncio.create_task(drain()))

    log.info("node.started", node=boot.node_id, pid=os.getpid(), address=address)
    server = NodeServer(node.app, on_signal, node.door)
    await server.serve(sockets=[shared_socket(boot.host, boot.port, listen=True), private])
    await asyncio.gather(*draining)


def main() -> None:
    """Entry point of the node process."""
    boot = NodeBoot.model_validate_json(sys.stdin.readline(), strict=False)
    die_with_parent(boot.parent_pid, signal.SIGTERM)
    configure_logging(boot.node_id)
    adopt_loguru()
    try:
        uvloop.run(serve(boot))
    except SettingsError as error:
        log.error("node.refused", reason=str(error))
        sys.exit(os.EX_CONFIG)


if __name__ == "__main__":
    main()
