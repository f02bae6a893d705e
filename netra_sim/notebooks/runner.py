"""Runs each notebook in a separate process, and derives how it ended from the process and the saved notebook.

papermill's own record cannot be trusted: it calls a dead kernel "completed".
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import msgspec

from netra_sim.fingerprint import PACKAGE
from netra_sim.notebooks.catalogue import VALIDATION, Notebook
from netra_sim.notebooks.quick_nbformat import nbformat
from netra_sim.own_code import MODULES, module_folders
from netra_sim.parameters import NotebookParameters

TIME_LIMIT = 1800.0
"""Seconds that a notebook may take, by default."""

OnCell = Callable[[str, int], None]
"""Takes the name of a notebook, and the number of its cell that begins, from 1 on."""

OnEnd = Callable[[str, bool], None]
"""Takes the name of a notebook that runs no more, and whether it ran to its end."""

_EXECUTE = Path(__file__).with_name("execute.py")
_GRACE = 4.0
"""Seconds that a stopped process gets to end its kernel and save the notebook."""


class Task(msgspec.Struct, frozen=True):
    """A notebook with the parameters to run it with.

    Attributes:
        notebook: the notebook.
        parameters: all its parameters.
        given: the names of the parameters that the caller set, even to their defaults.
    """

    notebook: Notebook
    parameters: NotebookParameters
    given: tuple[str, ...] = ()

    @property
    def cells(self) -> int:
        """The number of cells that run: the code cells that are not empty, and one that sets the parameters.

        Raises:
            FileNotFoundError: the notebook does not exist.
        """
        own: int = sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in self.source().cells)
        return 1 + own

    def source(self) -> nbformat.NotebookNode:
        """Read the notebook from its file.

        Raises:
            FileNotFoundError: the notebook does not exist.
        """
        path = self.notebook.path
        if not path.exists():
            raise FileNotFoundError(f"there is no notebook {path}; the notebooks come with a checkout of the project")
        return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call, no-any-return]


class NotebookRun(msgspec.Struct, frozen=True, kw_only=True):
    """How a notebook ran.

    Attributes:
        task: the notebook and its parameters.
        executed: the notebook with the outputs that it produced.
        problem: why it did not run to its end, in a sentence; "" if it did.
        seconds: how long it took.
    """

    task: Task
    executed: nbformat.NotebookNode
    problem: str
    seconds: float


def run_notebooks(
    tasks: Sequence[Task],
    folder: Path,
    *,
    jobs: int | None = None,
    time_limit: float = TIME_LIMIT,
    on_cell: OnCell = lambda *_: None,
    on_end: OnEnd = lambda *_: None,
) -> list[NotebookRun]:
    """Run notebooks in parallel, and save each with the outputs that it produced. Ctrl+C stops those that still run.

    The validation takes longest and begins first; the others begin in the order of the tasks. The validation's kernel works
    in ``folder``, the others in a subfolder with their notebook's name, so that notebooks can save files of the same name.

    Args:
        tasks: the notebooks and their parameters.
        folder: the folder for each ``NAME.ipynb``.
        jobs: how many run at a time; one for each core by default.
        time_limit: seconds that each may take.
        on_cell: called from other threads when a cell begins.
        on_end: called from other threads when a notebook has ended.

    Raises:
        FileNotFoundError: a notebook does not exist.
    """
    sources = [task.source() for task in tasks]
    processes = [_Process(task, folder, time_limit, on_cell, on_end) for task in tasks]
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        first_to_last = sorted(processes, key=lambda process: not process.is_validation)
        waiting: list[Future[None]] = [pool.submit(process.run) for process in first_to_last]
        try:
            # Ctrl+C cannot interrupt a wait without a timeout on Windows.
            while wait(waiting, timeout=0.2).not_done:
                pass
        except KeyboardInterrupt:
            for process in processes:
                process.stop("it was interrupted")
            for process in processes:
                process.end()
    return [process.outcome(source) for process, source in zip(processes, sources, strict=True)]


class _Process:
    """The process that executes one notebook, and its result."""

    def __init__(self, task: Task, folder: Path, time_limit: float, on_cell: OnCell, on_end: OnEnd) -> None:
        self._task, self._time_limit, self._on_cell, self._on_end = task, time_limit, on_cell, on_end
        self._target = folder / f"{task.notebook.name}.ipynb"
        self._cwd = work_folder(folder, task)
        self.is_validation = task.notebook.name == VALIDATION.name
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped, self._is_done = "", False
        self._problem = "it was never run"
        self._seconds = 0.0

    def run(self) -> None:
        """Execute the notebook; returns when its process has ended."""
        began = time.monotonic()
        try:
            self._cwd.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="netra-", ignore_cleanup_errors=True) as runtime:
                self._attend(Path(runtime))
        except OSError as error:
            self._problem = f"{type(error).__name__}: {error}"
        self._seconds = time.monotonic() - began
        self._on_end(self._task.notebook.name, not (self._stopped or self._problem))

    def stop(self, why: str) -> None:
        """Ask the process to end its kernel and itself; if it has not started, it never will."""
        with self._lock:
            if self._is_done:
                return
            self._stopped = self._stopped or why
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def end(self) -> None:
        """Wait `_GRACE` seconds for a stopped process to end, then kill it."""
        if self._process is not None:
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def outcome(self, source: nbformat.NotebookNode) -> NotebookRun:
        """Derive how the notebook ran from the process and the saved notebook."""
        executed, problem = source, self._stopped or self._problem
        try:
            executed = nbformat.read(self._target, as_version=4)  # type: ignore[no-untyped-call]
            problem = problem or _left_undone(executed)
        except (OSError, ValueError, nbformat.reader.NotJSONError) as error:
            problem = problem or f"what it wrote cannot be read: {type(error).__name__}: {error}"
        return NotebookRun(task=self._task, executed=executed, problem=problem, seconds=self._seconds)

    def _attend(self, runtime: Path) -> None:
        errors = runtime / "stderr"
        with errors.open("wb") as stderr:
            process = self._start(runtime, stderr.fileno())
        if process is None:
            return
        limit = threading.Timer(self._time_limit, self._give_up)
        limit.start()
        last_line: dict[str, str] = {}
        cells = 0
        with process:
            assert process.stdout is not None  # noqa: S101 - it was opened with one
            for line in process.stdout:
                last_line = json.loads(line)
                if "cell" in last_line:
                    cells += 1
                    self._on_cell(self._task.notebook.name, cells)
            code = process.wait()
        limit.cancel()
        with self._lock:
            self._is_done = True
        last_error = errors.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        self._problem = last_line.get("problem", f"its process ended with {code}: {last_error}")

    def _give_up(self) -> None:
        self.stop(f"it took longer than {self._time_limit:g} s")
        self.end()

    def _start(self, runtime: Path, stderr: int) -> "subprocess.Popen[str] | None":
        values = msgspec.to_builtins(self._task.parameters) | {"output": "."}
        task = {
            "source": str(self._task.notebook.path),
            "target": str(self._target),
            "parameters": values,
            "cwd": str(self._cwd),
            "runtime": str(runtime),
        }
        # The kernel uses this interpreter, and ignores the user's Jupyter and IPython configuration.
        own = {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_RUNTIME_DIR": str(runtime), "IPYTHONDIR": str(runtime)}
        own |= {"PYTHONNOUSERSITE": "1", "PYTHONPATH": str(PACKAGE.parent)}
        own |= {MODULES: os.pathsep.join(module_folders())}  # the kernel works in another folder
        own |= {"PYTHONHASHSEED": "0"}  # as the command line has it for systems under test
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
        with self._lock:
            if self._stopped:
                return None
            self._process = subprocess.Popen(  # noqa: S603 - our own file, with this interpreter
                [sys.executable, "-P", str(_EXECUTE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                encoding="utf-8",
                env=inherited | own,
                # Ctrl+C must reach only the parent process, which then stops this one.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            assert self._process.stdin is not None  # noqa: S101 - it was opened with one
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
            return self._process


def work_folder(folder: Path, task: Task) -> Path:
    """The folder in which a notebook's kernel works; the report's folder for the validation."""
    return folder if task.notebook.name == VALIDATION.name else folder / task.notebook.name


def _left_undone(notebook: nbformat.NotebookNode) -> str:
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors:
            return f"cell [{cell.execution_count}] raised {errors[0].ename}: {errors[0].evalue}"
        if cell.execution_count is None:
            return "one of its cells was never run"
    return ""
