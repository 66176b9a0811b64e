"""The shop as a service of its own: the queries of ``queries.sql`` over HTTP.

    python business/shop/service.py --database-url postgresql://... --port 9400

It answers on loopback and prints the port it listens on. A change carries an ``Idempotency-Key``: the same
key again gets the first answer again and changes nothing. With ``SHOP_TOKEN`` set, whoever asks must give it
as bearer token.

``--faults`` is for tests: ``PUT /faults`` then makes it late, dead, forgetful of its manners or a liar.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from datetime import date, datetime
from decimal import Decimal
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Any, LiteralString, cast

import psycopg
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.responses import JSONResponse
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field

from voicebot.dialogue.connectors.queries import Query as NamedQuery
from voicebot.dialogue.connectors.queries import read_queries

HERE = Path(__file__).parent


class Asked(BaseModel):
    """The values of a query."""

    model_config = ConfigDict(strict=True, extra="forbid")
    values: dict[str, str | int | bool | list[int] | list[str] | None]


class Faults(BaseModel):
    """What goes wrong with changes, while ``times`` is above zero. All off at the start.

    ``before_s``, ``after_s``: late before and after it was done. ``die``: gone between doing and answering.
    ``drop``: done, and then an error of the server. ``lie``: says it did it for one cent less.
    ``echo``: speaks of another order. ``polite``: an error with status 200. ``claim``: not done, and
    said to be.
    """

    model_config = ConfigDict(strict=True, extra="forbid")
    times: int = 0
    before_s: float = Field(default=0.0, ge=0, le=30)
    after_s: float = Field(default=0.0, ge=0, le=30)
    die: bool = False
    drop: bool = False
    lie: bool = False
    echo: bool = False
    polite: bool = False
    claim: bool = False


def create_app(url: str, queries: dict[str, NamedQuery], *, token: str = "", faulty: bool = False) -> FastAPI:
    """The service on one database. Requests run in threads, each on a connection of its own."""
    faults = Faults()

    def known(authorization: Annotated[str, Header()] = "") -> None:
        if token and not compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "a bearer token is needed")

    app = FastAPI(title="shop", docs_url=None, redoc_url=None, dependencies=[Depends(known)])

    @app.get("/health")
    def health() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/queries/{name}")
    def query(name: str, asked: Asked) -> JSONResponse:
        found = _find(queries, name, asked, changes=False)
        with psycopg.connect(url, row_factory=dict_row) as connection:
            connection.execute("SET TRANSACTION READ ONLY")
            return JSONResponse(_answer(name, asked.values, None, _run(connection, found, asked.values)))

    @app.post("/changes/{name}")
    def change(
        name: str, asked: Asked, idempotency_key: Annotated[str, Header(min_length=8, max_length=200)]
    ) -> JSONResponse:
        found = _find(queries, name, asked, changes=True)
        wrong = _next(faults)
        time.sleep(wrong.before_s)
        with psycopg.connect(url, row_factory=dict_row) as connection:
            answer = _once(connection, found, asked.values, idempotency_key)
            if wrong.claim:
                connection.rollback()
        if wrong.die:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(wrong.after_s)
        if wrong.drop:
            raise HTTPException(502, "lost on the way back")
        if wrong.polite:
            return JSONResponse({"error": "something went wrong", "code": 17})
        return JSONResponse(_untrue(answer, wrong))

    @app.get("/changes")
    def remembered(key: Annotated[str, Query(min_length=8, max_length=200)]) -> JSONResponse:
        with psycopg.connect(url, row_factory=dict_row) as connection:
            row = connection.execute("SELECT answer FROM shop.answered WHERE key = %s", (key,)).fetchone()
        return JSONResponse({"key": key, "answer": None if row is None else row["answer"]})

    if faulty:

        @app.put("/faults")
        def break_it(wanted: Faults) -> Faults:
            for field in Faults.model_fields:
                setattr(faults, field, getattr(wanted, field))
            return faults

    return app


def _find(queries: dict[str, NamedQuery], name: str, asked: Asked, *, changes: bool) -> NamedQuery:
    found = queries.get(name)
    if found is None or bool(found.changes) != changes:
        raise HTTPException(404, "no such query")
    if found.parameters != frozenset(asked.values):
        raise HTTPException(422, f"values are {sorted(found.parameters)}")
    return found


def _once(
    connection: psycopg.Connection[dict[str, Any]], query: NamedQuery, values: dict[str, Any], key: str
) -> dict[str, Any]:
    """The change and its answer in one transaction; the first answer for a key that was there."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (key,))
    row = connection.execute("SELECT asked, answer FROM shop.answered WHERE key = %s", (key,)).fetchone()
    if row is not None:
        if (row["asked"], row["answer"]["values"]) != (query.name, values):
            raise HTTPException(409, "this key was used for something else")
        return row["answer"]
    answer = _answer(query.name, values, key, _run(connection, query, values))
    connection.execute(
        "INSERT INTO shop.answered (key, asked, answer) VALUES (%s, %s, %s)", (key, query.name, Jsonb(answer))
    )
    return answer


def _run(
    connection: psycopg.Connection[dict[str, Any]], query: NamedQuery, values: dict[str, Any]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        for statement in query.statements:
            cursor = connection.execute(cast("LiteralString", statement), values)
            rows = cursor.fetchall() if cursor.description is not None else []
    except psycopg.DataError as error:
        raise HTTPException(422, "a value does not fit") from error
    return rows


def _answer(name: str, values: dict[str, Any], key: str | None, rows: list[dict[str, Any]]) -> dict[str, Any]:
    plain = json.loads(json.dumps(rows, default=_as_text))
    return {"asked": name, "values": values, "key": key, "rows": plain}


def _as_text(value: Any) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _next(faults: Faults) -> Faults:
    """The faults of this change, which are then used up by one."""
    if faults.times <= 0:
        return Faults()
    faults.times -= 1
    return faults.model_copy()


def _untrue(answer: dict[str, Any], wrong: Faults) -> dict[str, Any]:
    if wrong.lie:
        rows = [
            {name: value - 1 if name.endswith("_cents") else value for name, value in row.items()}
            for row in answer["rows"]
        ]
        return {**answer, "rows": rows}
    if wrong.echo:
        return {**answer, "values": {**answer["values"], "order_number": "000000"}}
    return answer


def main() -> None:
    """Listens on loopback until it is told to stop."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--faults", action="store_true", help="PUT /faults makes it misbehave; for tests")
    arguments = parser.parse_args()
    app = create_app(
        arguments.database_url,
        read_queries(HERE / "queries.sql"),
        token=os.environ.get("SHOP_TOKEN", ""),
        faulty=arguments.faults,
    )
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", arguments.port))
    listening.listen(128)  # before anybody is told the port
    sys.stdout.write(f"listening on 127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
