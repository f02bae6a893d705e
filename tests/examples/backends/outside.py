"""Endpoints that leave the host: a subprocess, a real socket, a file; and one whose model is elsewhere."""

import asyncio
import socket
import subprocess
from pathlib import Path

import httpx
from fastapi import FastAPI

app = FastAPI()


@app.post("/subprocess")
async def in_a_subprocess(question: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec("cat", stdout=subprocess.PIPE)
    return str(process.pid)


@app.post("/popen")
def by_popen(question: dict[str, str]) -> str:
    return subprocess.run(["true"], check=False).args[0]


@app.post("/socket")
def by_a_real_socket(question: dict[str, str]) -> str:
    with socket.create_connection(("127.0.0.1", 9), timeout=1):
        return ""


@app.post("/file")
def to_a_file(question: dict[str, str]) -> None:
    Path("answers.txt").write_text(question["text"])


@app.post("/elsewhere")
async def elsewhere(question: dict[str, str]) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get("http://api.example.com/v1/models")).text
