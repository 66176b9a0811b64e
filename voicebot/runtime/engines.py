"""``voicebot engines``: the speech engines by themselves, for another machine or for a look."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from rich.console import Console

from voicebot.audio.engines.choice import EngineChoice, choose, models_dir
from voicebot.audio.engines.hosts import EngineHosts
from voicebot.core.settings import Settings


def engine_hosts(settings: Settings, choice: EngineChoice, sockets: Path) -> EngineHosts:
    """The hosts of ``choice`` with the deployment's phrases, not yet started."""
    return EngineHosts(
        choice,
        sockets,
        phrases=settings.deployment / "business" / "phrases.yaml",
        models=models_dir(settings),
        mirror=settings.models_mirror,
    )


async def run_engines(settings: Settings, sockets: Path, out: Console) -> None:
    """Starts the engine hosts, says where they listen, ends them on a signal.

    Raises:
        EngineUnavailable: an engine cannot be started as configured.
    """
    choice = choose(settings)
    hosts = engine_hosts(settings, choice, sockets)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await hosts.start()
    try:
        for note in choice.notes:
            out.print(note, markup=False)
        out.print(
            f"stt {hosts.targets.stt}\ntts {hosts.targets.tts}\nturn {hosts.targets.turn}", markup=False
        )
        await stop.wait()
    finally:
        await hosts.stop()
