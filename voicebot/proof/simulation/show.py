"""Shows a call while it runs: both sides' words, and how long the caller waited for each answer."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.text import Text

_WHO = {
    "caller": "bold cyan",
    "bot": "bold green",
    "agent": "bold blue",
    "keys": "bold magenta",
    "note": "dim",
}


class Show:
    """Prints lines as they come; on a terminal a last line shows the words that are just being spoken.

    ``console=None`` shows nothing. Use as a context manager.
    """

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._live: Live | None = None
        if console is not None and console.is_terminal:
            self._live = Live(Text(""), console=console, transient=True, refresh_per_second=10)

    def __enter__(self) -> Show:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def line(self, who: str, text: str, at_ms: float) -> None:
        """A finished line; ``who`` is caller, bot, agent, keys or note."""
        if self._console is None:
            return
        self.partial("", "")
        label = {"keys": "caller"}.get(who, who)
        row = Text.assemble((f"{at_ms / 1000:6.1f} s  ", "dim"), (f"{label:<7}", _WHO[who]), text)
        self._console.print(row, soft_wrap=True, highlight=False)

    def latency(self, latency_ms: float) -> None:
        """The bot's first sound reached the caller so long after their last."""
        if self._console is None:
            return
        words = f"heard {latency_ms / 1000:.2f} s after the caller's last sound"
        if latency_ms < 0:
            words = f"the bot began {-latency_ms / 1000:.2f} s before the caller was done"
        self._console.print(Text(f"{'':16}{words}", style="dim yellow"), highlight=False)

    def partial(self, who: str, text: str) -> None:
        """Words that may still change."""
        if self._live is not None:
            shown = f"          {who:<7}{text} ..." if text else ""
            self._live.update(Text(shown, style="dim", no_wrap=True, overflow="ellipsis"))
