"""A real server goes on over "uh huh" and gives way to words: over real sockets, heard at the other end."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.media_client import MediaClient, line
from tests.serving import Serving, serving

SID = f"CA{77:032x}"


async def counted(server: Serving) -> dict[str, float]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        lines = (await http.get("/metrics")).text.splitlines()
    prefix = 'voicebot_overlaps_total{verdict="'
    found = [line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix)]
    return {verdict: float(count) for verdict, count in found}


async def test_a_backchannel_is_gone_on_over_and_words_are_not(tmp_path: Path) -> None:
    with serving("--insecure-local", data_dir=tmp_path / "data") as server:
        async with MediaClient(server.url, SID) as caller:
            await caller.spoken_to(1.0, within_s=40)
            caller.say(line("rms", "uh_huh"))
            await caller.quiet(0.2, within_s=40)
            await caller.spoken_to(0.4, within_s=40)
            await caller.quiet(1.0, within_s=40)
            assert caller.clears == 1
            assert await counted(server) == {"backchannel": 1.0}
            (greeting,) = (await server.conversation(SID))["turns"]
            assert greeting["heard"]["complete"], "said to its end"

            await server.answers(caller, line("rms", "returns"))
            caller.say(line("rms", "interrupt_delivery"))
            await caller.quiet(0.2, within_s=40)
            await caller.spoken_to(1.0, within_s=40)
            assert (await counted(server))["interruption"] >= 1.0
        turns = (await server.conversation(SID))["turns"]
        cut = [turn for turn in turns if turn["heard"] and not turn["heard"]["complete"]]
        assert cut, "what was interrupted is remembered as far as it was heard"
        assert cut[0]["heard"]["text"]
