"""What a caller says of himself stands nowhere in clear words: canaries, spoken, split, keyed and typed,
go through whole conversations, and every artefact is searched, sealed ones before they are sealed.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from changes_kit import PACKED, verified
from prometheus_client import generate_latest

from tests.store.dialogue_kit import Talk
from voicebot.core.conversation import Channel, Keys, Utterance
from voicebot.core.store import vault
from voicebot.core.store.database import Database
from voicebot.core.store.keys import Cipher, KeyRing
from voicebot.dialogue.generation.request import GenerationRequest
from voicebot.safety.pii.spoken_form import written

CARD, ORDER, POST_CODE, PHONE = "4242424242424242", "427103", "94107", "6175550123"
EMAIL, BORN = "j_doe85@yahoo.com", "1985-03-03"
CHANCE = re.compile(r"\b[a-z]+_[0-9a-f]{32}\b|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d+")
"""Names and moments: any digits may stand in them."""
CANARIES = (CARD, ORDER, POST_CODE, PHONE, EMAIL, BORN, "whitfield", "oak road")

CALL: tuple[str | Keys, ...] = (
    "where is my order",
    "it's four two seven, uh, one oh three",
    "nine four one oh seven",
    "how do i look after my oak table",
    "my name is margaret whitfield and i was born on the third of march eighty five",
    "my card is four two four two four two four two",
    "four two four two four two four two",
    "my e-mail is j underscore doe eighty five at yahoo dot com",
    "can i pay with my card ending four two four two four two four two four two four two four two four two",
    "i live at forty four oak road can you change the delivery address",
    "please call me back on six one seven five five five oh one two three",
    "yes please",
    "i want to speak to a person",
)
CHAT: tuple[str | Keys, ...] = (
    "Where is my order 427103?",
    "94107",
    "you can reach me at (617) 555-0123 or j_doe85@yahoo.com",
    "my card 4242 4242 4242 4242 was charged twice",
)
KEYED: tuple[str | Keys, ...] = ("where is my order", Keys(digits="427103#"), Keys(digits="94107#"))


class Capturing:
    """A language model that keeps what it is asked."""

    name, version = "capturing", "1"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def stream(self, request: GenerationRequest, meter: Any = None) -> AsyncIterator[str]:
        self.asked.append(repr(request))
        yield "Wipe it with a damp cloth."

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Everything that is sealed outside of the vault, as it was before."""
    found: list[str] = []
    seal = Cipher.seal

    def spy(self: Cipher, plaintext: bytes, context: str) -> bytes:
        if not context.startswith("vault:"):
            found.append(f"{context} {plaintext.decode(errors='replace')}")
        return seal(self, plaintext, context)

    monkeypatch.setattr(Cipher, "seal", spy)
    return found


def hits(texts: list[str]) -> list[str]:
    """Texts that hold a canary, as written, as spoken, or with anything between its digits."""
    found: list[str] = []
    for text in texts:
        text = CHANCE.sub("", text)
        forms = [text.lower(), re.sub(r"[^a-z0-9@_.-]", "", text.lower())]
        for part in re.split(r'["\n{}]|\\u', text):
            line = written(part).lower()
            forms += [line, line.replace(" ", "")]
        for canary in CANARIES:
            if any(canary in form for form in forms):
                found.append(f"{canary}: {text[:300]}")
                break
    return found


async def rows(database: Database) -> list[str]:
    """Every row of every table of ours, sealed columns as they are."""
    out: list[str] = []
    async with database.transaction() as tx:
        names = await (
            await tx.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).fetchall()
        for name in names:
            if name["tablename"] in {"chunks", "chunk_words", "articles", "chunk_vectors"}:
                continue  # what the business publishes
            found = await (await tx.execute(f'SELECT * FROM "{name["tablename"]}"'.encode())).fetchall()  # noqa: S608
            for row in found:
                clear = {key: str(value) for key, value in row.items() if not isinstance(value, bytes)}
                clear.pop("id", None)
                out.append(f"{name['tablename']} {json.dumps(clear)}")
    return [line for line in out if not re.match(r"(audit_chain|key_check)", line)]


async def spoken(talk: Talk, lines: tuple[str | Keys, ...], live: list[str]) -> None:
    for line in lines:
        if isinstance(line, str):
            words = line.split()
            so_far = (" ".join(words[:at]) for at in range(1, len(words) + 1))
            live += [talk.orchestrator.veil(talk.id, text, so_far=True) for text in so_far]
        given = Utterance(text=line, alternatives=(line,)) if isinstance(line, str) else line
        answer = await talk.turn(given)
        live.append(talk.orchestrator.veil(talk.id, answer))


@pytest.mark.parametrize(
    ("lines", "channel"), [(CALL, Channel.PHONE), (CHAT, Channel.CHAT), (KEYED, Channel.PHONE)]
)
async def test_no_artefact_holds_what_a_caller_said_of_himself(
    shop_database: Database,
    keys: KeyRing,
    sealed: list[str],
    lines: tuple[str | Keys, ...],
    channel: Channel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Turns, events, state, handoff, acts, memory, gaps, audit, logs, prompts, live words, metrics: none."""
    model, live = Capturing(), list[str]()
    with structlog.testing.capture_logs() as logs:
        talk = await Talk.begin(shop_database, keys, generator=model, channel=channel)
        await spoken(talk, lines, live)
        state = (await talk.snapshot()).state
        async with shop_database.transaction() as tx:
            held = await vault.values(tx, keys, talk.id)
        await talk.close()
    out = capsys.readouterr()
    artefacts = {
        "sealed": sealed,
        "rows": await rows(shop_database),
        "state": [json.dumps(state)],
        "prompts": model.asked,
        "logs": [*map(repr, logs), out.out, out.err],
        "live": live,
        "metrics": [line.rpartition(" ")[0] for line in generate_latest().decode().splitlines()],
    }
    found = {name: hits(texts) for name, texts in artefacts.items()}
    assert not any(found.values()), found
    assert ORDER in held.values()  # it was understood all the same
    assert any("order number 1" in text for text in sealed)


async def test_an_earlier_piece_is_masked_afterwards(shop_database: Database, keys: KeyRing) -> None:
    """Three digits are nothing; with the seven of the next turn they are a phone number, in both turns."""
    talk = await Talk.begin(shop_database, keys)
    await talk.turn("it's six one seven")
    assert (await talk.turns())[-1]["input"]["text"] == "it's six one seven"
    await talk.turn("five five five oh one two three")
    first, second = (await talk.turns())[-2:]
    assert (first["input"]["text"], second["input"]["text"]) == ("it's [number 1]", "[phone number 1]")
    assert "six one seven" not in json.dumps((await talk.snapshot()).state)
    await talk.close()


async def test_the_read_back_says_the_value_and_stores_its_token(
    shop_database: Database, keys: KeyRing
) -> None:
    """The caller hears his digits; the transcript has the token, cut off or not."""
    talk = await Talk.begin(shop_database, keys)
    await talk.turn("where is my order")
    said = await talk.turn("four two seven one oh three", heard=4)
    assert "four two seven, one zero three" in said
    turn = (await talk.turns())[-1]
    assert turn["spoken"].startswith("I have [order number 1].")
    assert "four" not in turn["heard"]["text"]
    assert "[order number 1]" in turn["heard"]["text"]
    await talk.close()


async def test_erasing_a_conversation_erases_its_vault(shop_database: Database, keys: KeyRing) -> None:
    """The rows go with the conversation; without its key nothing opens."""
    talk = await Talk.begin(shop_database, keys)
    await talk.turn("my number is 617 555 0123")
    async with shop_database.transaction() as tx:
        assert PHONE in (await vault.values(tx, keys, talk.id)).values()
        await tx.execute("DELETE FROM conversations WHERE id = %s", (talk.id,))
        left = await (await tx.execute("SELECT count(*) AS n FROM vault")).fetchone()
    assert left == {"n": 0}
    await talk.close()


async def test_a_verified_customers_own_name_is_masked_though_it_was_misheard(
    shop_database: Database, keys: KeyRing
) -> None:
    """Known from the records once the gate was passed; said before that, by nobody known, it stays."""
    async with shop_database.transaction() as tx:
        await tx.execute(
            "UPDATE shop.customers SET first_name = 'Anna', last_name = 'Baker' WHERE id ="
            " (SELECT customer_id FROM shop.orders WHERE number = %s)",
            (PACKED[0],),
        )
    talk = await Talk.begin(shop_database, keys)
    await talk.turn("the parcel says ana backer on it")
    assert "ana backer" in (await talk.turns())[-1]["input"]["text"]
    await verified(talk, PACKED, "where is my order")
    await talk.turn("the parcel says ana backer on it")
    assert (await talk.turns())[-1]["input"]["text"] == "the parcel says [name 1] on it"
    assert "backer" not in talk.orchestrator.veil(talk.id, "so ana backer", so_far=True)
    await talk.close()
