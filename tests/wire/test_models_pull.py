"""A pulled model is whole and checked, or it is not in place: whatever the hub, the wire or the disk does."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_hub import Fault, LocalHub
from models_kit import (
    REPOSITORY,
    VOICE,
    WEIGHTS,
    WEIGHTS_PATH,
    ctranslate2,
    downloader,
    fill,
    manifest,
    store,
    voice_files,
    whisper_files,
)
from typer.testing import CliRunner

from voicebot.audio.engines.choice import Machine, choose
from voicebot.audio.engines.models import pull as pull_module
from voicebot.audio.engines.models.download import Downloader, Patience
from voicebot.audio.engines.models.errors import (
    BrokenDownload,
    DiskFull,
    HubRefused,
    HubUnreachable,
    ModelsError,
    NotWritable,
    PullRunning,
    UnknownModel,
    WrongContent,
    WrongFormat,
)
from voicebot.audio.engines.models.manifest import Model
from voicebot.audio.engines.models.pull import Pulled, pull
from voicebot.audio.engines.models.store import Store
from voicebot.audio.engines.models.verify import State, verify
from voicebot.cli import app
from voicebot.core.settings import Settings

HALF = WEIGHTS // 2


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as server:
        fill(server)
        yield server


def fetch(
    here: Store, hub: LocalHub, name: str = "base.en", tries: int = 5, silence_s: float = 5.0
) -> Pulled:
    with downloader(hub, tries, silence_s) as source:
        return pull(here.manifest.find(name), here, source, lambda *_: None)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "pull.json"}


def half_made(here: Store) -> list[Path]:
    """What lies about besides whole models and locks."""
    partial = here.models / ".partial"
    return [p for p in partial.rglob("*") if p.is_file() and p.suffix != ".lock"] if partial.is_dir() else []


# What a pull leaves


def test_a_whisper_model_lies_whole_where_the_engine_looks(tmp_path: Path, hub: LocalHub) -> None:
    here = store(tmp_path)
    done = fetch(here, hub)
    assert done.path == tmp_path / "data" / "models" / "whisper" / "base.en"
    assert contents(done.path) == whisper_files()
    assert done.first_use == ()
    assert not half_made(here)


@pytest.mark.parametrize("asked", ["auto", "whisper:base.en"])
def test_choose_takes_a_pulled_whisper_model(tmp_path: Path, hub: LocalHub, asked: str) -> None:
    fetch(store(tmp_path), hub)
    settings = Settings(stt=asked, tts="espeak", data_dir=tmp_path / "data")
    spec = choose(settings, Machine(tmp_path / "nothing", False, lambda _: True)).stt
    assert (spec.kind, spec.model) == ("whisper", str(tmp_path / "data" / "models" / "whisper" / "base.en"))


@pytest.mark.parametrize("asked", ["auto", f"piper:{VOICE}"])
def test_choose_takes_a_pulled_voice(tmp_path: Path, hub: LocalHub, asked: str) -> None:
    here = store(tmp_path)
    done = fetch(here, hub, VOICE)
    settings = Settings(stt="sphinx", tts=asked, data_dir=tmp_path / "data")
    spec = choose(settings, Machine(tmp_path / "nothing", False, lambda _: True)).tts
    assert (spec.kind, spec.model) == ("piper", str(done.path))
    assert {n: (done.path.parent / n).read_bytes() for n in voice_files()} == voice_files()


def test_a_model_cut_off_half_way_is_not_taken_by_choose(tmp_path: Path, hub: LocalHub) -> None:
    hub.fail(WEIGHTS_PATH, Fault(break_after=HALF))
    with pytest.raises(BrokenDownload):
        fetch(store(tmp_path), hub, tries=1)
    settings = Settings(stt="auto", tts="espeak", data_dir=tmp_path / "data")
    assert choose(settings, Machine(tmp_path / "nothing", False, lambda _: True)).stt.kind == "sphinx"


def test_where_no_checksum_is_known_the_first_one_counts(tmp_path: Path, hub: LocalHub) -> None:
    here = store(tmp_path, manifest(known=False))
    done = fetch(here, hub)
    assert set(done.first_use) == set(whisper_files())
    model, found = here.named("base.en")
    assert found is not None
    assert verify(model, found, here).state is State.OK
    (done.path / "model.bin").write_bytes(ctranslate2(seed=9))
    verdict = verify(model, found, here)
    assert [(f.name, f.state, f.by) for f in verdict.files if f.state.bad] == [
        ("model.bin", State.DAMAGED, "first pull")
    ]


def test_a_redirect_to_another_server_keeps_the_range(tmp_path: Path, hub: LocalHub) -> None:
    hub.cdn = True
    hub.fail(WEIGHTS_PATH, Fault(break_after=HALF))
    assert contents(fetch(store(tmp_path), hub).path) == whisper_files()
    first, second = hub.ranges("model.bin")
    assert first is None
    assert second is not None


def test_an_optional_file_may_be_absent(tmp_path: Path, hub: LocalHub) -> None:
    content = manifest()
    content["models"][0]["files"].append({"name": "preprocessor_config.json", "optional": True})
    assert contents(fetch(store(tmp_path, content), hub).path) == whisper_files()


# Broken connections


def test_a_broken_download_goes_on_by_itself_where_it_broke(tmp_path: Path, hub: LocalHub) -> None:
    hub.fail(WEIGHTS_PATH, *(Fault(break_after=HALF // 2) for _ in range(3)))
    assert contents(fetch(store(tmp_path), hub, tries=2).path) == whisper_files()
    assert len(hub.ranges("model.bin")) == 4
    assert hub.sent < 1.3 * sum(map(len, whisper_files().values()))


def test_a_later_pull_goes_on_where_an_earlier_one_broke(tmp_path: Path, hub: LocalHub) -> None:
    here = store(tmp_path)
    hub.fail(WEIGHTS_PATH, Fault(break_after=HALF))
    with pytest.raises(BrokenDownload, match="the next pull goes on there"):
        fetch(here, hub, tries=1)
    kept = here.partial_bytes(here.manifest.find("base.en"))
    assert kept > 0
    assert contents(fetch(here, hub).path) == whisper_files()
    start = hub.ranges("model.bin")[1]
    assert start is not None
    assert 0 < int(start.removeprefix("bytes=").removesuffix("-")) <= kept
    assert len(hub.ranges("config.json")) == 1, "a file that came whole is not fetched again"
    assert not half_made(here)


def test_a_file_that_changed_meanwhile_is_fetched_anew(tmp_path: Path, hub: LocalHub) -> None:
    here = store(tmp_path, manifest(known=False))
    hub.fail(WEIGHTS_PATH, Fault(break_after=HALF))
    with pytest.raises(BrokenDownload):
        fetch(here, hub, tries=1)
    hub.put(WEIGHTS_PATH, ctranslate2(seed=5))
    assert (fetch(here, hub).path / "model.bin").read_bytes() == ctranslate2(seed=5)


def test_without_tag_and_checksum_nothing_is_glued_together(tmp_path: Path, hub: LocalHub) -> None:
    hub.tags = False
    here = store(tmp_path, manifest(known=False))
    hub.fail(WEIGHTS_PATH, Fault(break_after=HALF))
    assert contents(fetch(here, hub).path) == whisper_files()
    assert hub.ranges("model.bin") == [None, None]


def test_a_server_that_ignores_ranges_is_taken_from_the_start(tmp_path: Path, hub: LocalHub) -> None:
    hub.fail(WEIGHTS_PATH, Fault(break_after=HALF), Fault(ignore_range=True))
    assert contents(fetch(store(tmp_path), hub).path) == whisper_files()


def test_a_server_that_starts_over_and_breaks_for_ever_is_given_up(tmp_path: Path, hub: LocalHub) -> None:
    hub.fail(WEIGHTS_PATH, *(Fault(break_after=HALF, ignore_range=True) for _ in range(50)))
    with pytest.raises(BrokenDownload):
        fetch(store(tmp_path), hub, tries=3)
    assert len(hub.ranges("model.bin")) < 10


@pytest.mark.parametrize("known", [True, False], ids=["checksum known", "first use"])
def test_a_part_that_begins_elsewhere_is_not_glued_on(tmp_path: Path, hub: LocalHub, known: bool) -> None:
    hub.fail(WEIGHTS_PATH, Fault(break_after=HALF), Fault(shift=100))
    assert contents(fetch(store(tmp_path, manifest(known=known)), hub).path) == whisper_files()


def test_a_spoilt_beginning_is_thrown_away_once(tmp_path: Path, hub: LocalHub) -> None:
    here = store(tmp_path)
    hub.fail(WEIGHTS_PATH, Fault(break_after=HALF))
    with pytest.raises(BrokenDownload):
        fetch(here, hub, tries=1)
    part = here.staging(here.manifest.find("base.en")) / "model.bin.part"
    part.write_bytes(b"?" * part.stat().st_size)
    assert contents(fetch(here, hub).path) == whisper_files()


def test_a_silent_server_is_asked_again(tmp_path: Path, hub: LocalHub) -> None:
    hub.fail(WEIGHTS_PATH, Fault(stall_s=0.6))
    assert contents(fetch(store(tmp_path), hub, tries=20, silence_s=0.2).path) == whisper_files()


def test_an_answer_of_5xx_is_asked_again_when_the_server_says(tmp_path: Path, hub: LocalHub) -> None:
    hub.fail(WEIGHTS_PATH, Fault(status=503, headers={"Retry-After": "7"}), Fault(status=500))
    pauses: list[float] = []
    here = store(tmp_path)
    with Downloader(hub.url, patience=Patience(pauses_s=(0.5, 1.0)), sleep=pauses.append) as source:
        done = pull(here.manifest.find("base.en"), here, source, lambda *_: None)
    assert contents(done.path) == whisper_files()
    assert pauses == [7.0, 1.0]


def test_5xx_for_ever_is_given_up(tmp_path: Path, hub: LocalHub) -> None:
    hub.fail(WEIGHTS_PATH, *(Fault(status=500) for _ in range(9)))
    with pytest.raises(BrokenDownload, match="500"):
        fetch(store(tmp_path), hub, tries=3)


# A hub that lies, refuses, or is not there


def test_a_wrong_checksum_is_not_kept(tmp_path: Path, hub: LocalHub) -> None:
    hub.put(WEIGHTS_PATH, ctranslate2(seed=13))
    here = store(tmp_path)
    with pytest.raises(WrongContent, match="wrong checksum"):
        fetch(here, hub)
    assert here.find(here.manifest.find("base.en")) is None
    assert not [p for p in half_made(here) if p.name.startswith("model.bin")]


def test_a_failed_pull_leaves_the_old_model_as_it_was(tmp_path: Path, hub: LocalHub) -> None:
    here = store(tmp_path)
    path = fetch(here, hub).path
    hub.put(WEIGHTS_PATH, ctranslate2(seed=13))
    with pytest.raises(WrongContent):
        fetch(here, hub)
    assert contents(path) == whisper_files()


def test_a_damaged_model_is_replaced(tmp_path: Path, hub: LocalHub) -> None:
    here = store(tmp_path)
    path = fetch(here, hub).path
    (path / "model.bin").write_bytes(b"?")
    (path / "stray.txt").write_text("?")
    assert contents(fetch(here, hub).path) == whisper_files()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        pytest.param(Fault(body=ctranslate2(size=1000)), "1000 bytes", id="another size"),
        pytest.param(
            Fault(headers={"Content-Type": "text/html; charset=utf-8"}), "web page", id="sign-in page"
        ),
    ],
)
def test_what_is_plainly_something_else_is_not_taken(
    tmp_path: Path, hub: LocalHub, fault: Fault, says: str
) -> None:
    here = store(tmp_path)
    hub.fail(WEIGHTS_PATH, Fault(break_after=HALF))
    with pytest.raises(BrokenDownload):
        fetch(here, hub, tries=1)
    kept = here.partial_bytes(here.manifest.find("base.en"))
    hub.fail(WEIGHTS_PATH, fault)
    with pytest.raises(WrongContent, match=says):
        fetch(here, hub)
    assert here.partial_bytes(here.manifest.find("base.en")) == kept, "what came before is still good"


def test_more_than_the_file_should_have_is_cut_off(tmp_path: Path, hub: LocalHub) -> None:
    hub.fail(WEIGHTS_PATH, Fault(no_length=True, extra=64_000_000))
    here = store(tmp_path)
    with pytest.raises(WrongContent, match="more than"):
        fetch(here, hub)
    assert hub.sent < 20_000_000
    assert not [p for p in half_made(here) if p.name.startswith("model.bin")]


def test_a_compressed_answer_is_refused(tmp_path: Path, hub: LocalHub) -> None:
    hub.fail(WEIGHTS_PATH, Fault(headers={"Content-Encoding": "gzip"}))
    with pytest.raises(HubRefused, match="compressed"):
        fetch(store(tmp_path), hub)


def test_an_unknown_size_without_checksum_is_refused(tmp_path: Path, hub: LocalHub) -> None:
    hub.fail(WEIGHTS_PATH, Fault(no_length=True))
    with pytest.raises(HubRefused, match="how large"):
        fetch(store(tmp_path, manifest(known=False)), hub)


@pytest.mark.parametrize(("status", "says"), [(404, "mirror may lack"), (401, "401"), (403, "403")])
def test_a_refusal_is_said_at_once(tmp_path: Path, hub: LocalHub, status: int, says: str) -> None:
    hub.fail(WEIGHTS_PATH, Fault(status=status))
    with pytest.raises(HubRefused, match=says):
        fetch(store(tmp_path), hub)
    assert len(hub.ranges("model.bin")) == 1


def test_when_nobody_answers_the_message_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    here = store(tmp_path)
    with (
        Downloader(
            f"http://127.0.0.1:{port}", patience=Patience(pauses_s=()), sleep=lambda _: None
        ) as source,
        pytest.raises(HubUnreachable) as told,
    ):
        pull(here.manifest.find("base.en"), here, source, lambda *_: None)
    for remedy in ("VOICEBOT_MODELS_MIRROR", "copy", "VOICEBOT_STT=sphinx"):
        assert remedy in str(told.value)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        pytest.param(ctranslate2(version=7), "binary format 7", id="newer CTranslate2"),
        pytest.param(ctranslate2(spec=b"TransformerSpec"), "no Whisper model", id="a translator"),
        pytest.param(b"PK\x03\x04" + bytes(WEIGHTS), "no Whisper model", id="a zip"),
    ],
)
def test_another_format_is_not_put_in_place(tmp_path: Path, hub: LocalHub, weights: bytes, says: str) -> None:
    files = whisper_files(model_bin=weights)
    fill(hub, files)
    here = store(tmp_path, manifest(files=files))
    with pytest.raises(WrongFormat, match=says):
        fetch(here, hub)
    assert here.find(here.manifest.find("base.en")) is None


def test_a_model_made_here_cannot_be_pulled(tmp_path: Path, hub: LocalHub) -> None:
    model = Model.model_validate_json(
        '{"name": "mine", "kind": "whisper", "folder": "mine", "files": [{"name": "model.bin"}],'
        ' "licence": {"name": "x", "url": ""}}'
    )
    with downloader(hub) as source, pytest.raises(UnknownModel, match="made in this repository"):
        pull(model, store(tmp_path), source, lambda *_: None)


# The disk, and other processes


def test_a_disk_too_small_is_said_before_anything_is_fetched(
    tmp_path: Path, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_module, "SPARE_BYTES", 1 << 62)
    with pytest.raises(DiskFull, match="VOICEBOT_DATA_DIR"):
        fetch(store(tmp_path), hub)
    assert not hub.asked


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount a tmpfs here (not root?); the file-size limit below covers the rest")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_half_way_is_left_as_it_was(small_disk: Path, hub: LocalHub) -> None:
    here = store(small_disk, manifest(known=False))
    with pytest.raises(DiskFull, match="no room left"):
        fetch(here, hub)
    assert not half_made(here)
    assert here.find(here.manifest.find("base.en")) is None
    assert os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize > 200_000


def test_a_data_directory_that_cannot_be_written_is_said(tmp_path: Path, hub: LocalHub) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(NotWritable, match="VOICEBOT_DATA_DIR"):
        fetch(store(tmp_path), hub)


def test_two_pulls_of_one_model_do_not_mix(tmp_path: Path, hub: LocalHub) -> None:
    here = store(tmp_path)
    staging = here.staging(here.manifest.find("base.en"))
    staging.parent.mkdir(parents=True)
    with (staging.parent / f"{staging.name}.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(PullRunning):
            fetch(here, hub)
    assert contents(fetch(here, hub).path) == whisper_files()


# The command


@pytest.fixture
def deployment(tmp_path: Path, hub: LocalHub) -> dict[str, str]:
    """Environment of a command with this hub as its mirror."""
    (tmp_path / "deployment" / "models").mkdir(parents=True)
    path = tmp_path / "deployment" / "models" / "manifest.json"
    path.write_text(json.dumps(manifest(known=False)))
    return {
        "VOICEBOT_DEPLOYMENT": str(tmp_path / "deployment"),
        "VOICEBOT_DATA_DIR": str(tmp_path / "data"),
        "VOICEBOT_MODELS_MIRROR": hub.url,
        "VOICEBOT_ENV_FILE": str(tmp_path / "none"),
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "COLUMNS": "200",
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "voicebot.cli", "models", *arguments]


def test_a_file_size_limit_ends_a_pull_like_a_full_disk(deployment: dict[str, str], tmp_path: Path) -> None:
    limit = 300_000
    run = subprocess.run(
        command("pull", "base.en"),
        env=os.environ | deployment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 2
    assert "no room left" in run.stderr
    assert "Traceback" not in run.stderr
    assert not half_made(store(tmp_path))


def test_a_pull_that_is_killed_goes_on_next_time(
    deployment: dict[str, str], hub: LocalHub, tmp_path: Path
) -> None:
    here = store(tmp_path, manifest(known=False))
    model = here.manifest.find("base.en")
    hub.pause_s = 0.05
    process = subprocess.Popen(
        command("pull", "base.en"),
        env=os.environ | deployment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while here.partial_bytes(model) < HALF // 4 and time.monotonic() < deadline:
        time.sleep(0.01)  # another process works at its own pace
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert here.find(model) is None
    hub.pause_s = 0.0
    assert contents(fetch(here, hub).path) == whisper_files()
    assert hub.ranges("model.bin")[-1] is not None


def test_the_commands_from_list_to_verify(deployment: dict[str, str], tmp_path: Path) -> None:
    run = CliRunner()
    listed = run.invoke(app, ["models", "list", "--json"], env=deployment)
    assert [row["state"] for row in json.loads(listed.stdout)] == ["-", "-"]
    assert run.invoke(app, ["models", "path", "base.en"], env=deployment).exit_code == 1
    assert run.invoke(app, ["models", "verify", "base.en"], env=deployment).exit_code == 1

    pulled = run.invoke(app, ["models", "pull", "base.en"], env=deployment)
    assert pulled.exit_code == 0, pulled.output
    said = pulled.stdout
    assert said.index("licence: MIT (https://example.org/licence): read it") < said.index("model.bin")
    assert "trusted on this first use" in said
    again = run.invoke(app, ["models", "pull", "base.en"], env=deployment)
    assert again.exit_code == 0
    assert "already in" in again.stdout

    where = run.invoke(app, ["models", "path", "base.en"], env=deployment)
    assert where.stdout.strip() == str(tmp_path / "data" / "models" / "whisper" / "base.en")
    row = json.loads(run.invoke(app, ["models", "list", "--json"], env=deployment).stdout)[0]
    assert (row["state"], row["place"], row["checksums"]) == ("here", "data directory", "none")
    assert "base.en" in run.invoke(app, ["models", "list"], env=deployment).stdout

    well = run.invoke(app, ["models", "verify", "--json"], env=deployment)
    assert well.exit_code == 0
    assert json.loads(well.stdout)[0]["state"] == "ok"
    (Path(where.stdout.strip()) / "model.bin").write_bytes(b"?")
    ill = run.invoke(app, ["models", "verify"], env=deployment)
    assert ill.exit_code == 1
    assert "voicebot models pull base.en" in ill.stdout
    assert run.invoke(app, ["models", "pull", "base.en"], env=deployment).exit_code == 0, "a pull repairs"
    assert run.invoke(app, ["models", "verify", "base.en"], env=deployment).exit_code == 0


def test_a_command_says_what_is_wrong_and_exits_with_2(deployment: dict[str, str], hub: LocalHub) -> None:
    run = CliRunner()
    unknown = run.invoke(app, ["models", "pull", "enormous"], env=deployment)
    assert unknown.exit_code == 2
    assert "base.en" in unknown.stderr
    hub.fail(WEIGHTS_PATH, Fault(status=404))
    lacking = run.invoke(app, ["models", "pull", "base.en"], env=deployment)
    assert lacking.exit_code == 2
    assert "VOICEBOT_MODELS_MIRROR" in lacking.stderr.replace("\n", " ")
    manifest_file = Path(deployment["VOICEBOT_DEPLOYMENT"]) / "models" / "manifest.json"
    manifest_file.write_text('{"format": 2, "models": []}')
    newer = run.invoke(app, ["models", "list"], env=deployment)
    assert newer.exit_code == 2
    assert "format 2" in newer.stderr


def test_every_error_of_a_pull_is_one_a_person_can_mend() -> None:
    from voicebot.cli import _mendable

    assert ModelsError in _mendable()


def test_an_unlisted_voice_is_pulled_by_pipers_rule(tmp_path: Path, hub: LocalHub) -> None:
    name = "de_DE-eva_k-x_low"
    for end, content in zip((".onnx", ".onnx.json"), voice_files().values(), strict=True):
        hub.put(f"rhasspy/piper-voices/resolve/main/de/de_DE/eva_k/x_low/{name}{end}", content)
    here = store(tmp_path)
    done = fetch(here, hub, name)
    assert done.path == here.models / "piper" / f"{name}.onnx"
    assert len(done.first_use) == 2
    assert [model.name for model, found in here.all() if found] == [name]
    assert REPOSITORY in {model.repository for model in here.manifest.models}
