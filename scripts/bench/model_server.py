"""A language model's place in a bench: canned answers after a fixed time, over OpenAI's protocol.

The server is the one of the tests (``tests/wire/language_model_server.py``); the answers and the time to the
first token are those of the stock bot (``answers.yaml`` or another file of its form).

    .venv/bin/python -m scripts.bench.model_server --answers scripts/bench/turns.yaml

Prints one JSON line, ``{"url": "http://127.0.0.1:..."}``, when it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from scripts.bench.answers import Answers, read_answers
from scripts.bench.servers import ROOT
from voicebot.core.process import die_with_parent

sys.path.insert(0, str(ROOT / "tests" / "wire"))  # the tests' folders are no packages

from language_model_server import LanguageModelServer, running

_QUESTION = re.compile(r"<caller>(.*?)</caller>", re.DOTALL)


def question(body: dict[str, Any]) -> str:
    """The caller's last words in a request for a chat completion, as our prompt marks them."""
    text = str(body["messages"][-1]["content"])
    found = _QUESTION.findall(text)
    return found[-1] if found else text


def served(answers: Answers) -> LanguageModelServer:
    """A server that answers as the stock bot's stand-in does."""

    def reply(body: dict[str, Any]) -> list[str]:
        return answers.tokens(question(body))

    return LanguageModelServer(reply=reply, first_token_s=answers.first_token_s)


async def serve(answers: Answers) -> None:
    """Until a signal."""
    async with running(served(answers)) as url:
        print(json.dumps({"url": url, "pid": os.getpid()}), flush=True)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--parent", type=int, help="end when this process, which started us, ends")
    options = parser.parse_args()
    if options.parent is not None:
        die_with_parent(options.parent, signal.SIGTERM)
    asyncio.run(serve(read_answers(options.answers, more=False)[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
