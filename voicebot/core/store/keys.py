"""Keys: one master key wraps one data key per subject; data keys seal what people said and are.

AES-256-GCM throughout (``cryptography``). A sealed value is ``0x01 | nonce (12) | ciphertext |
tag (16)``; what it belongs to (subject and context) is authenticated, so a value moved to
another row or column does not open. Deleting a subject's wrapped key makes all its data
unreadable, backups of the tables included.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from voicebot.core.settings import Settings
from voicebot.core.store.data_dir import make_data_dir
from voicebot.core.store.database import Transaction, known_in

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = b"\x01"


class KeysError(Exception):
    """Base of what goes wrong with keys."""


class MasterKeyUnusable(KeysError):
    """The master key is not 32 bytes, or its file cannot be read; the message says what to do."""


class WrongMasterKey(KeysError):
    """The database was written with another master key."""


class SealBroken(KeysError):
    """A sealed value was altered, moved, or sealed with another key. It is not used."""


class SubjectErased(KeysError):
    """The subject's key was deleted: its data is gone for good."""


class Cipher:
    """Seals and opens the data of one subject.

    Attributes:
        key: the subject's 32 bytes. Prefer `derive` for anything stored outside the database.
        subject_id: whose it is.
    """

    def __init__(self, key: bytes, subject_id: str) -> None:
        self.key = key
        self.subject_id = subject_id
        self._aead = AESGCM(key)

    def seal(self, plaintext: bytes, context: str) -> bytes:
        """Encrypts ``plaintext``; only `open` with the same ``context`` (e.g. ``turns.input:7``) reads it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + self._aead.encrypt(nonce, plaintext, self._bound_to(context))

    def open(self, sealed: bytes, context: str) -> bytes:
        """The plaintext.

        Raises:
            SealBroken: altered, of another subject or context, or of an unknown format.
        """
        if sealed[:1] != _FORMAT or len(sealed) < 1 + _NONCE_BYTES + 16:
            raise SealBroken(f"{context}: not a sealed value of this format")
        try:
            return self._aead.decrypt(
                sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], self._bound_to(context)
            )
        except InvalidTag as error:
            raise SealBroken(f"{context}: altered, or sealed for something else") from error

    def seal_json(self, value: Any, context: str) -> bytes:
        """Seals ``value`` as JSON (UTF-8, no NaN)."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return self.seal(text.encode(), context)

    def open_json(self, sealed: bytes, context: str) -> Any:
        """The value sealed by `seal_json`. Raises `SealBroken` like `open`."""
        return json.loads(self.open(sealed, context))

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose (``recording:cv_...``), by HKDF-SHA256; they do not reveal `key`."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"voicebot:{purpose}".encode()).derive(self.key)

    def _bound_to(self, context: str) -> bytes:
        return f"{self.subject_id}|{context}".encode()


class KeyRing:
    """The master key and what it opens. One per process.

    Attributes:
        generated: True if this start made a new master key, so that start-up can say where it lies.
        source: where the key comes from, in words, for people.
    """

    def __init__(self, master: bytes, *, source: str = "given", generated: bool = False) -> None:
        if len(master) != KEY_BYTES:
            raise MasterKeyUnusable(f"a master key has {KEY_BYTES} bytes, this one {len(master)}")
        self.source = source
        self.generated = generated
        self.key_id = _prf(master, "key id")[:8].hex()
        self._wrapping = AESGCM(_prf(master, "wrap subject keys"))
        self._index_key = _prf(master, "index")
        self._wrapping_for = functools.cache(functools.partial(_wrapping, master))

    @classmethod
    def from_settings(cls, settings: Settings) -> KeyRing:
        """``VOICEBOT_MASTER_KEY``, else ``DATA_DIR/master.key``, made (mode 0600) if absent.

        Raises:
            MasterKeyUnusable: neither base64 nor hex of 32 bytes, or the file is unreadable.
        """
        if settings.master_key is not None:
            text = settings.master_key.get_secret_value()
            return cls(parse_master_key(text, "VOICEBOT_MASTER_KEY"), source="VOICEBOT_MASTER_KEY")
        path = settings.data_dir / "master.key"
        generated = _generate(path)
        try:
            text = path.read_text()
        except OSError as error:
            raise MasterKeyUnusable(
                f"{path}: {error.strerror}; run as its owner, or set VOICEBOT_MASTER_KEY"
            ) from error
        return cls(parse_master_key(text, str(path)), source=str(path), generated=generated)

    async def verify(self, tx: Transaction) -> None:
        """At boot: that the database belongs to this master key; an empty one is marked as ours.

        Raises:
            WrongMasterKey: it belongs to another.
        """
        await tx.execute(
            "INSERT INTO key_check (key_id) VALUES (%s) ON CONFLICT (only_row) DO NOTHING", (self.key_id,)
        )
        row = await (await tx.execute("SELECT key_id FROM key_check")).fetchone()
        if row is None or row["key_id"] != self.key_id:
            found = row["key_id"] if row else "none"
            raise WrongMasterKey(
                f"the database was written with master key {found}, but {self.source} holds {self.key_id}: "
                "set VOICEBOT_MASTER_KEY to the key it was written with (without it its data cannot be read)"
            )

    async def new_subject(self, tx: Transaction, kind: str = "conversation") -> str:
        """A new subject (``conversation`` or ``person``) with a key of its own; returns its id."""
        subject_id = f"sb_{secrets.token_hex(16)}"
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = nonce + self._wrapping.encrypt(nonce, secrets.token_bytes(KEY_BYTES), subject_id.encode())
        await tx.execute(
            "INSERT INTO subjects (id, kind, key_id, wrapped_key) VALUES (%s, %s, %s, %s)",
            (subject_id, kind, self.key_id, wrapped),
        )
        return subject_id

    async def cipher(self, tx: Transaction, subject_id: str) -> Cipher:
        """The subject's cipher, read once a transaction, so that an erased subject is erased on every node.

        Raises:
            LookupError: there is no such subject.
            SubjectErased: its key was deleted.
            WrongMasterKey: its key was wrapped by another master key.
        """
        known = known_in(tx)
        if (cipher := known.get(subject_id)) is not None:
            return cipher
        query = "SELECT key_id, wrapped_key FROM subjects WHERE id = %s"
        row = await (await tx.execute(query, (subject_id,))).fetchone()
        if row is None:
            raise LookupError(f"no subject {subject_id}")
        known[subject_id] = cipher = self.unwrap(subject_id, row["key_id"], row["wrapped_key"])
        return cipher

    async def cipher_of(self, tx: Transaction, conversation_id: str) -> Cipher:
        """The cipher of a conversation's subject. Raises like `cipher`."""
        known = known_in(tx)
        if (cipher := known.get(conversation_id)) is not None:
            return cipher
        cursor = await tx.execute(
            "SELECT s.id, s.key_id, s.wrapped_key FROM conversations c JOIN subjects s ON s.id = c.subject_id"
            " WHERE c.id = %s",
            (conversation_id,),
        )
        row = await cursor.fetchone()
        if row is None:
            raise LookupError(f"no conversation {conversation_id}")
        cipher = self.unwrap(row["id"], row["key_id"], row["wrapped_key"])
        self.remember(tx, conversation_id, cipher)
        return cipher

    def remember(self, tx: Transaction, conversation_id: str, cipher: Cipher) -> None:
        """Whoever has read a conversation with its key says so: the transaction need not do it again."""
        known_in(tx).update({conversation_id: cipher, cipher.subject_id: cipher})

    def unwrap(self, subject_id: str, key_id: str, wrapped_key: bytes | None) -> Cipher:
        """The cipher of a row of ``subjects`` already read. Raises like `cipher`."""
        if wrapped_key is None:
            raise SubjectErased(f"subject {subject_id} was erased")
        if key_id != self.key_id:
            raise WrongMasterKey(
                f"subject {subject_id} was sealed under master key {key_id}, this is {self.key_id}"
            )
        try:
            nonce, sealed = wrapped_key[:_NONCE_BYTES], wrapped_key[_NONCE_BYTES:]
            key = self._wrapping.decrypt(nonce, sealed, subject_id.encode())
        except InvalidTag as error:
            raise SealBroken(f"the key of subject {subject_id} was altered") from error
        return Cipher(key, subject_id)

    def wrap_key(self, purpose: str, key_id: str, key: bytes) -> bytes:
        """``key`` (the house's, no subject's) for storage: only `unwrap_key` of the same names opens it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._wrapping_for(purpose).encrypt(nonce, key, key_id.encode())

    def unwrap_key(self, purpose: str, key_id: str, wrapped: bytes) -> bytes:
        """What `wrap_key` wrapped. Raises `SealBroken`: altered, or wrapped under another master key."""
        try:
            nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
            return self._wrapping_for(purpose).decrypt(nonce, sealed, key_id.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken(f"key {key_id} was altered, or is of another master key") from error

    def index(self, purpose: str, value: str) -> bytes:
        """32 bytes to look ``value`` up by without storing it: HMAC-SHA256 under the master key."""
        return hmac.digest(self._index_key, f"{purpose}\0{value}".encode(), "sha256")


def parse_master_key(text: str, source: str) -> bytes:
    """32 bytes from hex or base64 (standard or URL-safe, padding optional).

    Raises:
        MasterKeyUnusable: names ``source`` and how to make a key; never shows the text.
    """
    text = text.strip()
    try:
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text)
        standard = text.replace("-", "+").replace("_", "/").rstrip("=")
        key = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
        if len(key) == KEY_BYTES:
            return key
        found = f"holds {len(key)} bytes"
    except (ValueError, binascii.Error):
        found = "is neither hex nor base64"
    raise MasterKeyUnusable(
        f"{source} {found}; a master key is 32 bytes in hex or base64: "
        "python -c 'import secrets; print(secrets.token_hex(32))'"
    )


def _generate(path: Path) -> bool:
    """Makes the key file whole or not at all; False if there is one (perhaps of another node, just now)."""
    if path.exists():
        return False
    try:
        make_data_dir(path.parent)
        new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(file, secrets.token_hex(KEY_BYTES).encode() + b"\n")
            os.fsync(file)
        finally:
            os.close(file)
        try:
            os.link(new, path)
        except FileExistsError:
            return False
        finally:
            new.unlink()
    except OSError as error:
        raise MasterKeyUnusable(
            f"{path} cannot be written: {error.strerror}; set VOICEBOT_MASTER_KEY or VOICEBOT_DATA_DIR"
        ) from error
    return True


def _wrapping(master: bytes, purpose: str) -> AESGCM:
    return AESGCM(_prf(master, f"wrap {purpose}"))


def _prf(master: bytes, purpose: str) -> bytes:
    return hmac.digest(master, f"voicebot {purpose}".encode(), hashlib.sha256)
