"""Runs notebooks, each in a process of its own, and says what became of each from facts.

papermill's own record calls a dead kernel "completed".
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
import nbformat

from netra_sim.notebooks.catalogue import VALIDATION, Notebook
from netra_sim.parameters import NotebookParameters
from netra_sim.version import PACKAGE

TIME_LIMIT = 1800.0
"""Seconds that one notebook may take, unless told otherwise."""

_EXECUTE = Path(__file__).with_name("execute.py")
_GRACE = 4.0
"""Seconds in which a process that was told to stop may end its kernel and keep what there is."""


class Task(msgspec.Struct, frozen=True):
    """A notebook with the parameters to run it with.

    Attributes:
        notebook: which one.
        parameters: all of them.
        given: the names of those that the caller has given, be it their default.
    """

    notebook: Notebook
    parameters: NotebookParameters
    given: tuple[str, ...] = ()

    @property
    def cells(self) -> int:
        """How many cells it runs.

        Raises:
            FileNotFoundError: there is no such notebook.
        """
        return sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in self.source().cells)

    def source(self) -> nbformat.NotebookNode:
        """The notebook as it is in its file.

        Raises:
            FileNotFoundError: there is no such notebook.
        """
        path = self.notebook.path
        if not path.exists():
            raise FileNotFoundError(f"there is no notebook {path}; the notebooks come with a checkout of the project")
        return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call, no-any-return]


class NotebookRun(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a notebook.

    Attributes:
        task: what was to be run.
        executed: the notebook with the outputs that there are.
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
    on_cell: Callable[[str], None] = lambda _: None,
) -> list[NotebookRun]:
    """Run notebooks side by side; what there is of each is kept, whatever becomes of it. Ctrl+C stops those that run.

    The validation's kernel works in ``folder``, each other in a folder with its notebook's name in it, so that notebooks
    may keep files of the same name.

    Args:
        tasks: what to run.
        folder: where ``NAME.ipynb`` is written for each.
        jobs: how many at a time; one for each core by default.
        time_limit: seconds that each may take.
        on_cell: told the notebook's name whenever one of its cells begins; comes from other threads.

    Raises:
        FileNotFoundError: there is no such notebook.
    """
    sources = [task.source() for task in tasks]
    processes = [_Process(task, folder, time_limit, on_cell) for task in tasks]
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        waiting: list[Future[None]] = [pool.submit(process.run) for process in processes]
        try:
            # A wait without an end cannot be interrupted on Windows.
            while wait(waiting, timeout=0.2).not_done:
                pass
        except KeyboardInterrupt:
            for process in processes:
                process.stop("it was interrupted")
            for process in processes:
                process.end()
    return [process.outcome(source) for process, source in zip(processes, sources, strict=True)]


class _Process:
    """The process that executes one notebook, from its start to what it leaves behind."""

    def __init__(self, task: Task, folder: Path, time_limit: float, on_cell: Callable[[str], None]) -> None:
        self._task, self._time_limit, self._on_cell = task, time_limit, on_cell
        self._target = folder / f"{task.notebook.name}.ipynb"
        self._cwd = work_folder(folder, task)
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

    def stop(self, why: str) -> None:
        """Have the process end its kernel and itself, or never begin."""
        with self._lock:
            if self._is_done:
                return
            self._stopped = self._stopped or why
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def end(self) -> None:
        """Wait until a process that was told to stop has ended; kill it if it does not."""
        if self._process is not None:
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def outcome(self, source: nbformat.NotebookNode) -> NotebookRun:
        """What became of it, from what it left behind."""
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
        told: dict[str, str] = {}
        with process:
            assert process.stdout is not None  # noqa: S101 - it was opened with one
            for line in process.stdout:
                told = json.loads(line)
                if "cell" in told:
                    self._on_cell(self._task.notebook.name)
            code = process.wait()
        limit.cancel()
        with self._lock:
            self._is_done = True
        last = errors.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        self._problem = told.get("problem", f"its process ended with {code}: {last}")

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
        # The kernel is this interpreter's, and knows nothing of what its user has set up for interactive work.
        own = {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_RUNTIME_DIR": str(runtime), "IPYTHONDIR": str(runtime)}
        own |= {"PYTHONNOUSERSITE": "1", "PYTHONPATH": str(PACKAGE.parent)}
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
                # Ctrl+C is for the process that started this one, which then stops it in good order.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
            assert self._process.stdin is not None  # noqa: S101 - it was opened with one
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
            return self._process


def work_folder(folder: Path, task: Task) -> Path:
    """Where a notebook's kernel works and keeps its files; the validation's are the report's own."""
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
