"""The back end of `right.py` with a planted defect: the current user is in a variable that all connections share."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from openai import AsyncOpenAI


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one connection pool to the model service."""
    async with AsyncOpenAI(base_url=os.environ["MODEL_URL"], api_key="none") as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)
current: dict[str, str] = {}


async def notes_about(user: str) -> str:
    """What is known about a user; here nothing but the name, after a look at a store that takes a moment."""
    await asyncio.sleep(0.005)
    return f"The user is {user}."


@app.websocket("/chat/{user}")
async def chat(socket: WebSocket, user: str) -> None:
    """Answer each question of a user, piece by piece."""
    await socket.accept()
    try:
        while True:
            current.update(await socket.receive_json())
            notes = await notes_about(user)
            await answer(socket, user, notes)
    except WebSocketDisconnect:
        pass


async def answer(socket: WebSocket, user: str, notes: str) -> None:
    """Ask the model, and pass on what it says."""
    run, text = current["run"], current["text"]  # of whoever asked last
    await socket.send_json({"type": "started", "run": run, "user": user})
    stream = await socket.app.state.client.chat.completions.create(
        model="small",
        stream=True,
        messages=[{"role": "system", "content": notes}, {"role": "user", "content": text}],
    )
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            await socket.send_json({"type": "token", "run": run, "text": text})
    await socket.send_json({"type": "done", "run": run})
