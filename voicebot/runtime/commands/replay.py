"""``voicebot replay``: recorded calls through today's code, and what differs."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from voicebot.core.settings import Settings
    from voicebot.proof.replay.run import Options, RecordedCall, Replayed


@dataclass(frozen=True)
class Asked:
    """What stands on the command line beside the calls.

    ``log``: a folder for event logs. ``progress``: a program watches, which reads the standard error.
    """

    options: Options
    key: Path | None = None
    as_json: bool = False
    turns: bool = False
    log: Path | None = None
    real_time: bool = False
    url: str | None = None
    progress: bool = False


def replay(calls: list[str], settings: Settings, asked: Asked, out: Console) -> bool:
    """Runs them one after the other; whether each went as it did and must.

    Raises:
        ReplayError: a recording, key or engine is not there; a recording that is damaged beside others is
            told of and counts as failed.
    """
    from voicebot.proof.replay.errors import NoSuchRecording
    from voicebot.proof.replay.finding import names_of

    names = names_of(calls)
    if not names:
        raise NoSuchRecording("there are no recordings among what was given: files end in .vbrec")
    if asked.real_time:
        from voicebot.runtime.replaying import over_the_wire

        return over_the_wire(names, settings, asked, out)
    return _in_virtual_time(names, settings, asked, out)


def _in_virtual_time(names: list[str], settings: Settings, asked: Asked, out: Console) -> bool:
    from voicebot.proof.replay.errors import NotReplayable
    from voicebot.proof.replay.facts import facts_in
    from voicebot.proof.replay.finding import find
    from voicebot.proof.replay.run import OLDEST_DAY, Replayer
    from voicebot.proof.replay.show import as_dict, show

    found: list[RecordedCall] = []
    wrong: dict[str, str] = {}
    for name in names:
        try:
            found.append(asyncio.run(find(name, settings, asked.key)))
        except NotReplayable as error:
            if len(names) == 1:
                raise
            wrong[name] = str(error)
    facts = [facts_in(call.events) for call in found]
    day = next((one.started_at for one in facts if one is not None), OLDEST_DAY).date()
    documents: list[dict[str, Any]] = []
    fine = 0
    seconds = [0.0, 0.0]
    if found:
        with Replayer.open(asked.options, settings, day) as replayer:
            for call, name in zip(found, [n for n in names if n not in wrong], strict=True):
                try:
                    one = replayer.replay(call, _tell if asked.progress else None)
                except NotReplayable as error:
                    if len(names) == 1:
                        raise
                    wrong[name] = str(error)
                    continue
                missed = _missed(name, one) if asked.options.until is None else []
                fine += one.ok and not missed
                seconds = [seconds[0] + one.virtual_s, seconds[1] + one.real_s]
                documents.append(as_dict(one, missed))
                if asked.log is not None:
                    asked.log.mkdir(parents=True, exist_ok=True)
                    (asked.log / f"{call.name}.jsonl").write_bytes(one.log)
                if not asked.as_json:
                    turns = asked.turns or len(names) == 1
                    show(one, missed, out, waterfalls=turns, since=asked.options.since)
    ok = fine == len(names)
    if asked.as_json:
        print(json.dumps({"ok": ok, "calls": documents, "not_replayed": wrong}, indent=2))  # noqa: T201
        return ok
    for name, text in wrong.items():
        out.print(f"not run {name}: {text}", style="red", markup=False)
    if len(names) > 1:
        speed = seconds[0] / seconds[1] if seconds[1] else 0.0
        out.print(
            f"\n{fine} of {len(names)} as they were and must be; "
            f"{seconds[0]:.0f} s of calls in {seconds[1]:.0f} s ({speed:.0f}x)"
        )
    return ok


def _tell(at_ms: int, of_ms: int) -> None:
    print(json.dumps({"replayed_ms": at_ms, "of_ms": of_ms}), file=sys.stderr, flush=True)  # noqa: T201


def _missed(name: str, one: Replayed) -> list[str]:
    """What the script beside a sample says of it and is not so."""
    from voicebot.proof.replay.samples import read_sample

    beside = Path(f"{name}.yaml")
    if not beside.exists():
        return []
    expect = read_sample(beside).expect
    return [] if expect is None else list(expect.missed(one.now, one.outcome))
