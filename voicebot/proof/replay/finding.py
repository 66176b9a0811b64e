"""Finds recordings by path or by conversation, and the key that opens each."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path

from voicebot.audio.recording.format import AUDIO_SUFFIX, EVENTS_SUFFIX, RecordingError, WrongKey
from voicebot.audio.recording.reader import read_recording
from voicebot.core.settings import Settings
from voicebot.core.store.conversations import Conversations, UnknownConversation
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.proof.replay.errors import NoSuchRecording, NotReplayable
from voicebot.proof.replay.run import RecordedCall

KEY_FILE = "samples.key"
"""Beside recordings that hold nobody's voice: 32 bytes in base64, for everybody."""


def names_of(asked: Iterable[str]) -> list[str]:
    """Each call once, in the order given: of a recording's files and what lies beside them one is enough."""
    found: dict[str, None] = {}
    for one in asked:
        path = Path(one)
        beside = path.suffix == ".yaml" and path.with_suffix(AUDIO_SUFFIX).exists()
        if beside or path.suffix in {AUDIO_SUFFIX, EVENTS_SUFFIX}:
            found[str(path.with_suffix(""))] = None
        elif path.name == KEY_FILE or path.suffix in {".md", ".yaml"}:
            continue
        elif path.is_dir() and not _sessions(path):
            here = sorted(path.glob(f"*{AUDIO_SUFFIX}"))
            calls = sorted({p.parent for p in path.glob(f"*/*{AUDIO_SUFFIX}")})
            found |= dict.fromkeys([*(str(p.with_suffix("")) for p in here), *map(str, calls)])
        else:
            found[one] = None
    return list(found)


def read_key(path: Path) -> bytes:
    """A key's file.

    Raises:
        NoSuchRecording: it is none.
    """
    try:
        key = base64.b64decode(path.read_text(encoding="ascii").split()[-1], validate=True)
    except (OSError, IndexError, UnicodeDecodeError, binascii.Error) as error:
        raise NoSuchRecording(f"{path} is no key: it takes 32 bytes in base64") from error
    if len(key) != 32:
        raise NoSuchRecording(f"{path} holds {len(key)} bytes: a key has 32")
    return key


async def find(name: str, settings: Settings, key: Path | None = None) -> RecordedCall:
    """The call of that name: a path of a recording (with or without suffix), its folder, or a conversation.

    Args:
        name: as it was given.
        settings: whose data directory and keys.
        key: a file with the key; None: the one beside it, else the conversation's own.

    Raises:
        NoSuchRecording: there is none, or nothing opens it.
        NotReplayable: it can be read in part only, or not at all; names what is wrong.
    """
    paths = _paths(name, settings)
    if not paths:
        raise NoSuchRecording(
            f"there is no recording {name}: give a file ending in {AUDIO_SUFFIX}, a folder with some, or a "
            f"conversation's id whose recordings lie in {settings.data_dir / 'recordings'}"
        )
    opened = read_key(key) if key is not None else None
    beside = paths[0].with_name(KEY_FILE)
    if opened is None and beside.exists():
        opened = read_key(beside)
    if opened is None:
        opened = await _stored_key(paths[0], settings)
    try:
        sessions = tuple(read_recording(path, opened, accept_truncated=True) for path in paths)
    except WrongKey as error:
        raise NoSuchRecording(f"{paths[0]} is sealed under another key: give its own with --key") from error
    except RecordingError as error:
        raise NotReplayable(f"{name}: {error}") from error
    except OSError as error:
        raise NoSuchRecording(f"{error.filename}: {error.strerror}") from error
    return RecordedCall(paths[0].stem if len(paths) == 1 else Path(name).name, sessions)


def _paths(name: str, settings: Settings) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return _sessions(path)
    for one in (path.with_name(path.name + AUDIO_SUFFIX), path.with_name(path.name + EVENTS_SUFFIX)):
        if one.exists():
            return [one]
    return _sessions(settings.data_dir / "recordings" / path.name) if path.name == name else []


def _sessions(folder: Path) -> list[Path]:
    """One per media session, oldest first."""
    return sorted(folder.glob(f"[0-9][0-9][0-9]*{AUDIO_SUFFIX}"))


async def _stored_key(path: Path, settings: Settings) -> bytes:
    """Of the conversation that a recording says it is of."""
    from voicebot.audio.recording.format import read_header

    try:
        with path.open("rb") as file:
            conversation = read_header(file).conversation_id
    except (OSError, RecordingError) as error:
        raise NotReplayable(f"{path.name}: {error}") from error
    postgres = None
    if settings.database_url is None:
        postgres = EmbeddedPostgres.attach(settings.data_dir)
    url = postgres.url if postgres is not None else settings.database_url.get_secret_value()  # type: ignore[union-attr]
    try:
        keys = KeyRing.from_settings(settings)
        database = await Database.open(url, max_size=1)
        try:
            async with database.transaction() as tx:
                snapshot = await Conversations(keys).load(tx, conversation)
                return (await keys.cipher(tx, snapshot.subject_id)).derive("recording")
        finally:
            await database.close()
    except UnknownConversation as error:
        raise NoSuchRecording(
            f"{path} is of a conversation that is not in this database: give its key with --key"
        ) from error
    finally:
        if postgres is not None:
            postgres.stop()
