"""The embedded Postgres is ours alone, keeps what it committed, and never outlives its owner."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from processes import NOT_DURABLE, Owner, eventually

from voicebot.core.store import binaries, embedded, placement, postmaster
from voicebot.core.store.embedded import AlreadyRunning, EmbeddedPostgres, EmbeddedPostgresError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root only: Postgres then runs as somebody else")


@pytest.fixture
def new_data_dir() -> Iterator[Path]:
    """A data directory that does not exist yet, where any user can reach it."""
    home = Path(tempfile.mkdtemp(prefix="vb-test-"))
    home.chmod(0o755)
    yield home / "data"
    embedded.erase(home / "data")
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A data directory with a database in it, not running. One for all, since making it takes longest."""
    home = Path(tempfile.mkdtemp(prefix="vb-test-"))
    home.chmod(0o755)
    EmbeddedPostgres.start(home / "data", NOT_DURABLE).stop()
    yield home / "data"
    embedded.erase(home / "data")
    shutil.rmtree(home)


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return None if row is None else row[0]


def test_a_new_data_directory_gets_a_database_that_keeps_what_it_is_told(new_data_dir: Path) -> None:
    with EmbeddedPostgres.start(new_data_dir) as server:
        assert ask(server.url, "SHOW listen_addresses") == ""
        assert ask(server.url, "SHOW server_encoding") == "UTF8"
        assert ask(server.url, "SHOW fsync") == "on"
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
        socket_dir = Path(str(ask(server.url, "SHOW unix_socket_directories")).strip('"'))
        assert socket_dir.stat().st_mode & 0o077 == 0
    assert postmaster.processes(server.data_dir) == []
    with EmbeddedPostgres.start(new_data_dir) as again:
        assert ask(again.url, "SELECT answer FROM kept") == 42


def test_pgvector_is_there(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server, psycopg.connect(server.url) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        row = connection.execute("SELECT '[1,2]'::vector <-> '[1,4]'::vector").fetchone()
        assert row == (2.0,)


def test_a_second_server_on_one_data_directory_says_who_has_it(data_dir: Path) -> None:
    owner = Owner(data_dir)
    with pytest.raises(AlreadyRunning, match=rf"another voicebot server \(pid {owner.process.pid}\) runs"):
        EmbeddedPostgres.start(data_dir, NOT_DURABLE)
    assert ask(owner.url, "SELECT 1") == 1, "the one that runs is untouched"
    owner.kill()


def test_two_servers_at_once_on_a_new_data_directory_leave_one(new_data_dir: Path) -> None:
    results: list[EmbeddedPostgres | Exception] = []

    def start() -> None:
        try:
            results.append(EmbeddedPostgres.start(new_data_dir, NOT_DURABLE))
        except EmbeddedPostgresError as error:
            results.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running = [one for one in results if isinstance(one, EmbeddedPostgres)]
    refused = [one for one in results if isinstance(one, AlreadyRunning)]
    assert (len(running), len(refused)) == (1, 2)
    assert ask(running[0].url, "SELECT 1") == 1
    running[0].stop()


def test_a_command_attaches_to_the_server_that_runs_and_leaves_it_running(data_dir: Path) -> None:
    owner = Owner(data_dir)
    with EmbeddedPostgres.attach(data_dir, NOT_DURABLE) as attached:
        assert not attached.owner
        assert attached.data_dir == owner.cluster
        assert ask(attached.url, "SELECT 1") == 1
    assert ask(owner.url, "SELECT 1") == 1
    owner.kill()


def test_a_command_without_a_server_has_one_for_its_own_time(data_dir: Path) -> None:
    with EmbeddedPostgres.attach(data_dir, NOT_DURABLE) as own:
        assert own.owner
        with pytest.raises(AlreadyRunning, match="a voicebot command"):
            EmbeddedPostgres.start(data_dir, NOT_DURABLE)
    assert postmaster.processes(own.data_dir) == []


def test_kill_9_of_the_owner_leaves_no_postgres_and_loses_nothing(data_dir: Path) -> None:
    owner = Owner(data_dir)
    with psycopg.connect(owner.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    assert owner.postgres_pid in owner.postgres_processes()
    owner.kill()
    assert eventually(lambda: owner.postgres_processes() == [])
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42


def test_a_start_right_after_kill_9_waits_for_the_old_server_to_be_gone(data_dir: Path) -> None:
    owner = Owner(data_dir)
    owner.kill()  # and not a moment between
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server:
        assert server.pid != owner.postgres_pid
        assert ask(server.url, "SELECT 1") == 1


def test_a_stray_server_that_hangs_is_ended(data_dir: Path) -> None:
    """The postmaster was stopped, so it did not hear that its owner died."""
    owner = Owner(data_dir)
    os.kill(owner.postgres_pid, signal.SIGSTOP)
    owner.kill()
    assert owner.postgres_pid in owner.postgres_processes()
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server:
        assert ask(server.url, "SELECT 1") == 1
        assert owner.postgres_pid not in owner.postgres_processes()


@pytest.mark.parametrize("ending", ["sys.exit(3)", "raise RuntimeError", "import os; os._exit(0)"])
def test_however_the_owner_ends_the_server_ends(data_dir: Path, ending: str) -> None:
    owner = Owner(data_dir, then=f"sys.stderr = open('/dev/null', 'w'); {ending}")
    owner.process.communicate(timeout=60)
    assert eventually(lambda: owner.postgres_processes() == [])


def test_a_server_outlives_the_thread_that_asked_for_it(data_dir: Path) -> None:
    """The kernel's death signal is bound to a thread; `start` may be called from a pool's."""
    started: list[EmbeddedPostgres] = []
    thread = threading.Thread(target=lambda: started.append(EmbeddedPostgres.start(data_dir, NOT_DURABLE)))
    thread.start()
    thread.join()
    assert ask(started[0].url, "SELECT pg_sleep(0.2) IS NOT NULL") is True
    assert started[0].alive()
    started[0].stop()


def test_a_server_that_died_can_be_started_again_by_the_same_process(data_dir: Path) -> None:
    """The supervisor does so; the nodes know the old address."""
    first = EmbeddedPostgres.start(data_dir, NOT_DURABLE)
    assert first.alive()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    assert eventually(lambda: not first.alive())
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as second:
        assert second.url == first.url
        first.stop()
        assert ask(second.url, "SELECT 1") == 1, "stopping the dead one does not touch the new one"


def test_ctrl_c_does_not_reach_the_server(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server:
        assert server.pid is not None
        assert os.getpgid(server.pid) != os.getpgid(0)
        assert os.getsid(server.pid) != os.getsid(0)


def test_a_forked_child_neither_ends_the_server_nor_keeps_its_lock(data_dir: Path) -> None:
    forking = "import os\nif os.fork() == 0:\n    sys.exit(0)\nos.wait()\nprint(server.alive(), flush=True)\n"
    owner = Owner(data_dir, then=forking + "time.sleep(600)")
    assert owner.process.stdout is not None
    assert owner.process.stdout.readline().strip() == "True"
    assert ask(owner.url, "SELECT 1") == 1
    owner.kill()
    child_stays = "import os\nif os.fork() == 0:\n    os.close(1); time.sleep(600)\ntime.sleep(600)"
    owner = Owner(data_dir, then=child_stays)
    owner.kill()
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_a_stale_pid_that_now_belongs_to_somebody_else_does_not_matter(data_dir: Path) -> None:
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server:
        account = server.data_dir.stat()
    sleeper = subprocess.Popen(
        placement.launch_command(
            placement.Account(account.st_uid, account.st_gid), signal.SIGKILL, "/bin/sleep", "600"
        )
    )
    pid_file = server.data_dir / "postmaster.pid"
    pid_file.write_text(f"{sleeper.pid}\n{server.data_dir}\n1\n5432\n/nowhere\n\n1 1\nready   \n")
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as again:
        assert ask(again.url, "SELECT 1") == 1
    assert sleeper.poll() is None, "and is left alone"
    sleeper.kill()
    sleeper.wait()


def test_a_long_path_gets_its_socket_elsewhere() -> None:
    home = Path(tempfile.mkdtemp(prefix="vb-test-"))
    home.chmod(0o755)
    data_dir = home / ("long" * 30) / "data"
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server:
        assert ask(server.url, "SELECT 1") == 1
        with EmbeddedPostgres.attach(data_dir, NOT_DURABLE) as attached:
            assert ask(attached.url, "SELECT 1") == 1
        socket_dir = Path(str(ask(server.url, "SHOW unix_socket_directories")).strip('"'))
        assert not socket_dir.is_relative_to(home)
    assert not socket_dir.exists()
    embedded.erase(data_dir)
    shutil.rmtree(home)


def test_odd_characters_in_the_path() -> None:
    home = Path(tempfile.mkdtemp(prefix='vb te"s,t %41?&é-'))
    home.chmod(0o755)
    with EmbeddedPostgres.start(home / "data", NOT_DURABLE) as server:
        assert ask(server.url, "SELECT 1") == 1
    embedded.erase(home / "data")
    shutil.rmtree(home)


def test_a_first_start_that_was_cut_off_is_done_again(new_data_dir: Path) -> None:
    new_data_dir.mkdir(mode=0o755)
    (new_data_dir / "postgres.new").mkdir()
    (new_data_dir / "postgres.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres.start(new_data_dir, NOT_DURABLE) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_a_folder_that_is_no_database_is_not_touched(new_data_dir: Path) -> None:
    (new_data_dir / "postgres").mkdir(parents=True)
    (new_data_dir / "postgres" / "thesis.txt").write_text("do not lose")
    with pytest.raises(EmbeddedPostgresError, match="is not empty and holds no database"):
        EmbeddedPostgres.start(new_data_dir, NOT_DURABLE)
    assert (new_data_dir / "postgres" / "thesis.txt").read_text() == "do not lose"


def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="shared_buffers"):
        EmbeddedPostgres.start(data_dir, {"shared_buffers": "nonsense"})
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server:
        assert server.alive(), "and leaves nothing in the way"


def test_environment_variables_of_postgres_do_not_matter(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGPORT", "9999")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server:
        assert ask(server.url, "SELECT 1") == 1


@as_root
def test_under_a_closed_directory_the_database_lies_where_its_user_can_reach_it() -> None:
    home = Path(tempfile.mkdtemp(prefix="vb-test-"))  # mode 0700
    data_dir = home / "data"
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as server:
        assert server.data_dir.is_relative_to(placement.SYSTEM_DIR)
        assert server.data_dir.stat().st_uid != 0
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    assert home.stat().st_mode & 0o777 == 0o700, "no directory was opened"
    home.chmod(0o755)
    with EmbeddedPostgres.start(data_dir, NOT_DURABLE) as again:
        assert again.data_dir == server.data_dir, "the place is remembered"
        assert ask(again.url, "SELECT answer FROM kept") == 42
    embedded.erase(data_dir)
    assert not server.data_dir.parent.exists()
    shutil.rmtree(home)


@as_root
def test_a_remembered_place_that_is_gone_is_not_silently_replaced(new_data_dir: Path) -> None:
    new_data_dir.mkdir()
    (new_data_dir / "postgres.place").write_text(f"{placement.SYSTEM_DIR}/gone-0000/postgres\n")
    with pytest.raises(EmbeddedPostgresError, match=r"lay in .*gone-0000/postgres, which is gone"):
        EmbeddedPostgres.start(new_data_dir, NOT_DURABLE)
    (new_data_dir / "postgres.place").unlink()


@as_root
def test_a_database_that_its_user_can_no_longer_reach_is_not_silently_replaced(data_dir: Path) -> None:
    EmbeddedPostgres.start(data_dir, NOT_DURABLE).stop()
    data_dir.parent.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match="cannot be reached by the user that runs it"):
        EmbeddedPostgres.start(data_dir, NOT_DURABLE)
    data_dir.parent.chmod(0o755)


@as_root
def test_binaries_out_of_reach_are_copied_once() -> None:
    root = Path(tempfile.mkdtemp(prefix="vb-test-"))
    root.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    account = placement.Account(nobody.pw_uid, nobody.pw_gid)
    folder = binaries.copied_below(root)
    made = folder.stat().st_mtime_ns
    assert binaries.copied_below(root) == folder
    assert folder.stat().st_mtime_ns == made
    (root / "cluster").mkdir(mode=0o700)
    os.chown(root / "cluster", account.uid, account.gid)
    command = (str(folder / "initdb"), "-D", str(root / "cluster"), "-U", "voicebot", "--no-sync")
    done = subprocess.run(
        placement.launch_command(account, signal.SIGKILL, *command), check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(root)


def interpreter_for(account: placement.Account) -> str | None:
    """A Python of this version that ``account`` can run; the one running this may lie in a closed home."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        path = Path(candidate)
        if path.exists() and placement.can_reach(account, path.resolve(), path, Path(__file__).parent):
            return candidate
    return None


@as_root
def test_an_ordinary_user_runs_their_own_and_is_kept_out_of_roots() -> None:
    home = Path(tempfile.mkdtemp(prefix="vb-test-"))
    home.chmod(0o777)
    nobody = pwd.getpwnam("nobody")
    account = placement.Account(nobody.pw_uid, nobody.pw_gid)
    interpreter = interpreter_for(account)
    if interpreter is None:
        pytest.skip("no interpreter of this version within an ordinary user's reach")
    code = """
import sys
from pathlib import Path
from voicebot.core.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
try:
    with EmbeddedPostgres.start(Path(sys.argv[1]), {'fsync': 'off'}) as server:
        print(server.data_dir)
except EmbeddedPostgresError as error:
    print(error)
"""
    paths = [str(Path(__file__).parents[2]), *(path for path in sys.path if "site-packages" in path)]

    def as_nobody(data_dir: Path) -> str:
        command = ("-c", code, str(data_dir))
        done = subprocess.run(
            [
                "/usr/bin/env",
                f"PYTHONPATH={':'.join(paths)}",
                *placement.launch_command(account, signal.SIGKILL, interpreter, *command),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout.strip()

    assert as_nobody(home / "theirs") == str(home / "theirs" / "postgres")
    assert (home / "theirs").stat().st_mode & 0o777 == 0o700
    assert (home / "theirs" / "postgres").stat().st_uid == account.uid

    with EmbeddedPostgres.start(home / "roots", NOT_DURABLE):
        assert "belongs to another user" in as_nobody(home / "roots")

    with EmbeddedPostgres.start(home / "theirs", NOT_DURABLE) as server:
        assert server.data_dir.stat().st_uid == account.uid, "root runs it as its owner"
    assert as_nobody(home / "theirs") == str(home / "theirs" / "postgres"), "and leaves it usable for them"
    shutil.rmtree(home)
