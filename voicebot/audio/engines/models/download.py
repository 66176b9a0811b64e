"""One file over HTTP: resumed where it broke off, never larger than it should be, checked, or not kept.

Bytes go to ``NAME.part``. A later try asks for the rest (``Range``), and takes it only if the server says
that the file is still the same (``If-Range``), or if a known checksum will tell. Blocking.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from voicebot.audio.engines.models.check import sha256_of
from voicebot.audio.engines.models.errors import (
    BrokenDownload,
    DiskFull,
    HubRefused,
    HubUnreachable,
    WrongContent,
)
from voicebot.audio.engines.models.manifest import ModelFile

Progress = Callable[[int, int | None], None]
"""Bytes of this file so far, and in all (None: not known yet)."""

_PART, _NO_SUCH_RANGE = 206, 416
_PROGRESS = 1 << 16
"""Bytes that count as progress (64 KiB); less is a failed try."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of the kernel that mean a full disk, quota or limit."""

_STRONG_TAG = re.compile(r'^"[^"]+"$')


@dataclass(frozen=True)
class Patience:
    """How long to keep trying, in seconds.

    Attributes:
        connect_s: until somebody answers.
        silence_s: between two pieces of the file.
        pauses_s: before each new try in a row that brought nothing; then it is given up. Empty: one try.
    """

    connect_s: float = 10.0
    silence_s: float = 30.0
    pauses_s: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Got:
    """A file that arrived whole."""

    size: int
    sha256: str


class Absent(HubRefused):
    """The hub has no such file."""


class Downloader:
    """Fetches from one hub.

    Args:
        hub: base URL; answers at ``HUB/OWNER/NAME/resolve/REVISION/PATH``, as huggingface.co does.
        patience: how long to keep trying.
        sleep: how to wait between tries.
    """

    def __init__(
        self, hub: str, *, patience: Patience | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.hub = hub.rstrip("/")
        self._patience = patience or Patience()
        self._sleep = sleep
        timeout = httpx.Timeout(self._patience.silence_s, connect=self._patience.connect_s)
        self._client = httpx.Client(timeout=timeout, follow_redirects=True)

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def url(self, repository: str, revision: str, path: str) -> str:
        """Where the hub has a file."""
        return f"{self.hub}/{repository}/resolve/{revision}/{path}"

    def fetch(self, url: str, file: ModelFile, target: Path, progress: Progress) -> Got:
        """Gets one file whole; ``target`` exists only after it was checked.

        Raises:
            HubUnreachable: nobody answered at all.
            HubRefused: an answer, but not the file (``Absent``: 404).
            BrokenDownload: it kept breaking off; ``target.part`` is kept.
            WrongContent: wrong size or checksum, or a web page; nothing is kept.
            DiskFull: no room; nothing of this file is kept.
        """
        part = target.with_name(target.name + ".part")
        try:
            return self._whole(url, file, target, part, progress)
        except _Spoilt as error:
            _forget(part)
            if not error.resumed:
                raise
            # The beginning may be from another day, or from a proxy's error page: once more from nothing.
        except DiskFull:
            _forget(part)
            raise
        try:
            return self._whole(url, file, target, part, progress)
        except (_Spoilt, DiskFull):
            _forget(part)
            raise

    def _whole(self, url: str, file: ModelFile, target: Path, part: Path, progress: Progress) -> Got:
        failures, furthest = 0, _size(part)
        resumed = False
        while True:
            resumed = resumed or _size(part) > 0
            try:
                self._some(url, file, part, progress)
                return self._checked(url, file, target, part)
            except _Spoilt as error:
                error.resumed = resumed
                raise
            except httpx.TooManyRedirects as error:
                raise HubRefused(f"{url}: the server sends us round in circles. {_ASK_ANOTHER}") from error
            except (httpx.TransportError, _Later) as error:
                have = _size(part)
                # Against the furthest, so that a server that starts over each time is given up on some day.
                failures = 0 if have >= furthest + _PROGRESS else failures + 1
                furthest = max(have, furthest)
                pauses_s = self._patience.pauses_s
                if not pauses_s or failures > len(pauses_s):
                    raise self._given_up(url, error, have) from error
                pause_s = pauses_s[max(failures, 1) - 1]
                self._sleep(max(pause_s, error.after_s if isinstance(error, _Later) else 0.0))

    def _checked(self, url: str, file: ModelFile, target: Path, part: Path) -> Got:
        got = Got(part.stat().st_size, sha256_of(part))
        if file.size is not None and got.size != file.size:
            raise _Spoilt(
                f"{url}: {got.size} bytes came, {file.size} were expected; not kept. {_ASK_ANOTHER}"
            )
        if file.sha256 is not None and got.sha256 != file.sha256:
            raise _Spoilt(
                f"{url}: wrong checksum (SHA-256 {got.sha256[:16]}..., expected {file.sha256[:16]}...); "
                f"not kept. {_ASK_ANOTHER}"
            )
        with _room(target):
            with part.open("rb+") as written:
                os.fsync(written.fileno())
            part.replace(target)
        _tag_of(part).unlink(missing_ok=True)
        return got

    def _some(self, url: str, file: ModelFile, part: Path, progress: Progress) -> None:
        """One request: the file, or the rest of it."""
        have = _size(part)
        tag = _read_tag(part, url)
        if have and tag is None and file.sha256 is None:
            have = 0  # nothing could tell whether the rest belongs to this beginning
        if have and have == file.size:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if tag:
                headers["If-Range"] = tag
        with self._client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == _NO_SUCH_RANGE:
                if answer.headers.get("content-range") == f"bytes */{have}":
                    return
                raise _Spoilt(f"{url}: what was there is longer than the file; not kept. {_ASK_ANOTHER}")
            self._accept(url, answer)
            start = have if answer.status_code == _PART else 0
            total = _total(url, answer, start)
            if file.size is not None and total is not None and total != file.size:
                raise WrongContent(
                    f"{url}: the server offers {total} bytes, {file.size} were expected; not taken. "
                    f"{_ASK_ANOTHER}"
                )
            if total is None and file.size is None and file.sha256 is None:
                raise HubRefused(f"{url}: the server does not say how large the file is. {_ASK_ANOTHER}")
            limit = file.size or total
            with _room(part):
                part.parent.mkdir(parents=True, exist_ok=True)
                _write_tag(part, url, answer.headers.get("etag", ""))
                with part.open("r+b" if start else "wb") as out:
                    out.seek(start)
                    out.truncate()
                    self._copy(url, answer, out, start, limit, progress)

    def _copy(
        self,
        url: str,
        answer: httpx.Response,
        out: BinaryIO,
        done: int,
        limit: int | None,
        progress: Progress,
    ) -> None:
        progress(done, limit)
        for piece in answer.iter_raw():
            done += len(piece)
            if limit is not None and done > limit:
                raise _Spoilt(
                    f"{url}: more than the {limit} bytes that it should have; not kept. {_ASK_ANOTHER}"
                )
            out.write(piece)
            progress(done, limit)
        out.flush()
        if limit is not None and done < limit:
            raise _Later(f"the connection ended after {done} of {limit} bytes")

    def _accept(self, url: str, answer: httpx.Response) -> None:
        status = answer.status_code
        if status in (429, 408) or status >= 500:
            raise _Later(f"the server answered {status}", _retry_after(answer))
        if status in (404, 410):
            raise Absent(
                f"{url}: no such file ({status}). If VOICEBOT_MODELS_MIRROR is set, the mirror may lack this "
                "model; else the hub has changed: update voicebot, or copy the model by hand"
            )
        if status not in (200, 206):
            raise HubRefused(f"{url}: the server answered {status}. {_ASK_ANOTHER}")
        if url.startswith("https:") and answer.url.scheme != "https":
            raise HubRefused(
                f"{url}: the server sends us on to an address without encryption. {_ASK_ANOTHER}"
            )
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise HubRefused(f"{url}: the server sends the file compressed, unasked. {_ASK_ANOTHER}")
        if answer.headers.get("content-type", "").startswith("text/html"):
            raise WrongContent(
                f"{url}: a web page came instead of the file (a sign-in or proxy page?); not taken. "
                f"{_ASK_ANOTHER}"
            )

    def _given_up(self, url: str, error: Exception, have: int) -> Exception:
        why = str(error) or type(error).__name__
        kept = f"the {have} bytes that came are kept, the next pull goes on there" if have else "nothing came"
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            return HubUnreachable(no_hub(self.hub, f"{why}; {kept}"))
        return BrokenDownload(f"{url}: {why}, again and again; {kept}. {_ASK_ANOTHER}")


_ASK_ANOTHER = "Try again later, or set VOICEBOT_MODELS_MIRROR to another hub"


def no_hub(hub: str, why: str) -> str:
    """What to do when nobody answers."""
    return (
        f"no model hub is reachable at {hub} ({why}). Either\n"
        "  - set VOICEBOT_MODELS_MIRROR to a hub that this machine can reach,\n"
        "  - or pull on another machine and copy its data directory's models/ folder here,\n"
        "  - or do without: VOICEBOT_STT=sphinx and VOICEBOT_TTS=espeak need no download"
    )


class _Spoilt(WrongContent):
    """What is on disk is no good. ``resumed``: it was put together from more than one answer."""

    resumed = False


class _Later(Exception):  # a state: try again
    """Worth another try, not before ``after_s`` seconds."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s


@contextmanager
def _room(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise DiskFull(
            f"no room left on the disk of {path.parent} ({os.strerror(error.errno)}); what had come was "
            "thrown away. Free some space, or set VOICEBOT_DATA_DIR to another disk"
        ) from error


def _total(url: str, answer: httpx.Response, start: int) -> int | None:
    if answer.status_code != _PART:
        length = answer.headers.get("content-length", "")
        return int(length) if length.isdigit() else None
    said = re.match(r"^bytes (\d+)-\d+/(\d+|\*)$", answer.headers.get("content-range", ""))
    if said is None or int(said[1]) != start:
        raise _Spoilt(f"{url}: the server sent another part than was asked for; not kept. {_ASK_ANOTHER}")
    return int(said[2]) if said[2] != "*" else None


def _retry_after(answer: httpx.Response) -> float:
    """Seconds that the server asks for, at most 60; a date is not worth parsing."""
    said = answer.headers.get("retry-after", "")
    return min(float(said), 60.0) if said.isdigit() else 0.0


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _tag_of(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _write_tag(part: Path, url: str, tag: str) -> None:
    _tag_of(part).write_text(f"{url}\n{tag if _STRONG_TAG.match(tag) else ''}\n", encoding="utf-8")


def _read_tag(part: Path, url: str) -> str | None:
    """The server's mark for the bytes in ``part``; None without a strong one from the same address."""
    path = _tag_of(part)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return lines[1] if len(lines) > 1 and lines[0] == url and lines[1] else None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_of(part).unlink(missing_ok=True)
