"""Runs a notebook and says what became of it, from facts: papermill's own record calls a dead kernel "completed"."""

from pathlib import Path
from typing import Any

import msgspec
import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from traitlets.config import Config

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
"""Where the notebooks are: beside the package, in a checkout."""


class NotebookRun(msgspec.Struct, frozen=True):
    """What became of a notebook.

    Attributes:
        notebook: with the outputs that there are.
        problem: why it did not run to its end, in a sentence; "" if it did.
    """

    notebook: nbformat.NotebookNode
    problem: str


def run_notebook(
    source: Path, target: Path, parameters: dict[str, Any], *, cell_timeout: float = 1800.0, progress: bool = False
) -> NotebookRun:
    """Execute a notebook in a kernel of this interpreter's, and keep it with its outputs.

    Args:
        source: the notebook.
        target: where the executed notebook is written, also when it breaks half way.
        parameters: checked already.
        cell_timeout: seconds that one cell may take.
        progress: whether the cells' progress is shown on standard error.

    Raises:
        FileNotFoundError: there is no such notebook.
        KeyboardInterrupt: the run was interrupted; the kernel is gone, and the target holds what had been done.
    """
    if not source.exists():
        raise FileNotFoundError(f"there is no notebook {source}; the notebooks come with a checkout of the project")
    target.parent.mkdir(parents=True, exist_ok=True)
    problem = ""
    try:
        papermill.execute_notebook(
            str(source),
            str(target),
            parameters=parameters,
            kernel_name="python3",
            progress_bar=progress,
            execution_timeout=int(cell_timeout),
            cwd=str(source.parent),
            # Local sockets: no port is taken, and the kernel does not warn of unencrypted ones.
            config=Config({"KernelManager": {"transport": "ipc"}}),
        )
    except papermill.PapermillExecutionError as error:
        problem = f"cell {error.exec_count} raised {error.ename}: {error.evalue}"
    except CellTimeoutError:
        problem = f"a cell took longer than {cell_timeout:g} s"
    except DeadKernelError:
        problem = "the kernel died"
    notebook = nbformat.read(target, as_version=4)  # type: ignore[no-untyped-call]
    return NotebookRun(notebook, problem or _left_undone(notebook))


def _left_undone(notebook: nbformat.NotebookNode) -> str:
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors:
            return f"cell {number} raised {errors[0].ename}: {errors[0].evalue}"
        if cell.execution_count is None:
            return f"cell {number} was never run"
    return ""
