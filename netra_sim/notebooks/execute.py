"""One notebook, executed in a process of its own; `netra_sim.notebooks.runner` starts this file by its path.

It imports nothing of the package, so that it starts in half a second. The task comes as a line of JSON on standard input;
each started cell and the outcome go out as lines of JSON on standard output. When standard input closes, it stops, so that
neither a time-out nor the death of the starting process leaves a kernel behind.
"""

import _thread
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

# jsonschema would compile 35 grammars here, for a second, to check formats that notebooks do not have.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

import papermill  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402
from traitlets.config import Config  # noqa: E402


def execute(task: dict[str, Any], lines: TextIO) -> str:
    """Execute a notebook and keep it with its outputs, also when it breaks half way.

    Args:
        task: ``source``, ``target``, ``parameters``, ``cwd`` and ``runtime``, a folder for the kernel's own files.
        lines: where each started cell is told.

    Returns:
        why it did not run to its end, in a sentence; "" if it did, as far as papermill knows.
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
    """Local sockets, where there are any: no port is taken, and the kernel does not warn of unencrypted ones."""
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
    told = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_with, args=(sys.stdin,), daemon=True).start()
    # The kernel inherits standard output, which is for lines of JSON only.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as own_lines:
        os.dup2(2, 1)
        print(json.dumps({"problem": execute(told, own_lines)}), file=own_lines, flush=True)
    os._exit(0)  # the thread that waits on standard input would hold the interpreter's end up
