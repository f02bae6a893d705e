"""The failure explorer in a real JupyterLab, in a real browser, as docs/architects.md says to open it."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
from browser import chromium
from click.testing import CliRunner

from netra_sim.cli.group import cli
from netra_sim.notebooks import NOTEBOOKS
from netra_sim.site.pdf import find_chromium

pytestmark = pytest.mark.skipif(
    find_chromium() is None or find_spec("jupyterlab") is None, reason="there is no Chromium, or no JupyterLab"
)
BUTTONS = "[...document.querySelectorAll('.netra-sim-controls button')]"
SIMULATE = f"{BUTTONS}.find(one => one.innerText.trim() === 'Simulate')"
CLIPPED = """[...document.querySelectorAll('.netra-sim-controls :is(select, input, button)')]
  .filter(one => one.offsetParent && one.getBoundingClientRect().right
    > document.querySelector('.netra-sim-controls').getBoundingClientRect().right + 1)
  .map(one => one.outerHTML)"""


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab on the copy of the notebook, with few users."""
    folder = tmp_path / "explorations"
    assert CliRunner().invoke(cli, ["notebooks", "explorer", "--copy", str(folder)]).exit_code == 0
    (copy,) = folder.iterdir()
    copy.write_text(copy.read_text("utf-8").replace("users: int = 200", "users: int = 3"), "utf-8")
    command = [
        sys.executable, "-m", "jupyterlab", str(folder), "--no-browser", "--allow-root", "--port=0",
        "--expose-app-in-browser", "--IdentityProvider.token=", "--LabApp.news_url=None",
    ]  # fmt: skip
    own = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    with subprocess.Popen(
        command, env=os.environ | own, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as server:
        try:
            found = (re.search(r"http://127\.0\.0\.1:\d+/lab", line) for line in server.stderr)
            yield f"{next(filter(None, found))[0]}/tree/{copy.name}?reset"
        finally:
            server.terminate()
            server.communicate(timeout=60)


def until(tab, condition):
    """Wait until something is so on the page."""
    look = f"() => {{ const found = {condition}; found ? done(true) : setTimeout(look, 50) }}"
    tab.evaluate(f"new Promise(done => {{ const look = {look}; look(); }})")


def test_the_explorer_runs_in_jupyterlab_and_leaves_the_committed_notebook_alone(lab):
    committed = NOTEBOOKS["explorer"].path
    before = committed.read_bytes()
    with chromium() as tab:
        tab.open(lab, width=900, height=900)
        until(tab, "window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')")
        tab.evaluate(
            "jupyterapp.restored.then(() => jupyterapp.commands.execute('notebook:run-all-cells')).then(() => 0)"
        )
        until(tab, SIMULATE)
        assert tab.evaluate(CLIPPED) == []
        tab.evaluate(f"{SIMULATE}.click()")
        until(tab, f"{SIMULATE}.disabled")
        until(tab, f"!{SIMULATE}.disabled")
        until(tab, "document.querySelectorAll('.netra-sim-controls figure').length === 5")
        assert "requests answered" not in tab.evaluate("document.querySelector('.netra-sim-controls').innerText")
        tab.evaluate("jupyterapp.commands.execute('docmanager:save').then(() => 0)")
    assert committed.read_bytes() == before
