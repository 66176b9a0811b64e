"""How long from the wish for a person to a phone that rings, to the bridge, and how silent it is meanwhile.

    .venv/bin/python -m scripts.bench.ringing [--calls 20] [--json]

A caller presses 0, in the greeting or after it, by turns; the person whom the local Twilio rings picks up
after 0.3 s, hears the briefing out and takes the call. *Ringing* runs from the key to the leg at Twilio,
*bridged* from the key to the room with both, by the caller's own clock and not the server's. *Silence* is the
longest stretch in which the caller hears nothing, from the key to the bridge, in the recording of the phone.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from scripts.bench import report
from scripts.bench.servers import BenchError, Bot, data_directory, voicebot
from voicebot.proof.simulation import LocalTwilio, Quiet, Talk, accepting, murmur
from voicebot.proof.simulation.analysis import spans

HEAD = ["ms", "p50", "p95", "longest", "calls"]
AFTER_S = (1.0, 9.0)
"""Into the greeting, and when it is over."""
GIVES_UP_S = 60.0


async def measure(calls: int) -> dict[str, Any]:
    """Each figure in ms, a value a call."""
    figures: dict[str, list[float]] = {"ringing": [], "bridged": [], "silence": []}
    async with LocalTwilio() as twilio:
        twilio.default_person = accepting(Talk(murmur(2000))).person
        account = {
            "VOICEBOT_TWILIO_API": twilio.api_url,
            "TWILIO_ACCOUNT_SID": twilio.account_sid,
            "TWILIO_AUTH_TOKEN": twilio.auth_token,
        }
        with data_directory() as data_dir, voicebot(data_dir, **account) as bot:
            for nth in range(calls):
                for name, value in (await one_call(twilio, bot, AFTER_S[nth % 2])).items():
                    figures[name].append(value)
            for leg in twilio.calls:  # while the server can still be told
                await leg.settle()
    return {"ms": figures, "calls": calls, "machine": report.machine(), "date": report.today()}


async def one_call(twilio: LocalTwilio, bot: Bot, after_s: float) -> dict[str, float]:
    """Phones, presses 0, is put through, hangs up."""
    rooms, legs = len(twilio.conferences), len(twilio.calls) + 1
    call = await twilio.phone(bot.voice_url, ear=Quiet(), status_callback=bot.status_url)
    await call.log.wait("stream", event="start")
    await asyncio.sleep(after_s)
    began, began_ms = time.monotonic(), call.log.clock_ms()
    await call.press("0")
    rings = await when(lambda: any(one.status == "ringing" for one in twilio.calls[legs:]))
    both = await when(lambda: any(len(one.participants) == 2 for one in twilio.conferences[rooms:]))
    bridged_ms = call.log.clock_ms()
    heard = call.recording.samples()[int(began_ms) * 8 : int(bridged_ms) * 8, 1]
    call.hang_up()
    await call.wait_ended()
    await call.settle()
    sounds = spans(heard, join_ms=0)
    gaps = [later.start_ms - one.end_ms for one, later in pairwise(sounds)]
    return {
        "ringing": (rings - began) * 1e3,
        "bridged": (both - began) * 1e3,
        "silence": max(gaps, default=0.0),
    }


async def when(happened: Callable[[], bool]) -> float:
    """When it did, looked at each 5 ms."""
    try:
        async with asyncio.timeout(GIVES_UP_S):
            while not happened():  # noqa: ASYNC110  # the local Twilio runs in this loop
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise BenchError(f"nobody was put through within {GIVES_UP_S:.0f} s") from None
    return time.monotonic()


def rows(result: dict[str, Any]) -> list[list[str]]:
    """A row a figure."""
    return [
        [
            name,
            *(report.show(report.quantile(values, share)) for share in (0.5, 0.95, 1.0)),
            str(len(values)),
        ]
        for name, values in result["ms"].items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    result = asyncio.run(measure(options.calls))
    if not options.json:
        report.print_table("Key 0 to a person", HEAD, rows(result))
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
