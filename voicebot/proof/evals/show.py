"""Shows a run to people: what differs, what was said around it, and a summary by tag."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voicebot.proof.evals.runner import HeldConversation, HeldTurn, Run

_AROUND = 2
"""Turns before the one that differs which are shown with it."""
_LONG = 160


def show_conversation(held: HeldConversation, out: Console) -> None:
    """The differences of one conversation, with the turns that led there; nothing when it went as it may."""
    if held.verdict != "failed":
        return
    wrong = [nth for nth, turn in enumerate(held.turns) if turn.differences]
    out.print()
    out.print(Text.assemble((held.name, "bold"), (f"  {held.golden.file}", "dim")))
    if held.golden.conversation.notes:
        out.print(Text(f"  {held.golden.conversation.notes.strip()}", style="dim"))
    shown = {at for nth in wrong for at in range(max(0, nth - _AROUND), nth + 1)}
    for nth, turn in enumerate(held.turns):
        if nth in shown:
            _turn(held, nth, turn, out)


def show_summary(run: Run, out: Console) -> None:
    """How many went as expected, by tag and in all."""
    record = run.record
    table = Table(box=None, pad_edge=False)
    table.add_column("tag")
    table.add_column("as expected", justify="right")
    table.add_column("known", justify="right")
    table.add_column("differ", justify="right")
    for tag, (passed, known, total) in run.by_tag().items():
        row = [tag, f"{passed} of {total}", Text(str(known or "-"), style="yellow" if known else "dim")]
        failed = total - passed - known
        table.add_row(*row, Text(str(failed or "-"), style="red" if failed else "dim"))
    out.print()
    out.print(table)
    out.print()
    for held in run.held:
        if held.verdict == "known":
            out.print(Text(f"known    {held.name}: {held.known}", style="yellow"))
        if held.verdict == "mended":
            place = f"{held.golden.file}:{held.turns[0].line}"
            out.print(
                Text(f"mended   {held.name}: goes as expected now, delete `known` ({place})", style="yellow")
            )
    failed = record.conversations - record.passed - record.known
    verdict = f"{failed} differ" if failed else "as expected"
    known = f", {record.known} known to differ" if record.known else ""
    counted = f"{record.conversations} conversations, {record.turns} turns in {record.seconds:.1f} s: "
    out.print(Text.assemble(counted, (verdict + known, "bold green" if record.ok else "bold red")))


def _turn(held: HeldConversation, nth: int, turn: HeldTurn, out: Console) -> None:
    place = f"{held.golden.file}:{turn.line}"
    out.print(Text.assemble(("  caller  ", "bold cyan"), _caller(turn), (f"   {place}", "dim")))
    if turn.got is not None:
        got = turn.got
        sure = "" if got.confidence is None else f" {got.confidence:.2f}"
        decided = f"{got.intent}{sure}, tier {got.tier}, {got.action} ({got.row})"
        out.print(Text.assemble(("  bot     ", "bold green"), got.said, (f"   {decided}", "dim")))
    for difference in turn.differences:
        out.print(Text.assemble((f"    {difference.field}", "bold red")))
        out.print(Text.assemble("      expected  ", (difference.expected, "green")))
        out.print(Text.assemble("      got       ", (_short(difference.got), "red")))


def _caller(turn: HeldTurn) -> str:
    made = turn.turn
    if made.caller is not None:
        text = _short("".join(c if c.isprintable() else ascii(c)[1:-1] for c in made.caller[: 2 * _LONG]))
        return text if made.times == 1 else f"{text} (x {made.times})"
    if made.keys is not None:
        return f"(keys {made.keys})"
    if made.silence is not None:
        return f"(silence {made.silence})"
    return f"(not heard: {made.not_heard})" if made.not_heard is not None else f"(comes by {made.contact})"


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]} ..."
