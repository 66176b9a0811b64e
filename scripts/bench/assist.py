"""How often an agent is shown the article that answers what the caller just said, and how soon.

    .venv/bin/python -m scripts.bench.assist [--spoken 60] [--lines 40] [--questions FILE] [--json]
                                             [--out FILE]

Quality: the questions of `retrieval_questions.yaml` (nothing is fitted on them) as a caller's line through
`voicebot.handoff.assist` with the real monitor and the real search. *alone*: the first line of the talk;
*in a talk*: after another question, which an agent answered; *spoiled*: with the words that a recogniser
confuses (`scripts/spoiling.py`); *spoken*: said by flite and eSpeak NG on a telephone band and heard by
PocketSphinx with its own general English model, which knows nothing of the business. *Shown*: the right
article is among the (at most three) that are shown. *Replies right*: of the replies that are suggested, those
out of a right article.

Speed: from the commit of a line to the suggestion at a reader, on the node that wrote it and on another one
(another database pool and bus, told by Postgres NOTIFY), each line in a conversation of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pocketsphinx
import soxr

from scripts.bench import report
from scripts.bench.retrieval import BENCH, Question, read_questions
from scripts.bench.servers import ROOT
from scripts.bench.stt import error_rate
from scripts.make_speech import RATE_HZ, level, silence, synthesise, telephone_band
from scripts.spoiling import spoiled
from voicebot.console.assisting import Assisting, read_line
from voicebot.core.bus import Bus
from voicebot.core.conversation import Channel, Event
from voicebot.core.settings import Settings
from voicebot.core.store import handoffs, outbox
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.migrate import ensure_schema
from voicebot.core.store.outbox import Relay
from voicebot.core.store.postgres_carrier import PostgresCarrier
from voicebot.core.store.sharing import Sharing
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.knowledge.articles import read_articles
from voicebot.dialogue.knowledge.retriever import COMPARED, Retriever
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.handoff.assist.articles import key_of
from voicebot.handoff.assist.board import Rules, Talk, asked, board
from voicebot.handoff.assist.lines import Line, Read
from voicebot.handoff.assist.suggestion import Board
from voicebot.handoff.desk import StoredHandoffs
from voicebot.handoff.patterns import Facts
from voicebot.handoff.people import People
from voicebot.handoff.reasons import Library
from voicebot.runtime.assist import make_assist, make_rules

SEED = 8
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
VOICES = (
    {"program": "flite", "name": "slt"},
    {"program": "flite", "name": "rms"},
    {"program": "espeak-ng", "name": "en-us", "words_a_minute": 150},
)
WAYS = ("alone", "in a talk", "spoiled", "spoken")


@dataclass(frozen=True)
class Tried:
    """A question as it was put, and what was shown for it."""

    question: Question
    words: str
    shown: Board

    @property
    def articles(self) -> list[str]:
        """Those that were shown, in order."""
        return [one.about for one in self.shown.suggestions if one.kind == "article"]

    @property
    def reply(self) -> list[str] | None:
        """Articles of the reply; None: none was suggested."""
        for one in self.shown.suggestions:
            if one.kind == "reply":
                return [source.article for source in one.sources]
        return None


class Agent:
    """Puts lines and sees what is suggested, by the pure core and the real search."""

    def __init__(
        self, database: Database, retriever: Retriever, rules: Rules, read: Callable[[str], Read]
    ) -> None:
        self._database = database
        self._retriever = retriever
        self._rules = rules
        self._read = read

    async def after(self, *said: tuple[str, str]) -> Board:
        """The board after these lines (who, text), 15 s apart."""
        lines = [
            Line(at, who, text, NOW + timedelta(seconds=15 * at), person=True)  # type: ignore[arg-type]
            for at, (who, text) in enumerate(said, 1)
        ]
        reads = {line.id: self._read(line.text) for line in lines}
        talk = Talk("cv_bench", lines, lambda line: reads[line.id], Facts(trigger="asked_for_person"))
        found = {}
        for ask in asked(talk, self._rules):
            async with self._database.transaction() as tx:
                found[key_of(ask)] = await self._retriever.search(
                    tx, ask.text, intent=ask.intent, limit=COMPARED
                )
        return board(talk, self._rules, found)


def heard_as(questions: Sequence[Question]) -> list[str]:
    """What PocketSphinx hears of the questions, each in one of `VOICES`."""
    model = Path(pocketsphinx.__file__).parent / "model" / "en-us"
    decoder = pocketsphinx.Decoder(
        hmm=str(model / "en-us"),
        lm=str(model / "en-us.lm.bin"),
        dict=str(model / "cmudict-en-us.dict"),
        loglevel="FATAL",
    )
    out: list[str] = []
    for at, one in enumerate(questions):
        voice = VOICES[at % len(VOICES)]
        speech = level(telephone_band(synthesise(voice, one.text, stretch=1.0)))
        wide = soxr.resample(np.concatenate([silence(200), speech, silence(300)]), RATE_HZ, 16_000)
        decoder.start_utt()
        decoder.process_raw((wide * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        out.append(decoder.hyp().hypstr if decoder.hyp() else "")
    return out


async def quality(agent: Agent, questions: Sequence[Question], spoken: int) -> dict[str, Any]:
    """Shares by way; nothing is tuned on them."""
    rng = random.Random(SEED)
    out: dict[str, Any] = {}
    some = sorted(rng.sample(range(len(questions)), min(spoken, len(questions))))
    chosen = [questions[at] for at in some]
    before = time.process_time()
    texts = await asyncio.to_thread(heard_as, chosen) if chosen else []
    if chosen:
        out["recognising_cpu_s"] = round(time.process_time() - before, 1)
    for way in WAYS:
        tried: list[Tried] = []
        for nth, one in enumerate(chosen if way == "spoken" else questions):
            match way:
                case "spoken":
                    lines = [("caller", texts[nth])]
                case "spoiled":
                    lines = [("caller", spoiled(one.text, rng))]
                case "in a talk":
                    other = rng.choice([q for q in questions if q.expect and not q.expect & one.expect])
                    lines = [
                        ("caller", other.text),
                        ("agent", "okay one moment"),
                        ("caller", one.text),
                    ]
                case _:
                    lines = [("caller", one.text)]
            tried.append(Tried(one, lines[-1][1], await agent.after(*lines)))
        out[way] = _shares(tried)
        if way == "spoken":
            same = [Tried(one, one.text, await agent.after(("caller", one.text))) for one in chosen]
            out["the same, as written"] = _shares(same)
    return out


def _shares(tried: Sequence[Tried]) -> dict[str, Any]:
    inside = [one for one in tried if one.question.expect]
    outside = [one for one in tried if not one.question.expect]
    replies = [one for one in tried if one.reply is not None]
    return {
        "questions": len(inside),
        "word_error_rate": round(error_rate([(one.question.text, one.words) for one in tried]), 4),
        "shown": _share([bool(one.question.expect & set(one.articles)) for one in inside]),
        "first": _share([bool(one.articles) and one.articles[0] in one.question.expect for one in inside]),
        "articles": round(sum(len(one.articles) for one in tried) / max(1, len(tried)), 2),
        "replies": _share([one.reply is not None for one in inside]),
        "replies_right": _share([bool(one.question.expect & set(one.reply or ())) for one in replies]),
        "without_article": len(outside),
        "none_replied": _share([one.reply is None for one in outside]),
        "none_shown": _share([not one.articles for one in outside]),
    }


def _share(truths: Sequence[bool]) -> float | None:
    return round(sum(truths) / len(truths), 4) if truths else None


# --- speed ----------------------------------------------------------------------------


@asynccontextmanager
async def node(url: str, keys: KeyRing, deployment: Deployment, library: Library) -> AsyncIterator[Any]:
    """A node as far as suggestions need one: pool, bus, relay, sharing."""
    database = await Database.open(url)
    bus = Bus()
    relay = Relay(database, keys, bus)
    sharing = Sharing(database, keys, bus, PostgresCarrier(url))
    dialogue = await Orchestrator.create(
        database=database,
        keys=keys,
        deployment=deployment,
        settings=Settings(),
        handoffs=StoredHandoffs(keys, library, People.read(ROOT)),
    )
    assisting = Assisting(make_assist(deployment, Settings(), dialogue, library, database, keys, bus))
    work = [asyncio.create_task(one) for one in (relay.run(), sharing.run())]
    try:
        yield database, relay, assisting
    finally:
        await assisting.close()
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        await dialogue.close()
        await database.close()


async def speed(url: str, questions: Sequence[Question], count: int) -> dict[str, Any]:
    """Milliseconds from a line's commit to its suggestion, here and on another node; CPU of both a line."""
    deployment, library, keys = Deployment.load(ROOT), Library.read(ROOT), KeyRing(bytes(range(32)))
    rng = random.Random(SEED)
    texts = [one.text for one in rng.sample([q for q in questions if q.expect], count)]
    waits: dict[str, list[float]] = {"here": [], "there": []}
    missed = {"here": 0, "there": 0}
    async with node(url, keys, deployment, library) as here, node(url, keys, deployment, library) as there:
        await _one(keys, here, {"here": here, "there": there}, texts[0])  # warm
        cpu_s = time.process_time()
        for text in texts:
            for name, ms in (await _one(keys, here, {"here": here, "there": there}, text)).items():
                if ms is None:
                    missed[name] += 1
                else:
                    waits[name].append(ms)
        cpu_s = time.process_time() - cpu_s
    return {
        name: {
            "lines": len(found),
            "without_suggestion": missed[name],
            "p50_ms": round(report.quantile(found, 0.5) or 0, 1),
            "p95_ms": round(report.quantile(found, 0.95) or 0, 1),
        }
        for name, found in waits.items()
    } | {"cpu_ms_a_line": round(cpu_s * 1000 / len(texts) / 2, 1)}


async def _one(keys: KeyRing, writes: Any, nodes: dict[str, Any], text: str) -> dict[str, float | None]:
    """One conversation that an agent has, read on all nodes; then its line."""
    database, relay, _ = writes
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        made = await conversations.create(
            tx, channel=Channel.PHONE, call_sid=None, caller=None, called=None, state={}
        )
        subject = (await conversations.load(tx, made)).subject_id
        handoff = await handoffs.save(
            tx, keys, conversation_id=made, turn=1, trigger="asked_for_person", urgency="normal", payload={}
        )
        await handoffs.claim(tx, handoff, "bench")
    ready, stored_s = asyncio.Event(), 0.0

    async def wait(assisting: Assisting) -> float | None:
        first = await assisting.look(made)
        async with aclosing(assisting.looks(made, first)) as looks:
            await anext(looks)
            ready.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3.0):
                    async for look in looks:
                        if look is not None and look.board.suggestions:
                            return (time.perf_counter() - stored_s) * 1000
        return None

    waiting = {name: asyncio.create_task(wait(one[2])) for name, one in nodes.items()}
    await ready.wait()
    await asyncio.sleep(0.2)
    line = Event(
        id=f"ev_{made[3:]}_1",
        type="leg.line",
        conversation_id=made,
        time=datetime.now(UTC),
        data={"who": "caller", "text": text},
    )
    async with database.transaction() as tx:
        await outbox.append(tx, keys, subject, line)
    stored_s = time.perf_counter()
    relay.poke()
    return {name: await task for name, task in waiting.items()}


def measure(questions_at: Path, spoken: int, lines: int) -> dict[str, Any]:
    """Everything, as a document."""
    known = frozenset(article.id for article in read_articles(ROOT / "business" / "knowledge"))
    questions = read_questions(questions_at, known)
    result: dict[str, Any] = {"date": report.today(), "machine": report.machine()}
    with tempfile.TemporaryDirectory(prefix="vb-bench-") as home:
        Path(home).chmod(0o755)
        with EmbeddedPostgres.start(Path(home) / "data") as postgres:
            ensure_schema(postgres.url)
            _measure_on(postgres.url, result, questions, spoken, lines)
    return result


def _measure_on(
    url: str, result: dict[str, Any], questions: Sequence[Question], spoken: int, lines: int
) -> None:
    deployment, library = Deployment.load(ROOT), Library.read(ROOT)
    rules = make_rules(deployment, library)
    asyncio.run(deployment.prepare(url))
    keys = KeyRing(bytes(range(32)))

    async def work() -> None:
        database = await Database.open(url)
        dialogue = await Orchestrator.create(
            database=database,
            keys=keys,
            deployment=deployment,
            settings=Settings(),
            handoffs=StoredHandoffs(keys, library, People.read(ROOT)),
        )
        agent = Agent(
            database, deployment.retriever(), rules, lambda text: read_line(dialogue.monitor, rules, text)
        )
        result["quality"] = await quality(agent, questions, spoken)
        await dialogue.close()
        await database.close()

    asyncio.run(work())
    if lines:
        result["speed"] = asyncio.run(speed(url, questions, lines))


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=Path, default=BENCH / "retrieval_questions.yaml")
    parser.add_argument("--spoken", type=int, default=60, help="how many are said and heard, 1-2 s each")
    parser.add_argument("--lines", type=int, default=40, help="how many lines are timed")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not options.questions.exists():
        print(f"{options.questions} is not there: give --questions FILE", file=sys.stderr)
        return 2
    result = measure(options.questions, options.spoken, options.lines)
    report.finish(result, as_json=options.json, out=options.out)
    if not options.json:
        print("\n" + report.markdown_table(QUALITY_HEAD, quality_rows(result)))
        if options.lines:
            print("\n" + report.markdown_table(SPEED_HEAD, speed_rows(result)))
    return 0


QUALITY_HEAD = (
    "", "questions", "words wrong", "right one shown", "right one first", "shown at a time", "with a reply",
    "replies right", "without an article: no reply",
)  # fmt: skip
SPEED_HEAD = ("", "lines", "p50 ms", "p95 ms", "nothing to suggest")


def quality_rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each way."""
    return [
        (
            name,
            str(one["questions"]),
            report.show(one["word_error_rate"], 3),
            report.show(one["shown"], 3),
            report.show(one["first"], 3),
            report.show(one["articles"], 2),
            report.show(one["replies"], 3),
            report.show(one["replies_right"], 3),
            report.show(one["none_replied"], 3),
        )
        for name, one in result["quality"].items()
        if isinstance(one, dict)
    ]


def speed_rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each node."""
    return [
        (
            {"here": "the node that wrote the line", "there": "another node"}[name],
            str(one["lines"]),
            report.show(one["p50_ms"]),
            report.show(one["p95_ms"]),
            str(one["without_suggestion"]),
        )
        for name, one in result["speed"].items()
        if isinstance(one, dict)
    ]


if __name__ == "__main__":
    raise SystemExit(main())
