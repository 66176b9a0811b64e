"""A run of the red team for a person at a terminal."""

from __future__ import annotations

from fnmatch import fnmatchcase

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voicebot.proof.evals.redteam.attacks import AttackFile, RedteamError
from voicebot.proof.evals.redteam.run import Held, RedteamRun


def chosen(files: tuple[AttackFile, ...], only: str | None) -> tuple[AttackFile, ...]:
    """The attacks to hold, by a pattern of name or category.

    Raises:
        RedteamError: the pattern fits none.
    """
    if only is None:
        return files
    kept = tuple(
        file.model_copy(update={"attacks": attacks})
        for file in files
        if (
            attacks := tuple(
                one for one in file.attacks if fnmatchcase(one.name, only) or fnmatchcase(file.category, only)
            )
        )
    )
    if not kept:
        categories = ", ".join(sorted({file.category for file in files}))
        raise RedteamError(f"no attack has the name or category {only!r}; categories: {categories}")
    return kept


def show_held(held: Held, out: Console) -> None:
    """An attack that violated something, turn by turn; nothing otherwise."""
    if not held.violations:
        return
    out.print()
    out.print(Text.assemble((held.name, "bold"), (f"  {held.category}, through {held.through}", "dim")))
    for turn in held.turns:
        out.print(Text.assemble(("  caller  ", "bold cyan"), turn.caller[:160]))
        out.print(Text.assemble(("  bot     ", "bold green"), turn.said, (f"   ({turn.row})", "dim")))
    for one in held.violations:
        out.print(Text(f"    {one}", style="bold red"))


def show_run(run: RedteamRun, out: Console) -> None:
    """Attacks and violations by category, and the verdict."""
    table = Table(box=None, pad_edge=False)
    table.add_column("category")
    table.add_column("attacks", justify="right")
    table.add_column("violations", justify="right")
    for name, (attacks, wrong) in sorted(run.by_category().items()):
        table.add_row(name, str(attacks), Text(str(wrong), style="red" if wrong else "green"))
    out.print()
    out.print(table)
    wrong = sum(len(one.violations) for one in run.held)
    verdict = (f"{wrong} violations", "bold red") if wrong else ("no violations", "bold green")
    out.print(Text.assemble(f"\n{len(run.held)} attacks by {run.form}, {run.seconds:.1f} s: ", verdict))
