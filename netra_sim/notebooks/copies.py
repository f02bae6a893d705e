"""Copies of notebooks to work in: JupyterLab saves what it runs, and the committed notebooks have no outputs."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from netra_sim.notebooks.catalogue import Notebook


def copy_notebooks(notebooks: Iterable[Notebook], folder: Path) -> Iterator[tuple[Path, bool]]:
    """Copy notebooks into a folder, which is made if it is not there; yields each path, and whether it was copied.

    A file that is there already is somebody's work, and stays as it is.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in notebooks:
        copy = folder / notebook.path.name
        is_new = not copy.exists()
        if is_new:
            shutil.copyfile(notebook.path, copy)
        yield copy, is_new
