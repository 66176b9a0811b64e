"""``make demo``: one real call from end to end, shown live, checked by sound, by the API and in the database.

Starts a server of its own on a free port with an empty data directory, phones it through the local Twilio
with synthetic callers that know only what they hear, has one of them put through to a synthetic person, and
leaves plain copies of the call under ``recordings/demo/``. Unless ``VOICEBOT_STT`` names another, a small
Whisper of this repository listens. Exit status 0 only if every step really happened; else 1, and those that
did not are named.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo_person import LastAct, payload_sentences
from demo_records import Records, read_records
from rich.console import Console
from rich.table import Table
from rich.text import Text

from voicebot.core.settings import Settings
from voicebot.core.telemetry import configure_logging
from voicebot.proof.ears.ears import EarsError
from voicebot.proof.simulation.analysis import Analysis
from voicebot.proof.simulation.phonecall import PhoneCallError
from voicebot.proof.simulation.script import ScriptError
from voicebot.runtime.own_server import OwnServerError
from voicebot.runtime.phone import PhoneReport, phone, show_report

REPOSITORY = Path(__file__).resolve().parents[1]
COPIES = REPOSITORY / "recordings" / "demo"
DATA = REPOSITORY / ".voicebot" / "demo"
SCRIPT = REPOSITORY / "recordings" / "scripts" / "demo_whisper.yaml"
EARS = f"whisper:{REPOSITORY / 'models' / 'demo-whisper'}"
"""Reads synthetic voices only, so nothing but this demo and the tests sets it."""

ORDER = "518264"
"""The reference shop's order that this call is about: delivered, and may be sent back."""

SILENT_WITHIN_MS = 600


@dataclass(frozen=True)
class Facts:
    """What a check may look at: the server's account of the call, the caller's recording, the records."""

    report: PhoneReport
    turns: list[dict[str, Any]]
    sound: Analysis
    before: Records
    after: Records
    act: LastAct

    def decided(self, intent: str, action: str | None = None) -> list[dict[str, Any]]:
        """Turns with that intent (and action), in order."""
        return [
            t
            for t in self.turns
            if t["decision"]["intent"] == intent and action in (None, t["decision"]["action"])
        ]

    def heard_of(self, turns: list[dict[str, Any]]) -> str:
        """All that the caller heard of those turns."""
        return " ".join((t["heard"] or {}).get("text", "") for t in turns).lower()


def greeted(facts: Facts) -> bool:
    """The automation notice was heard whole, before anything else."""
    if not facts.turns:
        return False
    first = facts.turns[0]
    return first["input"]["kind"] == "call_started" and bool(first["heard"]["complete"])


def told_opening_hours(facts: Facts) -> bool:
    """From an article, which is cited."""
    turns = facts.decided("opening_hours", "answer")
    return "open" in facts.heard_of(turns) and any(t["decision"]["sources"] for t in turns)


def verified_and_told_the_order(facts: Facts) -> bool:
    """Order number and post code were given, then the tool was read and its answer heard."""
    answers = [t for t in facts.turns if "order_status" in [x["tool"] for x in t["decision"]["tools"]]]
    return bool(answers) and "was delivered on" in facts.heard_of(answers)


def agreed_to_a_return(facts: Facts) -> bool:
    """All that matters was heard before the yes, and it is done once, in the records and in the audit."""
    asked = [t for t in facts.decided("start_return", "propose") if t["heard"]["complete"]]
    read_back = facts.heard_of(asked)
    heard = all(value in read_back for value in ("floor lamp", "eighty nine dollars", "shall i do that"))
    said = "is registered" in facts.heard_of(facts.decided("start_return", "act"))
    new = facts.after.returns - facts.before.returns
    back = [line.item for line in facts.after.lines if line.on_its_way_back]
    once = (new, back, facts.after.acts) == (1, ["floor lamp"], (("start_return", "done"),))
    return heard and said and once


def refused_a_second_return(facts: Facts) -> bool:
    """With the reason, and without having asked for another yes."""
    done = [t["turn"] for t in facts.decided("start_return", "act")]
    later = [t for t in facts.decided("start_return") if done and t["turn"] > done[0]]
    refused = [t for t in later if t["decision"]["policy_row"] == "start_return/not_possible/already"]
    proposed = [t for t in later if t["decision"]["action"] in ("propose", "act")]
    return "registered already" in facts.heard_of(refused) and not proposed


def audited(facts: Facts) -> bool:
    """The audit has the change once, and nobody touched its chain."""
    return facts.after.audited - facts.before.audited == 1 and facts.before.chain.ok and facts.after.chain.ok


def interrupted(facts: Facts) -> bool:
    """The caller spoke over the bot, it fell silent, and the conversation holds only what was heard."""
    cut = [t for t in facts.turns if t["heard"] and not t["heard"]["complete"] and t["heard"]["text"]]
    silenced = [b for b in facts.sound.barge_ins if b.took_ms is not None and b.took_ms <= SILENT_WITHIN_MS]
    return bool(cut) and bool(silenced)


def went_on(facts: Facts) -> bool:
    """The caller murmured into an answer: the bot went on, and it was no turn."""
    murmured = any(step.murmured for step in facts.report.result.steps)
    answers = facts.decided("opening_hours", "answer")
    return murmured and any(turn["heard"] and turn["heard"]["complete"] for turn in answers)


def told_the_return_policy(facts: Facts) -> bool:
    """From an article, which is cited."""
    turns = facts.decided("return_policy", "answer")
    return bool(facts.heard_of(turns)) and any(t["decision"]["sources"] for t in turns)


def kept_twilios_rules(facts: Facts) -> bool:
    """On the caller's leg and on the agent's."""
    result = facts.report.result
    return not result.violations and not any(agent.violations for agent in result.agents)


CHECKS: tuple[tuple[str, Callable[[Facts], bool]], ...] = (
    ("greeting with the automation notice", greeted),
    ("opening hours from an article", told_opening_hours),
    ("order status after verification", verified_and_told_the_order),
    ("a return: read back, agreed to, done once", agreed_to_a_return),
    ("the same return again: refused, and why", refused_a_second_return),
    ("the audit holds it once, its chain is genuine", audited),
    ("an answer interrupted in the middle, and it fell silent", interrupted),
    ('an answer that went on over "uh huh"', went_on),
    ("return policy from an article, asked in another voice", told_the_return_policy),
    ("asked for a person: handed over with payload (version 3) and summary", lambda f: f.act.handed_over),
    ("a person was rung, once, and put through", lambda f: f.act.went_its_way),
    ("the person understood the briefing and took the call with key 1", lambda f: f.act.briefed),
    ("person and caller talked, each understood the other", lambda f: f.act.talked),
    ("both legs in the live transcript, each under its name", lambda f: f.act.both_transcribed),
    ("while the caller waited, the line was never silent for 3 s", lambda f: f.act.never_silent),
    ("no rule of Twilio's was broken, on either leg", kept_twilios_rules),
)


async def records(settings: Settings) -> Records:
    """The shop and the audit as they are now."""
    return await read_records(settings, ORDER)


def show_act(act: LastAct, out: Console) -> None:
    """The transfer in figures, and what the person has in front of them."""
    show_pairs("A person takes over:", act.sentences(), out)
    if act.payload is not None:
        title = f"What the person sees (payload version {act.payload.version}, shortened):"
        show_pairs(title, payload_sentences(act.payload), out)


def show_pairs(title: str, pairs: Iterable[tuple[str, str]], out: Console) -> None:
    """Names and values under a title, each value wrapped in its own column."""
    grid = Table.grid(padding=(0, 2))
    for name, value in pairs:
        grid.add_row(Text(f"  {name}", style="dim"), Text(value))
    out.print(f"\n{title}")
    out.print(grid)


def main() -> int:
    """Runs the demo; the exit status."""
    configure_logging("demo")
    out = Console(highlight=False)
    out.print("[bold]voicebot demo[/bold]: a server starts, and somebody phones it\n")
    began = time.monotonic()
    ears = os.environ.get("VOICEBOT_STT", EARS)
    try:
        report = asyncio.run(phone(SCRIPT, console=out, save=COPIES, data_dir=DATA, look=records, stt=ears))
    except (PhoneCallError, OwnServerError, ScriptError, EarsError) as error:
        out.print(f"there was no call: {error}", style="red", markup=False)
        return 1
    if report.conversation is None or len(report.seen) < 2:
        out.print("[red]the server has no record of the call[/red]")
        return 1
    before, after = report.seen
    act = LastAct(report)
    facts = Facts(report, report.conversation["turns"], report.result.analysis, before, after, act)
    failed = [name for name, check in CHECKS if not check(facts)]
    show_report(report, out, brief=True)
    show_act(act, out)
    for when, seen in (("before", before), ("after", after)):
        out.print(f"\nThe shop's records {when} the call:")
        for sentence in seen.sentences():
            out.print(f"  {sentence}", markup=False)
    out.print("\nChecked by sound, by the API and in the database:")
    for name, _ in CHECKS:
        out.print("  [red]MISSING[/red]" if name in failed else "  [green]ok     [/green]", name)
    for step in report.result.keypad_helped:
        out.print(f"  [yellow]the keypad had to help with: {step}[/yellow]")
    took_s = time.monotonic() - began
    out.print(f"\nserver ready after {report.ready_s or 0:.1f} s; the whole demo took {took_s:.0f} s")
    out.print(f"sound of all lines, transcript, events, timings, payload: {COPIES.relative_to(REPOSITORY)}/")
    if failed:
        log = f"{DATA.relative_to(REPOSITORY)}/server.log"
        out.print(f"[red]missing: {len(failed)} of {len(CHECKS)}, named above[/red] (server log: {log})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
