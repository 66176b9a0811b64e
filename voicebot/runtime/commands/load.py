"""``voicebot load``: many callers at once, live on the terminal, and what came of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from voicebot.core.settings import Settings
from voicebot.proof.loadtest import front, page, plan, report
from voicebot.proof.loadtest.figures import Spread, StepFigures
from voicebot.proof.loadtest.mix import CallerKind, read_folder, read_mix
from voicebot.proof.loadtest.plan import LoadStep
from voicebot.proof.loadtest.report import LoadReport
from voicebot.proof.loadtest.run import Beat, LoadRun, run
from voicebot.proof.simulation.webhooks import is_loopback


def load(
    settings: Settings, url: str, console: Console | None, *,
    calls: int | None, ramp: str | None, hold_s: float, mix: Path | None, scripts: Path | None,
    lines: Path | None, processes: int | None, seed: int, own: bool,
    public_url: str | None, note: str,
) -> LoadReport:  # fmt: skip
    """Makes a run; ``console``: where to show it live, None: nowhere.

    Raises:
        LoadError, ScriptError: see ``loadtest.run``.
    """
    steps = plan.steps(calls, ramp, hold_s)
    address = front.checked_url(url, own=own)
    recordings = settings.deployment / "recordings"
    kinds = _kinds(mix, scripts, recordings / "load" / "mix.yaml")
    beside = scripts if scripts is not None else (mix or recordings / "load" / "mix.yaml").parent
    local = is_loopback(urlsplit(address).hostname)
    token = settings.twilio_auth_token
    wanted = LoadRun(
        url=address,
        steps=steps,
        kinds=kinds,
        lines=lines or recordings / "lines",
        texts=beside / "texts.yaml",
        cache=settings.data_dir / "load",
        public_url=(public_url or (settings.public_url if local else None) or address).rstrip("/"),
        account_sid=settings.twilio_account_sid,
        auth_token=token.get_secret_value() if token is not None else None,
        api_token=settings.api_token.get_secret_value() if settings.api_token is not None else None,
        processes=processes,
        seed=seed,
    )
    deaf = sorted({kind.name for kind in kinds if kind.hears_nothing_of})
    if console is not None and deaf:
        names = ", ".join(deaf)
        console.print(f"  {names}: listens for words, which load callers do not hear", markup=False)
    with _Terminal(console, len(steps)) as terminal:
        figures = asyncio.run(run(wanted, terminal))
    return report.make(address, [(kind.name, kind.weight) for kind in kinds], figures, note)


def _kinds(mix: Path | None, scripts: Path | None, shipped: Path) -> list[CallerKind]:
    if scripts is None:
        return read_mix(mix or shipped)
    return [*(read_mix(mix) if mix is not None else []), *read_folder(scripts)]


def save(made: LoadReport, *, page_to: Path | None, json_to: Path | None) -> None:
    """Writes what was asked for."""
    for path, text in ((page_to, page.page), (json_to, _json)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(made), encoding="utf-8")


def _json(made: LoadReport) -> str:
    return json.dumps(made.as_dict(), indent=1) + "\n"


def show(made: LoadReport, out: Console) -> None:
    """The knee, and whether to believe it."""
    found = made.knee
    if found.broke_at is not None:
        good = "not even the lightest step holds" if found.calls is None else f"{found.calls} calls"
        out.print(f"\n  [bold]knee: {good}[/bold]; at {found.broke_at}: {'; '.join(found.because)}")
    elif found.calls is not None and len(made.steps) > 1:
        out.print(f"\n  [bold]no knee up to {found.calls} calls[/bold]")
    if not made.valid:
        what = "not valid: the callers' own clocks were late, so these are no figures of the server"
        out.print(f"\n  [yellow]{what}[/yellow]")
        for step in made.steps:
            for why in step.why_invalid:
                out.print(f"    {step.calls} calls: {why}", markup=False)


class _Terminal:
    """One quiet line that changes, and one that stays per step."""

    def __init__(self, console: Console | None, steps: int) -> None:
        self._console = console
        self._steps = steps
        self._live = (
            Live(console=console, transient=True, refresh_per_second=2) if console is not None else None
        )

    def __enter__(self) -> _Terminal:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def says(self, text: str) -> None:
        if self._live is not None:
            self._live.update(Text(f"  {text}"))

    def pulse(self, step: LoadStep, nth: int, seconds: float, beat: Beat) -> None:
        if self._live is None:
            return
        heard = beat.latencies_ms
        p50, p95 = np.percentile(heard, (50, 95)) if heard else (0.0, 0.0)
        parts = [
            f"step {nth + 1} of {self._steps}" if self._steps > 1 else "",
            f"{beat.active} of {step.calls} calls",
            f"{max(0.0, step.hold_s - seconds):.0f} s left",
            f"{len(heard)} turns, p50 {p50:.0f} p95 {p95:.0f} ms" if heard else "no turn yet",
            f"{beat.refused} refused" if beat.refused else "",
            f"server {beat.cores:.1f} cores" if beat.cores is not None else "",
            f"loop late {beat.loop_lag_ms:.0f} ms" if beat.loop_lag_ms is not None else "",
            f"callers late {beat.late_p99_ms:.1f} ms",
        ]
        self._live.update(Text("  " + " · ".join(part for part in parts if part)))

    def step(self, figures: StepFigures) -> None:
        if self._console is not None:
            self._console.print(_line(figures), markup=False)


def _line(step: StepFigures) -> str:
    parts = [
        f"  {step.calls:4d} calls",
        f"turns {step.turns}: {_spread(step.latency)}",
        f"cut off {step.cut_offs}, unanswered {step.unanswered}",
        f"barge-in {_spread(step.barge_in)}" if step.barge_in.count else "",
        f"holes {step.gaps.count}" + (f" (to {step.gaps.worst:.0f} ms)" if step.gaps.count else ""),
        f"refused {step.refused} in {step.refused_in.p95:.0f} ms" if step.refused_in.p95 is not None else "",
        f"WER {step.wer:.0%}" if step.wer is not None else "",
    ]
    server = step.server
    if server is not None and server.cores is not None:
        memory = "" if server.pss_mb is None else f", {server.pss_mb:.0f} MB"
        parts.append(f"server {server.cores:.2f} cores{memory}")
    if not step.valid:
        parts.append("NOT VALID")
    return " · ".join(part for part in parts if part)


def _spread(spread: Spread) -> str:
    if spread.p50 is None or spread.p95 is None or spread.p99 is None:
        return "-"
    return f"p50 {spread.p50:.0f} p95 {spread.p95:.0f} p99 {spread.p99:.0f} ms"
