"""`run` in a real notebook kernel, as JupyterLab drives it, and nest-asyncio only by choice."""

import subprocess
import sys
from pathlib import Path

import pytest

import netra_sim
from netra_sim.runtime import nest_asyncio_enabled

LONGEST = 60
"""Seconds after which a kernel is held to be hung; nothing here takes nearly as long."""

NEEDS_IPC = pytest.mark.skipif(sys.platform == "win32", reason="the kernel is reached through Unix sockets (ipc)")


class Notebook:
    """A kernel and the cells that were sent to it."""

    def __init__(self, manager, client):
        self.manager = manager
        self.client = client

    def send(self, *cells):
        """Queue cells as "Run All" does: all at once, none waiting for the one before it."""
        return [self.client.execute(cell, allow_stdin=False) for cell in cells]

    def replies(self, requests):
        """The replies in the order in which they come: a pair of request and status each."""
        received = []
        while len(received) < len(requests):
            reply = self.client.get_shell_msg(timeout=LONGEST)
            if (request := reply["parent_header"]["msg_id"]) in requests:
                received.append((request, reply["content"].get("ename", reply["content"]["status"])))
        return received

    def outputs(self, requests):
        """What each cell printed or showed, read until the last one is idle."""
        printed = dict.fromkeys(requests, "")
        while True:
            message = self.client.get_iopub_msg(timeout=LONGEST)
            request, content = message["parent_header"].get("msg_id"), message["content"]
            if request not in printed:
                continue
            if message["msg_type"] == "stream":
                printed[request] += content["text"]
            elif message["msg_type"] == "execute_result":
                printed[request] += content["data"]["text/plain"]
            elif content.get("execution_state") == "idle" and request == requests[-1]:
                return list(printed.values())

    def wait_until_printed(self, request, text):
        printed = ""
        while text not in printed:
            message = self.client.get_iopub_msg(timeout=LONGEST)
            if message["msg_type"] == "stream" and message["parent_header"]["msg_id"] == request:
                printed += message["content"]["text"]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    jupyter_client = pytest.importorskip("jupyter_client")
    folder = tmp_path_factory.mktemp("kernel")
    manager = jupyter_client.KernelManager(
        kernel_name="python3", transport="ipc", connection_file=str(folder / "kernel.json"), ip=str(folder / "ipc")
    )
    manager.start_kernel(cwd=str(Path(netra_sim.__file__).parents[1]))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=LONGEST)
        yield Notebook(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        manager.context.destroy()


def in_a_fresh_process(code):
    """Run code in a process of its own, with warnings as errors, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", code],
        capture_output=True, text=True, check=False, timeout=LONGEST, cwd=Path(netra_sim.__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


SET_UP = """
import asyncio
import netra_sim
async def nap(word):
    await asyncio.sleep(0.01)
    print(word)
    return word.upper()
"""


@NEEDS_IPC
def test_run_all_gives_every_cell_its_output_in_order(notebook):
    requests = notebook.send(
        SET_UP,
        "print('one'); netra_sim.run(nap('two'))",
        "netra_sim.run(nap('three'))",
        "netra_sim.run(netra_sim.windows_safe_gather(nap('four')) if False else nap('four')); netra_sim.run(nap('five'))",
        "await nap('six')",
    )
    assert notebook.replies(requests) == [(request, "ok") for request in requests]
    assert notebook.outputs(requests) == ["", "one\ntwo\n'TWO'", "three\n'THREE'", "four\nfive\n'FIVE'", "six\n'SIX'"]
