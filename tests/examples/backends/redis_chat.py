"""Conversations that live in Redis, and rooms of several processes that it joins, through `redis.asyncio`."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from fastapi_chat import event
from redis.asyncio import Redis


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Redis]]:
    async with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        yield {"redis": redis}


app = FastAPI(lifespan=lifespan)


@app.post("/conversations/{thread}")
async def ask(thread: str, question: dict[str, str], request: Request) -> StreamingResponse:
    redis: Redis = request.state.redis
    await redis.rpush(thread, question["text"])

    async def answer() -> AsyncIterator[str]:
        for number in range(5):
            await redis.incr(f"{thread} tokens")
            async with redis.pipeline() as pipe:
                last, _ = await pipe.lindex(thread, -1).expire(thread, 60).execute()
            yield event("token", f"#{number}; {last.decode()}")
        yield event("done")

    return StreamingResponse(answer(), media_type="text/event-stream")


@app.websocket("/rooms/{room}")
async def join(socket: WebSocket, room: str) -> None:
    """Each message goes to all in the room, whichever process they are connected to."""
    await socket.accept()
    redis: Redis = socket.state.redis
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(room)

        async def pass_on() -> None:
            async for message in pubsub.listen():
                if message["type"] == "message":
                    await socket.send_text(message["data"].decode())

        task = asyncio.create_task(pass_on())
        with suppress(WebSocketDisconnect):
            while True:
                question = await socket.receive_json()
                await redis.publish(room, json.dumps(question))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
