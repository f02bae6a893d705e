"""FastAPI in its usual forms: async and sync endpoints, dependencies, middleware, lifespan state, background tasks."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

TOKENS = 5


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, asyncio.Queue[str]]]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    writer = asyncio.create_task(write_log(queue))
    yield {"queue": queue}
    writer.cancel()


async def write_log(queue: asyncio.Queue[str]) -> None:
    while True:
        await queue.get()
        await asyncio.sleep(0.001)


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def time_it(request: Request, call_next):
    began = time.perf_counter()
    response = await call_next(request)
    response.headers["x-seconds"] = f"{time.perf_counter() - began:.0f}"
    return response


class NoStore(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["cache-control"] = "no-store"
        return response


app.add_middleware(NoStore)


def event(kind: str, text: str = "") -> str:
    return f'data: {{"type": "{kind}", "text": "{text}"}}\n\n'


def session() -> Iterator[list[str]]:
    """A sync dependency, which FastAPI runs in a worker thread."""
    notes: list[str] = []
    yield notes
    notes.clear()


Session = Annotated[list[str], Depends(session)]


@app.post("/async")
async def in_the_loop(question: dict[str, str], notes: Session):
    async def answer():
        for number in range(TOKENS):
            await asyncio.sleep(0.05)
            yield event("token", f"#{number}; {question['text']}")
        yield event("done")

    return StreamingResponse(answer(), media_type="text/event-stream")


@app.post("/sync")
def in_a_thread(question: dict[str, str], notes: Session):
    def answer():
        for number in range(TOKENS):
            yield event("token", f"#{number}; {question['text']}")
        yield event("done")

    return StreamingResponse(answer(), media_type="text/event-stream")


@app.post("/to-thread")
async def parts_in_threads(question: dict[str, str]):
    def think(number: int) -> str:
        return event("token", f"#{number}; {question['text']}")

    parts = [await asyncio.to_thread(think, number) for number in range(TOKENS)]
    return StreamingResponse(iter([*parts, event("done")]), media_type="text/event-stream")


@app.post("/background")
async def with_work_afterwards(question: dict[str, str], tasks: BackgroundTasks, request: Request):
    """A background task of each kind, and a task that nobody waits for."""
    tasks.add_task(request.state.queue.put, question["text"])
    tasks.add_task(time.sleep, 0)
    asyncio.get_running_loop().create_task(request.state.queue.put(question["text"]))
    await asyncio.sleep(0.01)
    parts = [event("token", f"#{number}; {question['text']}") for number in range(TOKENS)]
    return StreamingResponse(iter([*parts, event("done")]), media_type="text/event-stream")
