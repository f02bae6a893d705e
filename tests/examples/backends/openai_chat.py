"""FastAPI in front of a model service, through the `openai` client and through bare httpx."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi_chat import event
from openai import AsyncOpenAI


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
    async with (
        AsyncOpenAI(base_url=os.environ["MODEL_URL"], api_key="none") as openai,
        httpx.AsyncClient(base_url=os.environ["MODEL_URL"], timeout=60.0) as http,
    ):
        yield {"openai": openai, "http": http}


app = FastAPI(lifespan=lifespan)


def stream(parts: AsyncIterator[str]) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        async for text in parts:
            yield event("token", text)
        yield event("done")

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/chat")
async def chat(question: dict[str, str], request: Request) -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        messages = [{"role": "user", "content": question["text"]}]
        completion = await request.state.openai.chat.completions.create(model="m", messages=messages, stream=True)
        async for chunk in completion:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    return stream(parts())


@app.post("/responses")
async def responses(question: dict[str, str], request: Request) -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        async for one in await request.state.openai.responses.create(model="m", input=question["text"], stream=True):
            if one.type == "response.output_text.delta":
                yield one.delta

    return stream(parts())


@app.post("/proxy")
async def proxy(question: dict[str, str], request: Request) -> StreamingResponse:
    """Pass on the model's own stream, byte by byte."""
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": question["text"]}]}
    upstream = await request.state.http.send(
        request.state.http.build_request("POST", "chat/completions", json=body), stream=True
    )

    async def parts() -> AsyncIterator[bytes]:
        async for piece in upstream.aiter_bytes():
            yield piece
        await upstream.aclose()

    return StreamingResponse(parts(), media_type="text/event-stream")
