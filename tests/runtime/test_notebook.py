"""`run` in a real notebook kernel, used as JupyterLab does, and nest-asyncio only on request."""

import subprocess
import sys
from pathlib import Path

import pytest

import netra_sim
from netra_sim.runtime import nest_asyncio_enabled

LONGEST = 60
"""Seconds after which a kernel counts as hung; everything here is much faster."""


class Notebook:
    """A kernel and the cells that were sent to it."""

    def __init__(self, manager, client):
        self.manager = manager
        self.client = client

    def send(self, *cells):
        """Queue cells as "Run All" does: all at once, without waiting for the previous cell."""
        return [self.client.execute(cell, allow_stdin=False) for cell in cells]

    def replies(self, requests):
        """The outcomes of the cells, in the order in which the kernel reports them."""
        received = []
        while len(received) < len(requests):
            reply = self.client.get_shell_msg(timeout=LONGEST)
            if (request := reply["parent_header"]["msg_id"]) in requests:
                received.append((request, reply["content"].get("ename", reply["content"]["status"])))
        return received

    def outputs(self, requests, until=None):
        """The output of each cell, read until the last cell has ended or has printed this text."""
        printed = dict.fromkeys(requests, "")
        has_ended = False
        while not has_ended:
            message = self.client.get_iopub_msg(timeout=LONGEST)
            request, content = message["parent_header"].get("msg_id"), message["content"]
            if request not in printed:
                continue
            if message["msg_type"] == "stream":
                printed[request] += content["text"]
            elif message["msg_type"] == "execute_result":
                printed[request] += content["data"]["text/plain"]
            last = requests[-1]
            is_idle = request == last and content.get("execution_state") == "idle"
            has_ended = is_idle or (until is not None and until in printed[last])
        return list(printed.values())


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    jupyter_client = pytest.importorskip("jupyter_client")
    folder = tmp_path_factory.mktemp("kernel")
    # Local sockets, if the platform has them, use no port.
    where = {"transport": "tcp"} if sys.platform == "win32" else {"transport": "ipc", "ip": str(folder / "ipc")}
    manager = jupyter_client.KernelManager(kernel_name="python3", connection_file=str(folder / "kernel.json"), **where)
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
    """Run code in a new process, with warnings as errors, and return its output."""
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


def test_run_all_gives_every_cell_its_output_in_order(notebook):
    requests = notebook.send(
        SET_UP,
        "print('one'); netra_sim.run(nap('two'))",
        "netra_sim.run(nap('three'))",
        "netra_sim.run(nap('four')); netra_sim.run(nap('five'))",
        "await nap('six')",
    )
    assert notebook.replies(requests) == [(request, "ok") for request in requests]
    assert notebook.outputs(requests) == ["", "one\ntwo\n'TWO'", "three\n'THREE'", "four\nfive\n'FIVE'", "six\n'SIX'"]


def test_run_all_stops_at_a_cell_whose_coroutine_fails_and_the_kernel_goes_on(notebook):
    failing, behind = notebook.send(SET_UP + "netra_sim.run(nap(None))", "print('never')")
    assert notebook.replies([failing, behind]) == [(failing, "AttributeError"), (behind, "aborted")]
    after = notebook.send("netra_sim.run(nap('after'))")
    assert notebook.replies(after) == [(after[0], "ok")]
    assert notebook.outputs(after) == ["after\n'AFTER'"]


def test_a_task_that_a_cell_leaves_behind_does_not_leak_into_the_next_cell(notebook):
    requests = notebook.send(
        SET_UP,
        "async def leave(): asyncio.create_task(nap('leaked'), name='leaked')",
        "netra_sim.run(leave())",
        "await asyncio.sleep(0.05); print('leaked' in {task.get_name() for task in asyncio.all_tasks()})",
        "asyncio.sleep is asyncio.tasks.sleep, netra_sim.runtime.nest_asyncio_enabled()",
    )
    assert [ended for _, ended in notebook.replies(requests)] == ["ok"] * 5
    assert notebook.outputs(requests) == ["", "", "", "False\n", "(True, False)"]


def test_interrupting_the_kernel_cancels_the_coroutine_and_waits_for_its_clean_up(notebook):
    requests = notebook.send(INTERRUPTED)
    notebook.outputs(requests, until="begun")
    notebook.manager.interrupt_kernel()
    assert notebook.replies(requests) == [(requests[0], "ok")]
    assert notebook.outputs(requests) == ["['cleaned up']\n"]


INTERRUPTED = """
import asyncio
import netra_sim

log = []

async def for_ever():
    print("begun")
    try:
        await asyncio.Event().wait()
    finally:
        for _ in range(5_000):
            await asyncio.sleep(0)
        log.append("cleaned up")

try:
    netra_sim.run(for_ever())
except KeyboardInterrupt:
    print(log)
"""


def test_importing_netra_sim_leaves_asyncio_as_it_is():
    code = """
import asyncio, asyncio.tasks, asyncio.events
modules = [asyncio, asyncio.tasks, asyncio.events, asyncio.base_events, asyncio.BaseEventLoop]
before = [dict(vars(module)) for module in modules]
import netra_sim.runtime, sys
added = [set(vars(module)) - set(was) for module, was in zip(modules, before)]
changed = [name for module, was in zip(modules, before) for name in was if vars(module)[name] is not was[name]]
print(len(set().union(*added)), len(changed), netra_sim.runtime.nest_asyncio_enabled(), "nest_asyncio" in sys.modules)
"""
    assert in_a_fresh_process(code) == ["0", "0", "False", "False"]
    assert not nest_asyncio_enabled()


def test_nest_asyncio_is_refused_while_something_is_measured_and_measuring_once_it_is_applied():
    code = """
import asyncio
from netra_sim.runtime import enable_nest_asyncio, measuring, nest_asyncio_enabled

def refusal(action):
    try:
        action()
    except RuntimeError as error:
        return "refused:" + str(error).split()[0]
    return "accepted"

def measure():
    with measuring():
        pass

with measuring():
    with measuring():
        print(refusal(enable_nest_asyncio), nest_asyncio_enabled())
    print(refusal(enable_nest_asyncio), nest_asyncio_enabled())
try:
    with measuring():
        raise KeyError
except KeyError:
    print(refusal(measure))
enable_nest_asyncio()
print(nest_asyncio_enabled(), refusal(measure))

async def outer():
    return asyncio.get_running_loop().run_until_complete(asyncio.sleep(0, "nested"))

print(asyncio.run(outer()))
"""
    assert in_a_fresh_process(code) == [
        "refused:nest-asyncio", "False",
        "refused:nest-asyncio", "False",
        "accepted",
        "True", "refused:nest-asyncio",
        "nested",
    ]  # fmt: skip


def test_nest_asyncio_and_its_successor_are_detected_whatever_code_applied_them():
    code = """
import nest_asyncio2
from netra_sim.runtime import measuring, nest_asyncio_enabled
print(nest_asyncio_enabled())
nest_asyncio2.apply()
print(nest_asyncio_enabled())
try:
    with measuring():
        print("measured")
except RuntimeError:
    print("refused")
"""
    assert in_a_fresh_process(code) == ["False", "True", "refused"]


def test_run_works_where_nest_asyncio_is_applied_already():
    code = """
import asyncio
import netra_sim
netra_sim.enable_nest_asyncio()

async def cell():
    return netra_sim.run(asyncio.sleep(0, "result"))

print(asyncio.run(cell()))
"""
    assert in_a_fresh_process(code) == ["result"]
