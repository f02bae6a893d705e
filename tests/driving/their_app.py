"""Small back ends that a load run starts: they answer with the process id, fail, or do not stop."""

import asyncio
import os
import signal

import httpx
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

app = FastAPI()


def stream(text, tokens=3, pause=0.01):
    async def answer():
        for token in range(tokens):
            await asyncio.sleep(pause)
            yield f'data: {{"type": "token", "text": "#{token}; {text}"}}\n\n'
        yield 'data: {"type": "done"}\n\n'

    return StreamingResponse(answer(), media_type="text/event-stream")


@app.post("/chat")
async def chat(question: dict[str, str]):
    return stream(question["text"])


@app.post("/long")
async def long(question: dict[str, str]):
    return stream(question["text"], tokens=50, pause=0.02)


@app.post("/busy")
async def busy(question: dict[str, str]):
    sum(range(20_000_000))  # some tenths of a second of CPU time
    return stream(question["text"])


@app.websocket("/socket")
async def talk(socket: WebSocket):
    await socket.accept()
    while True:
        question = await socket.receive_json()
        for token in range(50):
            await asyncio.sleep(0.02)
            await socket.send_json({"type": "token", "run": question["run"], "text": f"#{token}; {question['text']}"})
        await socket.send_json({"type": "done", "run": question["run"]})


@app.post("/broken")
async def broken(question: dict[str, str]):
    raise RuntimeError(f"no {os.environ['GREETING']}")


@app.post("/tool")
async def tool(question: dict[str, str]):
    async with httpx.AsyncClient() as client:
        answer = await client.post(os.environ["TOOL"], content=question["text"])
    return stream(f"status {answer.status_code} {question['text']}")


async def serve_for_ever():
    """A server that listens by itself, and takes no notice of SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    async def serve(reader, writer):
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"])):
        await asyncio.Event().wait()


async def deaf():
    await asyncio.sleep(60)


async def short():
    raise RuntimeError("it does not want to start")
