"""What is sealed opens only unaltered, in its place, and with its own key; keys are never guessed."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from voicebot.core.conversation import Channel
from voicebot.core.settings import Settings, load_settings
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import (
    Cipher,
    KeyRing,
    MasterKeyUnusable,
    SealBroken,
    SubjectErased,
    WrongMasterKey,
    parse_master_key,
)

KEY = bytes(range(32))


def settings(data_dir: Path, **values: str) -> Settings:
    return load_settings(env_file=None, data_dir=data_dir, **values)


def test_seal_and_open() -> None:
    cipher = Cipher(KEY, "sb_1")
    assert cipher.open(cipher.seal(b"secret", "here"), "here") == b"secret"
    assert cipher.open(cipher.seal(b"", "here"), "here") == b""
    value = {"name": "Zoë", "n": [1, None, 2.5]}
    assert cipher.open_json(cipher.seal_json(value, "here"), "here") == value
    assert b"secret" not in cipher.seal(b"secret", "here")
    assert cipher.seal(b"secret", "here") != cipher.seal(b"secret", "here"), "a nonce is never used twice"


def test_every_altered_bit_is_seen() -> None:
    cipher = Cipher(KEY, "sb_1")
    sealed = cipher.seal(b"amount 10", "here")
    for index in range(len(sealed)):
        altered = bytearray(sealed)
        altered[index] ^= 1
        with pytest.raises(SealBroken):
            cipher.open(bytes(altered), "here")
    for cut in range(len(sealed)):
        with pytest.raises(SealBroken):
            cipher.open(sealed[:cut], "here")


def test_a_value_moved_elsewhere_does_not_open() -> None:
    sealed = Cipher(KEY, "sb_1").seal(b"secret", "input:cv_1:7")
    for thief, context in (
        (Cipher(KEY, "sb_1"), "input:cv_1:8"),
        (Cipher(KEY, "sb_2"), "input:cv_1:7"),
        (Cipher(bytes(32), "sb_1"), "input:cv_1:7"),
    ):
        with pytest.raises(SealBroken):
            thief.open(sealed, context)


def test_derived_keys_differ_by_purpose_and_subject() -> None:
    one, other = Cipher(KEY, "sb_1"), Cipher(bytes(32), "sb_1")
    keys = {one.derive("recording:a"), one.derive("recording:b"), other.derive("recording:a"), KEY}
    assert len(keys) == 4
    assert all(len(key) == 32 for key in keys)
    assert one.derive("recording:a") == Cipher(KEY, "sb_1").derive("recording:a")


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode().rstrip("="),
        f"  {KEY.hex()}\n",
    ],
)
def test_a_master_key_is_read_from_hex_or_base64(text: str) -> None:
    assert parse_master_key(text, "here") == KEY


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds 0 bytes"),
        ("hunter2!", "is neither hex nor base64"),
        (KEY[:16].hex(), "holds 24 bytes"),
        (base64.b64encode(bytes(33)).decode(), "holds 33 bytes"),
        ("ß" * 64, "is neither hex nor base64"),
    ],
)
def test_an_unusable_master_key_says_how_to_make_one_and_is_not_shown(text: str, why: str) -> None:
    with pytest.raises(MasterKeyUnusable, match=why) as refused:
        parse_master_key(text, "VOICEBOT_MASTER_KEY")
    assert "VOICEBOT_MASTER_KEY" in str(refused.value)
    assert "secrets.token_hex(32)" in str(refused.value)
    assert not text or text not in str(refused.value)


def test_the_setting_wins_and_nothing_is_written(tmp_path: Path) -> None:
    keys = KeyRing.from_settings(settings(tmp_path / "d", master_key=KEY.hex()))
    assert not keys.generated
    assert keys.key_id == KeyRing(KEY).key_id
    assert not (tmp_path / "d").exists()


def test_without_the_setting_a_key_is_made_once_and_kept_closed(tmp_path: Path) -> None:
    first = KeyRing.from_settings(settings(tmp_path / "d"))
    second = KeyRing.from_settings(settings(tmp_path / "d"))
    assert (first.generated, second.generated) == (True, False)
    assert first.key_id == second.key_id
    path = tmp_path / "d" / "master.key"
    assert first.source == str(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "d") == ["master.key"]


def test_a_broken_key_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "master.key").write_text("oops")
    with pytest.raises(MasterKeyUnusable, match=r"master\.key"):
        KeyRing.from_settings(settings(tmp_path))
    assert (tmp_path / "master.key").read_text() == "oops"


async def test_another_master_key_is_refused_at_boot_and_at_use(database: Database, keys: KeyRing) -> None:
    async with database.transaction() as tx:
        await keys.verify(tx)
        await keys.verify(tx)
        subject_id = await keys.new_subject(tx)
    other = KeyRing(bytes(32), source="VOICEBOT_MASTER_KEY")
    async with database.transaction() as tx:
        with pytest.raises(WrongMasterKey, match=f"{keys.key_id}.*VOICEBOT_MASTER_KEY.*{other.key_id}"):
            await other.verify(tx)
        with pytest.raises(WrongMasterKey):
            await other.cipher(tx, subject_id)


async def test_each_subject_has_a_key_of_its_own(database: Database, keys: KeyRing) -> None:
    async with database.transaction() as tx:
        one, other = await keys.new_subject(tx), await keys.new_subject(tx, "person")
        first, again, second = [await keys.cipher(tx, subject) for subject in (one, one, other)]
        assert first.key == again.key != second.key
        with pytest.raises(LookupError):
            await keys.cipher(tx, "sb_none")


async def test_wrapped_keys_cannot_be_swapped_or_altered(database: Database, keys: KeyRing) -> None:
    async with database.transaction() as tx:
        one, other = await keys.new_subject(tx), await keys.new_subject(tx)
        await tx.execute(
            "UPDATE subjects SET wrapped_key = (SELECT wrapped_key FROM subjects WHERE id = %s)"
            " WHERE id = %s",
            (one, other),
        )
        with pytest.raises(SealBroken):
            await keys.cipher(tx, other)
        await tx.execute(
            "UPDATE subjects SET wrapped_key = set_byte(wrapped_key, 20, get_byte(wrapped_key, 20) # 1)"
        )
        with pytest.raises(SealBroken):
            await keys.cipher(tx, one)


async def test_an_erased_subject_is_unreadable(database: Database, keys: KeyRing) -> None:
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        conversation_id = await conversations.create(
            tx, channel=Channel.CHAT, call_sid=None, caller=None, called=None, state={}
        )
        await tx.execute("UPDATE subjects SET wrapped_key = NULL, erased_at = now()")
        with pytest.raises(SubjectErased):
            await conversations.load(tx, conversation_id)


async def test_a_key_is_read_once_a_transaction(database: Database, keys: KeyRing) -> None:
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        conversation_id = await conversations.create(
            tx, channel=Channel.CHAT, call_sid=None, caller=None, called=None, state={}
        )
    async with database.transaction() as tx:
        cipher = await keys.cipher_of(tx, conversation_id)
        assert await keys.cipher_of(tx, conversation_id) is cipher
        assert await keys.cipher(tx, cipher.subject_id) is cipher
        async with database.transaction() as other:
            await other.execute("UPDATE subjects SET wrapped_key = NULL, erased_at = now()")
        assert await keys.cipher_of(tx, conversation_id) is cipher
    async with database.transaction() as tx:
        with pytest.raises(SubjectErased):
            await keys.cipher_of(tx, conversation_id)
        with pytest.raises(LookupError, match="no conversation cv_none"):
            await keys.cipher_of(tx, "cv_none")


async def test_sealed_columns_moved_between_rows_do_not_open(database: Database, keys: KeyRing) -> None:
    """An attacker with write access to the tables cannot give one conversation another's state."""
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        one, other = [
            await conversations.create(
                tx, channel=Channel.CHAT, call_sid=None, caller=None, called=None, state={"n": n}
            )
            for n in range(2)
        ]
        await tx.execute(
            "UPDATE conversations SET sealed_state = (SELECT sealed_state FROM conversations WHERE id = %s)"
            " WHERE id = %s",
            (one, other),
        )
        assert (await conversations.load(tx, one)).state == {"n": 0}
        with pytest.raises(SealBroken):
            await conversations.load(tx, other)


def test_an_index_finds_without_storing() -> None:
    keys = KeyRing(KEY)
    assert keys.index("caller", "+15005550006") == keys.index("caller", "+15005550006")
    assert keys.index("caller", "+15005550006") != keys.index("called", "+15005550006")
    assert keys.index("caller", "+15005550006") != KeyRing(bytes(32)).index("caller", "+15005550006")
