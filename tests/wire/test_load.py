"""A load test measures what a server is known to do, and says why it cannot phone another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from fastapi import FastAPI, Response
from twilio_kit import AUTH_TOKEN, free_port
from twilio_kit import serving as serving_app

from scripts.bench.bare_server import Manners, serving
from voicebot.proof.loadtest import front
from voicebot.proof.loadtest.figures import StepFigures
from voicebot.proof.loadtest.mix import CallerKind
from voicebot.proof.loadtest.plan import LoadError, LoadStep
from voicebot.proof.loadtest.run import Beat, LoadRun, run
from voicebot.proof.simulation.recording import wav_bytes
from voicebot.proof.simulation.script import CallScript

ANSWERS_AFTER_MS = 200


class Watched:
    def __init__(self) -> None:
        self.beats: list[Beat] = []

    def says(self, text: str) -> None:
        assert "broke down" not in text, text

    def pulse(self, step: LoadStep, nth: int, seconds: float, beat: Beat) -> None:
        self.beats.append(beat)

    def step(self, figures: StepFigures) -> None:
        pass


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """One line: 300 ms of hum."""
    t = np.arange(2400) / 8000
    hum = (np.sin(2 * np.pi * 300 * t) * 8000).astype(np.int16)
    folder = tmp_path / "lines"
    (folder / "hum").mkdir(parents=True)
    (folder / "hum" / "hello.wav").write_bytes(wav_bytes(hum))
    (folder / "lines.yaml").write_text("- {name: hello, voice: hum, text: hello}\n")
    return folder


async def test_what_callers_measure_is_what_the_server_does(lines: Path, tmp_path: Path) -> None:
    """Three lines phone a server with room for two: no answer comes sooner than it does, one line is busy."""
    script = CallScript.model_validate(
        {"voice": "hum", "steps": [{"say": "hello"}] * 20, "silence_ms": 300, "pause_ms": 0}
    )
    watched = Watched()
    async with serving(Manners(answers_after=ANSWERS_AFTER_MS, hums=400, room=2)) as url:
        load = LoadRun(
            url=url,
            steps=[LoadStep(3, 6.0)],
            kinds=[CallerKind("hums", script, 1.0)],
            lines=lines,
            cache=tmp_path / "cache",
        )
        (step,) = await run(load, watched)
    assert step.outcomes["busy"] >= 1
    assert step.outcomes["served"] == 2
    assert step.refused_in.count == step.outcomes["busy"]
    assert step.latency.count >= 2
    assert step.latency.p50 is not None
    assert step.latency.p50 >= ANSWERS_AFTER_MS - 20
    assert (step.cut_offs, step.talked_on, step.violations) == (0, 0, ())
    assert step.generator["frames"] > 200
    assert step.server is not None
    assert step.server.cores is not None
    assert any(beat.active for beat in watched.beats)


async def test_a_server_that_takes_nobody_ends_the_run_and_is_no_result(lines: Path, tmp_path: Path) -> None:
    script = CallScript.model_validate({"voice": "hum", "steps": [{"say": "hello"}]})
    async with serving(Manners(room=0)) as url:
        load = LoadRun(
            url=url,
            steps=[LoadStep(2, 1.0), LoadStep(4, 3600.0)],
            kinds=[CallerKind("hums", script, 1.0)],
            lines=lines,
            cache=tmp_path / "cache",
        )
        with pytest.raises(LoadError, match=r"took none of 2 calls \(2 busy\): is it off"):
            await run(load, Watched())


@pytest_asyncio.fixture
async def elsewhere() -> AsyncIterator[str]:
    """A web server that is no voicebot."""
    app = FastAPI()

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"hello": "there"}

    _ = readyz
    async with serving_app(app, free_port()) as url:
        yield url


async def test_why_a_server_cannot_be_phoned(elsewhere: str) -> None:
    with pytest.raises(LoadError, match="not a voicebot"):
        await front.look(elsewhere, None, AUTH_TOKEN)
    gone = free_port()
    with pytest.raises(LoadError, match="nobody answers"):
        await front.look(f"http://127.0.0.1:{gone.getsockname()[1]}", None, AUTH_TOKEN)
    gone.close()
    async with serving(Manners(ready=False)) as url:
        with pytest.raises(LoadError, match=r"not ready \(node: draining"):
            await front.look(url, None, AUTH_TOKEN)


async def test_a_server_that_refuses_our_signature(elsewhere: str) -> None:
    app = FastAPI()

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/twilio/status")
    async def status() -> Response:
        return Response("refused: forged_signature\n", status_code=403)

    _ = (readyz, status)
    async with serving_app(app, free_port()) as url:
        with pytest.raises(LoadError, match=r"forged_signature.*TWILIO_AUTH_TOKEN"):
            await front.look(url, None, AUTH_TOKEN)


@pytest.mark.parametrize(
    ("url", "own", "says"),
    [
        ("http://192.0.2.7:8080", False, "--i-own-this-server"),
        ("https://voice.example.com", False, "--i-own-this-server"),
        ("ftp://127.0.0.1", False, "address"),
        ("http://127.0.0.1:8080/twilio/voice", False, "address"),
        ("127.0.0.1:8080", False, "address"),
    ],
)
def test_only_this_machine_unless_it_is_said_to_be_ours(url: str, own: bool, says: str) -> None:
    with pytest.raises(LoadError, match=says):
        front.checked_url(url, own=own)


def test_addresses_that_may_be_phoned() -> None:
    assert front.checked_url("http://localhost:8080/", own=False) == "http://localhost:8080"
    assert front.checked_url("https://voice.example.com", own=True) == "https://voice.example.com"
