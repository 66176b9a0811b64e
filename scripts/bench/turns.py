"""Turn-taking as the caller hears it: voicebot, voicebot without speculation, and a stock Pipecat phone bot.

    .venv/bin/python -m scripts.bench.turns --rounds 5 --calls-at-once 2 --out FILE.jsonl
                    [--turns N] [--parts turns,paused,overlaps] [--arms voicebot,no-speculation,stock]
                    [--data DIR] [--size tiny|base|small] [--report] [--docs] [--json]

All bots run on this machine at once, and take turns: the same callers say the same lines to each. They have
the same Whisper weights, the same voice, and the same answers after the same 250 ms. Scores come only from
what was said and heard on the phone. Every call is one line of ``--out``: a run that was killed goes on where
it stopped, and ``--report`` only reads.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.bench import deployment, report, shadow, turn_lines, turn_score
from scripts.bench.caller import BenchCaller
from scripts.bench.servers import (
    ROOT,
    BenchError,
    Bot,
    data_directory,
    language_model,
    stock,
    voicebot,
)
from scripts.bench.turn_lines import CallPlan
from scripts.bench.turn_report import HEAD, caption, compare, rows
from scripts.bench.turn_sounds import answer_sounds, sounds_done
from voicebot.core.settings import Settings
from voicebot.proof.simulation.call import LocalCall
from voicebot.proof.simulation.exchange import LocalTwilio
from voicebot.proof.simulation.matching import KnownSound

DEMO = ROOT / "models" / "demo-whisper"
INTENTS = ("opening_hours", "shipping_cost", "shipping_time", "return_policy", "warranty")
ARMS = ("voicebot", "no-speculation", "stock")
PARTS = ("turns", "paused", "overlaps")
CALL_S = 240.0
PATIENCE_MS = 7000
FAILURES = 6  # calls that may fail in a run before it is given up
COUNTED = (
    "voicebot_eager_",
    "voicebot_held_",
    "voicebot_barge_ins",
    "voicebot_overlap",
    "voicebot_false_pause",
)


@dataclass(frozen=True)
class Run:
    """What a run is made of; written first, and a file of another run is not continued."""

    model: str
    calls_at_once: int
    size: str = ""
    voice: str = "espeak"
    first_token_ms: int = 250


def can_speculate_off() -> bool:
    """Whether this voicebot has the setting VOICEBOT_SPECULATION."""
    return "speculation" in Settings.model_fields


@contextlib.contextmanager
def bots(arms: Sequence[str], model: Path, size: str = "") -> Iterator[dict[str, Bot]]:
    """The bots of some arms, each with its own data, one model server for both voicebots.

    ``size``: both also decode with random weights of that size, see ``shadow``.

    Raises:
        BenchError: one did not start.
    """
    said = turn_lines.book()
    found: dict[str, Bot] = {}
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(language_model(turn_lines.BOOK))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-deployment-")))
        folder.chmod(0o755)
        deployment.make(folder, intents=INTENTS, greeting=said["greeting"], more=said["more"])
        settings = {
            "VOICEBOT_STT": f"whisper:{model}",
            "VOICEBOT_TTS": "espeak",
            "VOICEBOT_LLM": "openai:canned",
            "OPENAI_BASE_URL": url,
            "OPENAI_API_KEY": "none",
        }
        command = ["--answers", str(turn_lines.BOOK), "--whisper", str(model)]
        if size:
            heavy = stack.enter_context(shadow.weights(size))
            settings |= stack.enter_context(shadow.host_path(heavy))
            command += ["--shadow", str(heavy)]
        for arm in arms:
            if arm == "stock":
                found[arm] = stack.enter_context(stock(*command, VOICEBOT_TTS="espeak"))
                continue
            extra = {"VOICEBOT_SPECULATION": "off"} if arm == "no-speculation" else {}
            data = stack.enter_context(data_directory())
            bot = stack.enter_context(voicebot(data, "--deployment", str(folder), **settings, **extra))
            found[arm] = dataclasses.replace(bot, name=arm)
        yield found


@dataclass(frozen=True)
class Made:
    """A call that is over."""

    bot: Bot
    plan: CallPlan
    call: LocalCall
    caller: BenchCaller
    hung_up_by_bot: bool


async def one_call(twilio: LocalTwilio, bot: Bot, plan: CallPlan) -> Made:
    """One call from the first ring to the caller's hanging up. Not scored: that would hold up other calls."""
    over = asyncio.Event()
    caller = BenchCaller(list(plan.steps), over.set, patience_ms=PATIENCE_MS)
    call = await twilio.phone(bot.voice_url, ear=caller, status_callback=bot.status_url)
    ended = asyncio.create_task(call.wait_ended())
    said_all = asyncio.create_task(over.wait())
    await asyncio.wait({ended, said_all}, timeout=CALL_S, return_when=asyncio.FIRST_COMPLETED)
    hung_up_by_bot = ended.done()
    if not ended.done():
        call.hang_up()
        await ended
    said_all.cancel()
    return Made(bot, plan, call, caller, hung_up_by_bot)


def scored(made: Made, answers: Mapping[str, KnownSound], keep: Path | None) -> dict[str, Any]:
    """A call as it is written to the file.

    Raises:
        BenchError: it had no media stream.
        LineLostError: the recording does not hold what was said.
    """
    bot, plan, call, caller = made.bot, made.plan, made.call, made.caller
    start = call.log.of("stream", event="start")
    if not start:
        raise BenchError(f"{bot.name}: no media stream: {[str(n) for n in call.notifications]}")
    if keep is not None:
        call.recording.save(keep / f"{bot.name}_{plan.part}_{plan.voice.replace('/', '-')}_{plan.round}.wav")
    events = turn_score.score(call.recording, caller.said, answers)
    greeting = turn_score.greeting(call.recording, start[0].at_ms)
    return {
        **_key(bot.name, plan),
        "greeting_ms": greeting,
        "late_ms": round(call.line.max_late_ms, 1),
        "unsaid": len(plan.steps) - len(caller.said),
        "hung_up_by_bot": made.hung_up_by_bot,
        "violations": [str(v) for v in call.violations],
        "events": [dataclasses.asdict(event) for event in events],
    }


def _key(arm: str, plan: CallPlan) -> dict[str, Any]:
    return {"arm": arm, "part": plan.part, "voice": plan.voice, "round": plan.round}


def slots(plans: Sequence[CallPlan], at_once: int) -> list[list[CallPlan]]:
    """Calls of one part and round that are made at the same time."""
    made: list[list[CallPlan]] = []
    for plan in plans:
        if (
            made
            and len(made[-1]) < at_once
            and (made[-1][0].part, made[-1][0].round) == (plan.part, plan.round)
        ):
            made[-1].append(plan)
        else:
            made.append([plan])
    return made


class Book:
    """The file of a run: a line for the run, one for each call, and one for each bot's counters."""

    def __init__(self, path: Path, run: Run) -> None:
        self._path = path
        self.lines = read(path)
        if not self.lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.add({"run": dataclasses.asdict(run), "machine": report.machine(), "date": report.today()})
        elif self.lines[0].get("run") != dataclasses.asdict(run):
            raise BenchError(f"{path} is of another run ({self.lines[0].get('run')}): give another --out")
        elif not path.read_text().endswith("\n"):
            with path.open("a") as file:
                file.write("\n")

    def add(self, line: dict[str, Any]) -> None:
        """Appends it; it is on the disk when this returns."""
        self.lines.append(line)
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def has(self, arm: str, plan: CallPlan) -> bool:
        """Whether that call was made."""
        key = _key(arm, plan)
        return any(key.items() <= line.items() for line in self.lines if "events" in line)

    def turns(self, arm: str) -> int:
        """Scored turns of an arm so far."""
        return sum(
            event["role"] == "turn"
            for line in self.lines
            if line.get("arm") == arm and line.get("part") == "turns"
            for event in line.get("events", ())
        )


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's file, without one that was cut while it was being written."""
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


async def make_calls(
    found: Mapping[str, Bot], plans: Sequence[CallPlan], book: Book, options: argparse.Namespace
) -> None:
    """All calls that are not in the file yet, interleaved; stops when every arm has its turns.

    Raises:
        BenchError: too many calls failed.
    """
    answers = answer_sounds()
    failed = 0
    began = time.strftime("%Y-%m-%dT%H:%M:%S")
    async with LocalTwilio() as twilio:
        for bot in found.values():  # unscored: first calls warm things up
            await one_call(twilio, bot, dataclasses.replace(plans[0], steps=plans[0].steps[:1]))
        for nth, slot in enumerate(slots(plans, options.calls_at_once)):
            order = list(found)
            order = order[nth % len(order) :] + order[: nth % len(order)]
            for arm in order:
                due = [p for p in slot if not book.has(arm, p) and wanted(arm, p, book, options)]
                for made in await asyncio.gather(*(one_call(twilio, found[arm], p) for p in due)):
                    try:
                        result = scored(made, answers, options.keep)
                    except (BenchError, turn_score.LineLostError) as error:
                        failed += 1
                        book.add({**_key(arm, made.plan), "failed": str(error)})
                        if failed > FAILURES:
                            raise BenchError(f"{failed} calls failed, the last with: {error}") from error
                        continue
                    book.add(result)
                    print(summary(result), file=sys.stderr)
            if slot[-1] is plans[-1] or nth % 4 == 3:
                for arm, bot in found.items():
                    if arm != "stock":
                        book.add({"counters": counters(bot.url), "of": arm, "since": began})


def wanted(arm: str, plan: CallPlan, book: Book, options: argparse.Namespace) -> bool:
    """Turns until there are enough; overlaps and pauses not on the arm that differs in speculation alone."""
    if plan.part == "turns":
        return options.turns is None or book.turns(arm) < options.turns
    return arm != "no-speculation"


def summary(result: Mapping[str, Any]) -> str:
    """A call in a line, for whoever watches."""
    parts = []
    for event in result["events"]:
        if event["role"] in {"interruption", "backchannel", "noise"}:
            outcome = "went on" if event["finished"] else "stopped"
            silence = event["silence_ms"]
            parts.append(f"{event['role']} {outcome if event['over'] else 'missed'} {silence or 0:.0f}")
        elif event["cut_off"]:
            parts.append("cut off")
        else:
            parts.append(f"{event['content_ms']:.0f}" if event["content_ms"] is not None else "other")
    where = f"{result['arm']} {result['part']} {result['voice']} {result['round']}"
    return f"{where}: greeting {result['greeting_ms'] or -1:.0f}, {', '.join(parts)}"


def counters(url: str) -> dict[str, float]:
    """What the server says it threw away, from its metrics."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310  # our own loopback URL
        text = answer.read().decode()
    found: dict[str, float] = {}
    for row in text.splitlines():
        if row.startswith(COUNTED) and "_created" not in row:
            name, _, value = row.rpartition(" ")
            found[name] = float(value)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, help="scored turns per arm; then the part is over for it")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--arms", default=",".join(ARMS), help=f"of {', '.join(ARMS)}")
    parser.add_argument("--calls-at-once", type=int, default=1, help="to one bot; the others wait meanwhile")
    parser.add_argument("--model", type=Path, default=DEMO, help="Whisper weights of both bots")
    parser.add_argument("--size", default="", help="time with random weights of this size: tiny, base, small")
    parser.add_argument("--data", type=Path, help="adds real digits: a folder of DIGIT_SPEAKER_TAKE.wav")
    parser.add_argument("--keep", type=Path, help="folder for the recordings")
    parser.add_argument(
        "--out", type=Path, default=Path("turns.jsonl"), help="JSON lines; continued if it exists"
    )
    parser.add_argument("--report", action="store_true", help="measure nothing, only read --out")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    arms = [arm for arm in options.arms.split(",") if arm != "no-speculation" or can_speculate_off()]
    try:
        if not options.report:
            measure(arms, options)
        result = compare(read(options.out), sounds_done)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        report.print_table("Turns", HEAD, rows(result))
        print(caption(result))
    if options.docs:
        into_docs(result)
    return 0


def into_docs(result: dict[str, Any]) -> None:
    """The table and its caption into docs/benchmarks.md, between the markers ``turns`` or ``turns SIZE``."""
    from scripts.bench.all import PAGE, insert

    size = result["run"].get("size", "")
    table = report.markdown_table(HEAD, rows(result)) + "\n\n" + caption(result)
    PAGE.write_text(insert(PAGE.read_text(), f"turns {size}".strip(), result, table))


def measure(arms: Sequence[str], options: argparse.Namespace) -> None:
    """Starts the bots and makes the calls that ``--out`` does not hold yet."""
    if unknown := set(arms) - set(ARMS):
        raise BenchError(f"no such arms: {', '.join(sorted(unknown))}")
    parts = options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        raise BenchError(f"no such parts: {', '.join(sorted(unknown))}")
    rounds = range(options.rounds)
    plans = turn_lines.plans(parts, rounds)
    if options.data is not None:
        plans += turn_lines.digit_plans(options.data, rounds)
    book = Book(options.out, Run(options.model.name, options.calls_at_once, options.size))
    with bots(arms, options.model.resolve(), options.size) as found:
        asyncio.run(make_calls(found, plans, book, options))


if __name__ == "__main__":
    sys.exit(main())
