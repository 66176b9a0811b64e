"""A Postgres server of our own, started and ended with us.

The binaries come from a wheel (see `binaries`); the supervision is here. Rules it keeps:

* One server per data directory: whoever starts it holds an exclusive ``flock`` on
  ``DATA_DIR/postgres.lock`` for its whole life, which the kernel lets go even on ``kill -9``.
* The server dies with its owner, ``kill -9`` included: the kernel sends it SIGQUIT (immediate
  shutdown; committed data is in the log and recovered at the next start). The kernel watches
  the *thread* that started it, so that is a thread of ours that waits for the server and
  never ends before it; `EmbeddedPostgres.start` may be called from any thread.
* It runs in a session of its own: Ctrl-C reaches voicebot, which drains its calls first.
* No TCP: a Unix socket in a directory that only the server's user and root may enter.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

import psycopg

from voicebot.core.store import binaries, placement, postmaster
from voicebot.core.store.data_dir import make_data_dir

ROLE = DATABASE = "voicebot"
START_TIMEOUT_S = 60.0
"""Crash recovery after ``kill -9`` is bounded by ``max_wal_size``; this is far above it."""
_SOCKET_PATH_MAX = 107  # sockaddr_un.sun_path, unix(7), less the closing zero byte
_SOCKET_NAME = ".s.PGSQL.5432.lock"

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "512MB",
    "io_method": "sync",  # no I/O worker processes
    "autovacuum_max_workers": "1",
    "jit": "off",
    "client_connection_check_interval": "2s",
    # No statement and no row value in the log: they hold what callers said.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}

Role = Literal["server", "command"]


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot run; the message says why and what to do."""


class AlreadyRunning(EmbeddedPostgresError):
    """Another voicebot runs the database of this data directory."""


class EmbeddedPostgres:
    """A running Postgres for one data directory. Any thread may use it; `stop` ends it if it is ours.

    Attributes:
        url: ``postgresql://...`` over the Unix socket, for psycopg.
        data_dir: where Postgres keeps its files (see `placement`), for the start-up line.
        owner: True if `stop` (or the end of this process) ends the server.
    """

    def __init__(self, url: str, data_dir: Path, server: _Server | None) -> None:
        self.url = url
        self.data_dir = data_dir
        self._server = server

    @classmethod
    def start(cls, data_dir: Path, settings: Mapping[str, str] | None = None) -> EmbeddedPostgres:
        """Starts the server of ``data_dir``, making the database if it is new. Blocks about a second.

        Args:
            data_dir: voicebot's data directory; made if absent.
            settings: Postgres settings over `SETTINGS` (tests turn ``fsync`` off).

        Raises:
            AlreadyRunning: another process runs it.
            EmbeddedPostgresError: it cannot be placed, made or started.
        """
        return cls._own(data_dir, "server", settings or {})

    @classmethod
    def attach(cls, data_dir: Path, settings: Mapping[str, str] | None = None) -> EmbeddedPostgres:
        """For commands: the server that runs for ``data_dir``, else one for this command's own time.

        Raises:
            EmbeddedPostgresError: it cannot be placed, made, started or entered.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return cls._own(data_dir, "command", settings or {})
            except AlreadyRunning:
                cluster = _found(data_dir)
                running = _read(cluster)
                if running is not None and running.ready and running.runs_in(cluster):
                    return cls(_url(running.socket_dir), cluster, None)
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"the Postgres of {data_dir} is being started by another process and does not become "
                    f"ready: see {data_dir / 'postgres.log'}"
                )
            time.sleep(0.02)

    @classmethod
    def _own(cls, data_dir: Path, role: Role, settings: Mapping[str, str]) -> EmbeddedPostgres:
        data_dir = data_dir.absolute()
        lock = _Lock(data_dir, role)
        try:
            place = _place(data_dir)
            server = _Server(data_dir, place, lock, {**SETTINGS, **settings})
            server.start()
        except BaseException:
            lock.release()
            raise
        return cls(_url(server.socket_dir), place.cluster, server)

    @property
    def owner(self) -> bool:
        """Whether this process started the server."""
        return self._server is not None

    @property
    def pid(self) -> int | None:
        """Process id of the server (the postmaster); None once it is gone."""
        running = postmaster.read(self.data_dir)
        return running.pid if running is not None and running.runs_in(self.data_dir) else None

    def alive(self) -> bool:
        """False once a server that is ours has ended by itself; `start` may then be called again and gives
        the same ``url``. One that is not ours counts as alive.
        """
        return self._server is None or self._server.alive()

    def stop(self) -> None:
        """Ends the server if it is ours (usually 0.1 s, at most 23 s). Twice does nothing."""
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def erase(data_dir: Path) -> None:
    """Deletes the database of ``data_dir`` for good, wherever it lies.

    Raises:
        AlreadyRunning: it is in use.
    """
    data_dir = data_dir.absolute()
    if not data_dir.exists():
        return
    lock = _Lock(data_dir, "command")
    try:
        cluster = _found(data_dir)
        home = cluster.parent
        shutil.rmtree(cluster, ignore_errors=True)
        if home != data_dir and home.parent == placement.SYSTEM_DIR:
            shutil.rmtree(home, ignore_errors=True)
        (data_dir / "postgres.place").unlink(missing_ok=True)
        (data_dir / "postgres.log").unlink(missing_ok=True)
    finally:
        lock.release()
        (data_dir / "postgres.lock").unlink(missing_ok=True)


def _place(data_dir: Path) -> placement.Placement:
    try:
        return placement.place(data_dir)
    except placement.PlacementError as error:
        raise EmbeddedPostgresError(str(error)) from error


def _found(data_dir: Path) -> Path:
    try:
        return placement.found(data_dir.absolute())
    except placement.PlacementError as error:
        raise EmbeddedPostgresError(str(error)) from error


def _read(cluster: Path) -> postmaster.Postmaster | None:
    try:
        return postmaster.read(cluster)
    except PermissionError as error:
        raise EmbeddedPostgresError(
            f"the database in {cluster} belongs to another user: run as that user, or as root"
        ) from error


def _url(socket_dir: str) -> str:
    return f"postgresql://{ROLE}@/{DATABASE}?host={quote(socket_dir, safe='')}&port=5432"


class _Lock:
    """The right to run the server of one data directory."""

    def __init__(self, data_dir: Path, role: Role) -> None:
        path = data_dir / "postgres.lock"
        try:
            make_data_dir(data_dir)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except PermissionError as error:
            raise EmbeddedPostgresError(
                f"{path} cannot be written: {data_dir} belongs to another user. Run as that user, or as "
                "root, or choose another VOICEBOT_DATA_DIR"
            ) from error
        except OSError as error:
            raise EmbeddedPostgresError(f"data directory {data_dir}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 200, 0)
            os.close(self._file)
            raise AlreadyRunning(_held_by(data_dir, holder)) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps({"pid": os.getpid(), "role": role}).encode(), 0)
        if os.geteuid() == 0:  # whoever owns the data directory may run the server another time
            owner = data_dir.stat()
            os.fchown(self._file, owner.st_uid, owner.st_gid)
        os.register_at_fork(after_in_child=self.release)  # a forked child must not keep it after us

    def release(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _held_by(data_dir: Path, holder: bytes) -> str:
    try:
        facts = json.loads(holder)
    except ValueError:
        facts = {}
    who = "a voicebot command" if facts.get("role") == "command" else "another voicebot server"
    return (
        f"{who} (pid {facts.get('pid', 'unknown')}) runs the database of {data_dir}: stop it, or give this "
        "one a data directory of its own (VOICEBOT_DATA_DIR), or let both use one DATABASE_URL"
    )


class _Server:
    """The server process and the thread whose life it is bound to."""

    def __init__(
        self, data_dir: Path, place: placement.Placement, lock: _Lock, settings: Mapping[str, str]
    ) -> None:
        self._data_dir = data_dir
        self._cluster = place.cluster
        self._account = place.account
        self._lock = lock
        self._settings = settings
        self._log = data_dir / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._owner_pid = os.getpid()
        self._bin = self._reachable_binaries()
        self.socket_dir = str(self._socket_dir())

    def start(self) -> None:
        self._end_strays()
        if not (self._cluster / "PG_VERSION").exists():
            self._make_cluster()
        self._forget_stale_pid()
        self._launch()
        try:
            self._wait_ready()
            self._make_database()
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)

    def alive(self) -> bool:
        return self._process is not None and not self._ended.is_set()

    def stop(self) -> None:
        if os.getpid() != self._owner_pid:  # a forked child of ours at its exit
            return
        process = self._process
        if process is None:
            return
        for how, seconds in ((signal.SIGINT, 10.0), (signal.SIGQUIT, 8.0), (signal.SIGKILL, 5.0)):
            if self._ended.is_set():
                break
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)  # a stopped process would not hear it
            self._ended.wait(seconds)

    def _reachable_binaries(self) -> Path:
        try:
            folder = binaries.installed()
            if os.geteuid() != 0 or placement.can_reach(self._account, folder / "postgres"):
                return folder
            return binaries.copied_below(placement.SYSTEM_DIR)
        except (binaries.BinariesMissing, OSError) as error:
            raise EmbeddedPostgresError(str(error)) from error

    def _socket_dir(self) -> Path:
        beside = self._cluster.parent / "postgres.socket"
        short = len(os.fsencode(beside / _SOCKET_NAME)) <= _SOCKET_PATH_MAX
        if short and not set(',"') & set(str(beside)):  # libpq reads a comma as the end of a host
            return beside
        name = hashlib.sha256(os.fsencode(self._cluster)).hexdigest()[:12]
        return Path("/tmp") / f"voicebot-{self._account.uid}-{name}"  # noqa: S108  # entered only if ours

    def _end_strays(self) -> None:
        """Ends a server whose owner was killed: we hold the lock, so it is nobody's."""
        for how, seconds in ((signal.SIGQUIT, 8.0), (signal.SIGKILL, 5.0)):
            deadline = time.monotonic() + seconds
            told: set[int] = set()
            while strays := postmaster.processes(self._cluster):
                for pid in set(strays) - told:
                    told.add(pid)
                    try:
                        os.kill(pid, how)
                        os.kill(pid, signal.SIGCONT)  # a stopped process would not hear it
                    except ProcessLookupError:
                        continue
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)
            else:
                return
        raise EmbeddedPostgresError(
            f"processes {postmaster.processes(self._cluster)} of an earlier Postgres in {self._cluster} do "
            "not end: end them and start again"
        )

    def _forget_stale_pid(self) -> None:
        """Removes what a killed server left behind.

        Postgres would do so itself unless the number in it now belongs to another process of
        its user. Safe only because no process of this cluster lives (`_end_strays`).
        """
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        socket_dir = Path(self.socket_dir)
        if socket_dir.is_symlink():
            raise EmbeddedPostgresError(f"{socket_dir} is a link that is not ours: remove it")
        shutil.rmtree(socket_dir, ignore_errors=True)
        try:
            socket_dir.mkdir(mode=0o700)
        except OSError as error:
            raise EmbeddedPostgresError(f"{socket_dir} cannot be made: {error.strerror}") from error
        self._give(socket_dir)

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self._account.uid, self._account.gid)

    def _make_cluster(self) -> None:
        """Makes the cluster beside its place and moves it there whole, so that no half one stays."""
        if self._cluster.exists() and any(self._cluster.iterdir()):
            raise EmbeddedPostgresError(
                f"{self._cluster} is not empty and holds no database: move it away, or choose another "
                "VOICEBOT_DATA_DIR"
            )
        building = self._cluster.with_name("postgres.new")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=0o700)
        self._give(building)
        command = placement.launch_command(
            self._account,
            signal.SIGKILL,
            str(self._bin / "initdb"),
            *("-D", str(building), "-U", ROLE, "--auth=trust", "--encoding=UTF8"),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
            *(("--no-sync",) if self._settings.get("fsync") == "off" else ()),
        )
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment()
        )
        if done.returncode != 0:
            shutil.rmtree(building, ignore_errors=True)
            said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise EmbeddedPostgresError(f"a new database cannot be made in {self._cluster}: {said}")
        if self._cluster.exists():
            self._cluster.rmdir()
        building.rename(self._cluster)

    def _launch(self) -> None:
        settings = {**self._settings, "unix_socket_directories": f'"{self.socket_dir}"'}
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = placement.launch_command(
            self._account, signal.SIGQUIT, str(self._bin / "postgres"), "-D", str(self._cluster), *options
        )
        started = threading.Event()
        failure: list[OSError] = []

        def keep() -> None:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
                with open(os.open(self._log, flags, 0o600), "wb") as log:
                    self._process = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=_environment(),
                        start_new_session=True,
                    )
            except OSError as error:
                failure.append(error)
                return
            finally:
                started.set()
            self._process.wait()
            # Also when it ended by itself: then the data directory is free for another start.
            atexit.unregister(self.stop)
            shutil.rmtree(self.socket_dir, ignore_errors=True)
            self._lock.release()
            self._ended.set()

        threading.Thread(target=keep, name="postgres-keeper", daemon=True).start()
        started.wait()
        if failure:
            raise EmbeddedPostgresError(f"Postgres cannot be started: {failure[0]}") from failure[0]

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if not self.alive():
                raise EmbeddedPostgresError(f"Postgres ended at its start: {self._last_words()}")
            running = _read(self._cluster)
            if running is not None and running.ready:
                return
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"Postgres is not ready after {START_TIMEOUT_S:.0f} s: {self._last_words()}"
                )
            time.sleep(0.01)

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        telling = [line for line in lines if "FATAL" in line or "PANIC" in line] or lines
        return f"{telling[-1] if telling else 'no message'} (see {self._log})"

    def _make_database(self) -> None:
        address = _url(self.socket_dir).replace(f"/{DATABASE}?", "/template1?")
        with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")


def _environment() -> dict[str, str]:
    """Nothing of ours but the path: PGDATA, PGPORT and the like would change what runs."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
