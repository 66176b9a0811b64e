"""Calls per core: voicebot and a stock Pipecat bot, each alone on one core, phoned by the same callers.

    .venv/bin/python -m scripts.bench.density [--quick] [--rounds 3] [--arms voicebot,stock] [--hold 20]
                    [--voicebot 10,20,40,60] [--stock 2,4,6,8] [--json] [--out FILE] [--docs]

Engines are stubs at their RPC for both (``stub_engines``): sound goes out to them and comes back, nothing is
computed. A server has the first core to itself with all its processes, Postgres included; the callers, the
engine stubs and this program have the second. Each arm goes up its steps on one fresh server until two steps
in a row did not hold. A step whose callers were late themselves says nothing of the server (``--retries``).
Smart-turn is a stub for voicebot and for ``stock``; the arm ``stock-smart-turn`` has its own, as it comes.

Two to three minutes with ``--quick``; else about eight a round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from scripts.bench import density_report, report, stub_engines
from scripts.bench.cores import move, on_core, two_cores
from scripts.bench.density_report import CEILINGS, Step
from scripts.bench.servers import ROOT, BenchError, Bot, data_directory, stock, voicebot
from voicebot.proof.loadtest.figures import StepFigures
from voicebot.proof.loadtest.mix import CallerKind
from voicebot.proof.loadtest.plan import LoadError, LoadStep
from voicebot.proof.loadtest.run import Beat, LoadRun, run
from voicebot.proof.simulation.script import CallScript

ARMS = ("voicebot", "stock", "stock-smart-turn")
VOICES = ("rms", "awb", "slt")
ASKED = ("opening_hours", "shipping", "returns", "warranty", "opening_hours_b", "shipping_b", "returns_b")
PAUSES_MS = (300, 900, 1500)
WARM_CALLS = 2
SETTLED = 3.0  # s after the last call has begun: its greeting is under way
WEIGHED_AT = 0.6  # of the hold
ROOM = {"VOICEBOT_MAX_CALLS": "1000", "VOICEBOT_ADMISSION": "configured"}
"""No call is refused for what others cost: the callers on the other core would count, too."""


@dataclass(frozen=True)
class Plan:
    """What is done to each arm. ``spread_s``: over so long the calls of a step begin, one turn or so."""

    steps: dict[str, Sequence[int]]
    hold_s: float
    spread_s: float
    retries: int


@dataclass(frozen=True)
class SpreadStep(LoadStep):
    """Calls that begin over ``spread_s``, so that they take turns at different times."""

    spread_s: float = 12.0

    @property
    def every_s(self) -> float:
        """See ``LoadStep``."""
        return self.spread_s / self.calls

    @property
    def settle_s(self) -> float:
        """See ``LoadStep``."""
        return self.spread_s + SETTLED


class _Quiet:
    """Watches a step: weighs the server once while all calls are on."""

    def __init__(self, bot: Bot, hold_s: float) -> None:
        self._bot = bot
        self._at_s = hold_s * WEIGHED_AT
        self._weighing: asyncio.Task[dict[str, float]] | None = None
        self.active = 0

    def says(self, text: str) -> None:
        """Nothing."""

    def pulse(self, step: LoadStep, nth: int, seconds: float, beat: Beat) -> None:
        self.active = beat.active
        if self._weighing is None and seconds >= self._at_s:
            self._weighing = asyncio.create_task(asyncio.to_thread(self._bot.pss_mb))

    def step(self, figures: StepFigures) -> None:
        """Nothing."""

    async def weighed(self) -> dict[str, float]:
        """MB by part, PSS."""
        return {} if self._weighing is None else await self._weighing


def kinds() -> list[CallerKind]:
    """Callers who ask one thing after the other and listen to each answer, for longer than any step."""
    made: list[CallerKind] = []
    for nth, voice in enumerate(VOICES):
        asked = [*ASKED[nth:], *ASKED[:nth]] * 4
        lines = [name for name in asked if (ROOT / "recordings" / "lines" / voice / f"{name}.wav").is_file()]
        for pause_ms in PAUSES_MS:
            script = CallScript.model_validate(
                {
                    "voice": voice,
                    "pause_ms": pause_ms,
                    "steps": [{"say": name, "tries": 1} for name in lines],
                    "limit_s": 600,
                }
            )
            made.append(CallerKind(f"{voice} {pause_ms}", script, 1.0))
    return made


def starters(stubs: dict[str, str], data: Path) -> dict[str, Callable[[], AbstractContextManager[Bot]]]:
    """How each arm is started; ``data``: voicebot's, kept over rounds, so that phrases are rendered once."""
    return {
        "voicebot": lambda: voicebot(data, **ROOM, **stubs),
        "stock": lambda: stock("--stub-judge", **stubs),
        "stock-smart-turn": lambda: stock(**stubs),
    }


@contextlib.contextmanager
def alone(start: Callable[[], AbstractContextManager[Bot]], core: int, others: int) -> Iterator[Bot]:
    """A server alone on ``core``; its engine hosts on ``others``."""
    with ExitStack() as stack:
        with on_core(core):
            bot = stack.enter_context(start())
        for process in psutil.Process(bot.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "voicebot.audio.engines.host" in process.cmdline():
                    move(process.pid, others)
        yield bot


async def one_step(bot: Bot, calls: int, plan: Plan, cache: Path) -> Step:
    """So many calls at once; what they heard and what the server used."""
    watch = _Quiet(bot, plan.hold_s)
    load = LoadRun(
        url=bot.url,
        steps=[SpreadStep(calls, plan.hold_s, plan.spread_s)],
        kinds=kinds(),
        lines=ROOT / "recordings" / "lines",
        cache=cache,
        processes=1,
    )
    (figures,) = await run(load, watch)
    return density_report.step_of(figures, await watch.weighed(), watch.active)


async def ladder(arm: str, bot: Bot, plan: Plan, cache: Path) -> list[Step]:
    """Steps upward until two in a row did not hold, or the callers themselves no longer keep time."""
    await one_step(bot, WARM_CALLS, Plan(plan.steps, 3.0, 2.0, 0), cache)
    found: list[Step] = []
    for calls in plan.steps[arm]:
        step = await one_step(bot, calls, plan, cache)
        for _ in range(plan.retries):
            if step.valid:
                break
            step = await one_step(bot, calls, plan, cache)
        found.append(step)
        print(density_report.line(arm, step), file=sys.stderr, flush=True)
        if len(found) > 1 and not any(one.holds(CEILINGS["no gap over 60 ms"]) for one in found[-2:]):
            break
    return found


def measure(arms: Sequence[str], rounds: int, plan: Plan) -> dict[str, Any]:
    """All arms, one after the other, ``rounds`` times.

    Raises:
        BenchError: there are not two cores, or a server did not start.
    """
    server, others = two_cores()
    load = os.getloadavg()
    result: dict[str, Any] = {
        "bench": "density",
        "hold_s": plan.hold_s,
        "load_before": [round(one, 2) for one in load],
        "arms": {arm: [] for arm in arms},
    }
    with ExitStack() as stack:
        stubs = stack.enter_context(stub_engines.hosts_path())
        data = stack.enter_context(data_directory())
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-callers-")))
        start = starters(stubs, data)
        stack.enter_context(on_core(others))
        for _ in range(rounds):
            for arm in arms:
                with alone(start[arm], server, others) as bot:
                    steps = asyncio.run(ladder(arm, bot, plan, cache))
                result["arms"][arm].append([step.as_dict() for step in steps])
    return result


def numbers(text: str) -> tuple[int, ...]:
    """``10,20`` as numbers."""
    return tuple(int(one) for one in text.split(","))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round, three steps an arm, short holds")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--arms", default="voicebot,stock", help=f"of {', '.join(ARMS)}")
    parser.add_argument("--hold", type=float, help="seconds that count, per step")
    parser.add_argument("--retries", type=int, default=1, help="of a step whose callers were late themselves")
    parser.add_argument("--voicebot", type=numbers, help="its steps")
    parser.add_argument("--stock", type=numbers, help="the stock bots' steps")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    parser.add_argument("--read", type=Path, help="measure nothing, read what --out kept")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    quick = options.quick
    ours = options.voicebot or ((10, 25, 40) if quick else (10, 20, 40, 60, 80, 100, 120))
    theirs = options.stock or ((2, 4, 8) if quick else (2, 4, 6, 8, 10, 12, 14, 16))
    plan = Plan(
        {arm: ours if arm == "voicebot" else theirs for arm in ARMS},
        hold_s=options.hold or (8.0 if quick else 20.0),
        spread_s=6.0 if quick else 12.0,
        retries=0 if quick else options.retries,
    )
    arms = options.arms.split(",")
    if unknown := set(arms) - set(ARMS):
        parser.error(f"no such arms: {', '.join(sorted(unknown))}")
    try:
        if options.read is not None:
            result = density_report.read(options.read)
        else:
            result = measure(arms, options.rounds or (1 if quick else 3), plan)
    except (BenchError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    result |= {"summary": density_report.summary(result)}
    if not options.json:
        report.print_table("Calls per core", density_report.HEAD, density_report.rows(result))
        print(density_report.words(result))
    if options.read is None:
        report.finish(result, as_json=options.json, out=options.out)
    if options.docs:
        density_report.into_docs({"machine": report.machine(), "date": report.today(), **result})
    return 0


if __name__ == "__main__":
    sys.exit(main())
