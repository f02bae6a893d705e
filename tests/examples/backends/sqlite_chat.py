"""Conversations in SQLite, through aiosqlite, whose connections are threads."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosqlite
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi_chat import event


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, aiosqlite.Connection]]:
    async with aiosqlite.connect(os.environ.get("DATABASE", ":memory:")) as database:
        await database.execute("CREATE TABLE messages (thread TEXT, text TEXT)")
        yield {"database": database}


app = FastAPI(lifespan=lifespan)


@app.post("/conversations/{thread}")
async def ask(thread: str, question: dict[str, str], request: Request) -> StreamingResponse:
    database: aiosqlite.Connection = request.state.database
    await database.execute("INSERT INTO messages VALUES (?, ?)", (thread, question["text"]))
    await database.commit()

    async def answer() -> AsyncIterator[str]:
        for number in range(5):
            query = "SELECT text FROM messages WHERE thread = ? ORDER BY rowid DESC LIMIT 1"
            async with database.execute(query, (thread,)) as rows:
                (text,) = await rows.fetchone()
            yield event("token", f"#{number}; {text}")
        yield event("done")

    return StreamingResponse(answer(), media_type="text/event-stream")
