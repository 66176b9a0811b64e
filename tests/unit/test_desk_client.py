"""Whatever answers at the API's address, pages and the desk's own work get an `ApiError` that says so."""

from __future__ import annotations

import asyncio

import pytest

from voicebot.console.desk.client import ApiError, DeskApi


@pytest.mark.parametrize("body", ["<html>hello</html>", ""])
async def test_an_answer_that_is_no_json_is_said_in_words(body: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        api = DeskApi(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", None)
        with pytest.raises(ApiError, match="not this desk's server"):
            await api.get("ada", "/api/handoffs")
        await api.close()
