"""Executes one notebook in a separate process; `netra_sim.notebooks.runner` starts this file by its path.

It imports nothing from the package, so that it starts in half a second. It reads the task as a line of JSON on standard
input, and writes each started cell and the outcome as lines of JSON on standard output. It stops when standard input
closes, so that neither a time-out nor the death of the parent process leaves a kernel behind.
"""

import _thread
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

# Without this, jsonschema takes a second to compile 35 grammars for formats that notebooks do not use.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

import papermill  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402
from traitlets.config import Config  # noqa: E402


def execute(task: dict[str, Any], lines: TextIO) -> str:
    """Execute a notebook and save it with its outputs, even if a cell fails.

    Args:
        task: ``source``, ``target``, ``parameters``, ``cwd`` and ``runtime``, a folder for the kernel's own files.
        lines: receives a line for each started cell.

    Returns:
        why it did not run to its end, in a sentence; "" if papermill reports no problem.
    """

    def tell(cell_index: int, **_: Any) -> None:
        print(json.dumps({"cell": cell_index}), file=lines, flush=True)

    try:
        papermill.execute_notebook(
            task["source"],
            task["target"],
            parameters=task["parameters"],
            kernel_name="python3",
            progress_bar=False,
            cwd=task["cwd"],
            on_cell_execute=tell,
            config=_transport(task["runtime"]),
        )
    except papermill.PapermillExecutionError as error:
        return f"cell [{error.exec_count}] raised {error.ename}: {error.evalue}"
    except DeadKernelError:
        return "the kernel died"
    except (OSError, RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _transport(runtime: str) -> Config:
    """Use Unix sockets where they exist: they take no port, and the kernel does not warn about unencrypted traffic."""
    if os.name == "nt":
        return Config({"KernelManager": {"transport": "tcp"}})
    return Config({"KernelManager": {"transport": "ipc", "ip": str(Path(runtime) / "ipc")}})


def _stop_with(source: TextIO) -> None:
    source.read()
    if os.name == "nt":
        _thread.interrupt_main()  # SIGTERM would end the process at once
    else:
        signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_with, args=(sys.stdin,), daemon=True).start()
    # The kernel inherits standard output, which is for lines of JSON only.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as own_lines:
        os.dup2(2, 1)
        print(json.dumps({"problem": execute(task, own_lines)}), file=own_lines, flush=True)
    os._exit(0)  # a normal exit would wait for the thread that reads standard input
