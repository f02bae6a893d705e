"""A chat back end of the usual shape: FastAPI in front, an OpenAI-style model service behind, answers over WebSocket.

Run it for real with ``uvicorn right:app``, or under simulated users with ``netra-sim simulate agents.toml``.
"""

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
            question = await socket.receive_json()
            notes = await notes_about(user)
            await answer(socket, user, notes, question)
    except WebSocketDisconnect:
        pass


async def answer(socket: WebSocket, user: str, notes: str, question: dict[str, str]) -> None:
    """Ask the model, and pass on what it says."""
    run = question["run"]
    await socket.send_json({"type": "started", "run": run, "user": user})
    stream = await socket.app.state.client.chat.completions.create(
        model="small",
        stream=True,
        messages=[{"role": "system", "content": notes}, {"role": "user", "content": question["text"]}],
    )
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            await socket.send_json({"type": "token", "run": run, "text": text})
    await socket.send_json({"type": "done", "run": run})
