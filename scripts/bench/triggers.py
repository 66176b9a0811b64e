"""Who is given to a person and who should be: precision and recall of the triggers.

    .venv/bin/python -m scripts.bench.triggers [--json]

Two measures. The golden set is held whole; a turn is one for a person where its expectation says so, one for
the bot where its expectation says otherwise or the script goes on talking with the bot, and not counted where
nothing is said of it. The held-out lines of the monitor, which nothing was trained on or written against, are
each said as the first words of a conversation: lines of `person` and `distress` are for a person; those of an
intent whose row leaves it with the bot are not; the others are not counted. Prints a table and what is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import yaml

from scripts.bench.report import machine, today
from voicebot.core.conversation import Channel, Utterance
from voicebot.core.settings import load_settings
from voicebot.core.store.conversations import Conversations
from voicebot.dialogue import state as states
from voicebot.dialogue.deployment import Deployment
from voicebot.proof.evals.conversation import Expect, HandoffExpected
from voicebot.proof.evals.reading import read_set
from voicebot.proof.evals.runner import HeldConversation, run_set
from voicebot.proof.evals.scratch import prepare, scratch_database
from voicebot.safety.policy import Policy, Reads

ENDING = frozenset({"escalate", "route"})
MOST_NAMED = 12


@dataclass
class Score:
    """Counts of one measure. ``wrong``: escalations that nobody needed; ``missed``: needed and not made."""

    right: int = 0
    wrong: list[str] = field(default_factory=list[str])
    missed: list[str] = field(default_factory=list[str])
    left: int = 0
    """Rightly left with the bot."""
    unlabelled: int = 0
    fired: Counter[str] = field(default_factory=Counter[str])
    mistaken: Counter[str] = field(default_factory=Counter[str])

    def note(self, name: str, *, needed: bool | None, trigger: str | None) -> None:
        """One turn. ``needed``: whether a person is; None: nobody said."""
        kind = trigger.partition(":")[0] if trigger else ""
        if needed is None:
            self.unlabelled += 1
            return
        if trigger:
            self.fired[kind] += 1
        if needed and trigger:
            self.right += 1
        elif needed:
            self.missed.append(name)
        elif trigger:
            self.mistaken[kind] += 1
            self.wrong.append(f"{name} ({trigger})")
        else:
            self.left += 1

    def as_dict(self) -> dict[str, Any]:
        """With precision and recall, None where there is nothing to divide by."""
        escalated, needed = self.right + len(self.wrong), self.right + len(self.missed)
        return {
            "for_a_person": needed,
            "for_the_bot": self.left + len(self.wrong),
            "not_labelled": self.unlabelled,
            "right": self.right,
            "over_eager": len(self.wrong),
            "missed": len(self.missed),
            "precision": round(self.right / escalated, 4) if escalated else None,
            "recall": round(self.right / needed, 4) if needed else None,
            "by_trigger": {name: [count, self.mistaken[name]] for name, count in self.fired.most_common()},
            "over_eager_turns": self.wrong,
            "missed_turns": self.missed,
        }


def needed(expect: Expect | None, *, goes_on: bool) -> bool | None:
    """Whether an expectation, or the script that goes on, says that a person is needed."""
    if expect is not None:
        if isinstance(expect.handoff, HandoffExpected):
            return True
        if expect.handoff == "none" or (expect.trigger and "*" in expect.trigger):
            return expect.handoff != "none"
        if expect.trigger is not None:
            return True
        if expect.after is not None and len(expect.after) == 1:
            return expect.after[0] == "hand_over"
        if expect.action is not None:
            handed = [action in ENDING for action in expect.action]
            return all(handed) if all(handed) or not any(handed) else None  # either will do
    return False if goes_on else None


def of_golden(held: tuple[HeldConversation, ...]) -> Score:
    """The triggers over the golden set as it was held."""
    score = Score()
    for each in held:
        for nth, turn in enumerate(each.turns):
            rest = [later for later in each.turns[nth + 1 :] if later.turn.contact is None]
            goes_on = bool(rest) and each.turns[nth + 1].turn.contact is None
            if turn.got is None or turn.turn.contact is not None:
                continue
            expected = needed(turn.turn.expect, goes_on=goes_on)
            score.note(f"{each.name}, turn {nth + 1}", needed=expected, trigger=turn.got.trigger)
    return score


def held_out(folder: Path, policy: Policy) -> Iterator[tuple[str, str, bool | None]]:
    """Lines nothing was trained on: (where, words, whether a person is needed)."""
    for intent, lines in _yaml(folder / "intents_heldout.yaml")["heldout"].items():
        rule = policy.rule(intent)
        if intent in {"person", "distress"}:
            wanted: bool | None = True
        elif rule is not None and rule.reads is Reads.PERSON:
            wanted = None  # policy's own: whether it was understood is the monitor's figure
        else:
            wanted = False
        for nth, words in enumerate(lines):
            yield f"{intent} {nth + 1}", words, wanted
    moods = _yaml(folder / "monitor_heldout.yaml")
    for nth, words in enumerate(moods["distress"]):
        yield f"distress (how it sounds) {nth + 1}", words, True
    for nth, words in enumerate(moods["not_distress"]):
        yield f"not distress {nth + 1}", words, False


async def measure(settings: Any, deployment: Deployment) -> dict[str, Any]:
    """Both measures, on a database of their own."""
    business = settings.deployment / "business"
    golden_set = read_set(business / "golden")
    with scratch_database() as url:
        await prepare(url, deployment, golden_set.rules)
        run = await run_set(golden_set, url=url, deployment=deployment, settings=settings)
        lines = await of_lines(url, settings, deployment)
    return {
        "machine": machine(),
        "date": today(),
        "golden": {"conversations": len(run.held), **of_golden(run.held).as_dict()},
        "held_out": lines.as_dict(),
    }


async def of_lines(url: str, settings: Any, deployment: Deployment) -> Score:
    """Each line said as the first words of a chat."""
    from voicebot.core.store.database import Database
    from voicebot.core.store.keys import KeyRing
    from voicebot.dialogue.orchestrator import Orchestrator
    from voicebot.handoff.desk import StoredHandoffs

    keys, score = KeyRing(bytes(32)), Score()
    database = await Database.open(url)
    orchestrator = await Orchestrator.create(
        database=database,
        keys=keys,
        deployment=deployment,
        settings=settings,
        handoffs=StoredHandoffs.of(keys, deployment.folder),
    )
    conversations = Conversations(keys)
    try:
        for where, words, wanted in held_out(deployment.folder / "business", deployment.policy):
            async with database.transaction() as tx:
                made = await conversations.create(
                    tx,
                    channel=Channel.CHAT,
                    call_sid=None,
                    caller=None,
                    called=None,
                    state=states.new_state(),
                )
            plan = await orchestrator.plan(made, Utterance(text=words))
            score.note(where, needed=wanted, trigger=plan.decision.trigger)
            await orchestrator.discard(plan)
    finally:
        await orchestrator.close()
        await database.close()
    return score


def page(found: dict[str, Any]) -> str:
    """Both tables, as they stand in docs/benchmarks.md."""
    rows = [
        "| | for a person | given to one | over-eager | missed | precision | recall |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, key in (("golden set", "golden"), ("held-out lines", "held_out")):
        one = found[key]
        given = one["right"] + one["over_eager"]
        rows.append(
            f"| {name} | {one['for_a_person']} | {given} | {one['over_eager']} of {one['for_the_bot']} "
            f"| {one['missed']} | {one['precision']} | {one['recall']} |"
        )
    lines = [*rows, ""]
    for key in ("golden", "held_out"):
        one = found[key]
        shown = ", ".join(
            f"{name} {count}{f' ({wrong} of them over-eager)' if wrong else ''}"
            for name, (count, wrong) in one["by_trigger"].items()
        )
        lines.append(f"{key}, fired: {shown}.")
        for kind in ("over_eager", "missed"):
            named = one[f"{kind}_turns"]
            if named:
                more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
                lines.append(f"{key}, {kind}: {'; '.join(named[:MOST_NAMED])}{more}.")
    return "\n".join(lines)


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def main() -> None:
    """Prints the tables, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    settings = load_settings()
    found = asyncio.run(measure(settings, Deployment.load(settings.deployment)))
    sys.stdout.write((json.dumps(found, indent=2) if arguments.json else page(found)) + "\n")


if __name__ == "__main__":
    main()
