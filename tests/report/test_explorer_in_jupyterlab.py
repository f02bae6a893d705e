"""The failure explorer as an architect uses it: JupyterLab on copies of the notebooks, in a browser."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec

import nbformat
import pytest
from browser import chromium

from netra_sim.fingerprint import CHECKOUT

EXPLORER = "04_failure_explorer.ipynb"

PRELUDE = """
window.until = (what, holds) => new Promise((go, fail) => {
  const end = (settle, value) => { clearTimeout(limit); watch.disconnect(); settle(value); };
  const look = () => { const found = holds(); if (found) end(go, found); };
  const watch = new MutationObserver(look);
  const giveUp = () => end(fail, new Error(`no ${what} in 60 s: ${(controls() ?? document.body).innerText}`));
  const limit = setTimeout(giveUp, 60000);
  watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  look();
});
window.session = () => window.jupyterapp?.shell.currentWidget?.sessionContext;
window.asked = () => document.querySelector('.jp-Dialog')?.innerText;
window.controls = () => document.querySelector('.netra-sim-controls');
window.shown = (selector) => [...controls().querySelectorAll(selector)].filter((one) => one.offsetParent);
window.button = (text) => shown('button').find((one) => one.innerText.trim() === text);
window.input = (label) => {
  const found = shown('.widget-label').find((one) => one.innerText === label);
  return found && found.parentElement.querySelector('input, select');
};
window.set = (label, value) => {
  input(label).value = value;
  input(label).dispatchEvent(new Event('change', { bubbles: true }));
};
window.answered = () => [...controls().innerText.matchAll(/([\\d,]+) of [\\d,]+ requests answered/g)]
  .map((one) => Number(one[1].replaceAll(',', '')));
window.hasAnswers = () => answered().some((count) => count > 0);
"""


@contextmanager
def jupyter_lab(folder, own):
    """The address of a JupyterLab that shows a folder, and knows nothing of the settings of whoever runs the tests."""
    if find_spec("jupyterlab") is None:
        assert not os.environ.get("GITHUB_ACTIONS"), "GitHub's machines have JupyterLab, in which the explorer is used"
        pytest.skip("there is no JupyterLab")
    places = ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    words = [sys.executable, "-m", "jupyterlab", folder, "--no-browser", "--port=0", "--expose-app-in-browser"]
    if os.name == "posix" and os.geteuid() == 0:
        words.append("--allow-root")
    environment = os.environ | {name: str(own / name) for name in places}
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            yield next(
                found for line in server.stderr if (found := re.search(r"(http://127\S+/lab)(\?token=\S+)", line))
            )
        finally:
            server.terminate()
            server.stderr.close()
            server.wait(30)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of the checkout, with copies of the notebooks where the documentation says to make them."""
    if shutil.which("git") is None or not (CHECKOUT / ".git").exists():
        pytest.skip("there is no git, or this is no checkout")
    folder = tmp_path_factory.mktemp("clone") / "netra_sim"
    subprocess.run(["git", "clone", "--quiet", "--shared", CHECKOUT, folder], check=True)
    words = [sys.executable, "-m", "netra_sim", "notebooks", "--copy", "explorations"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    explorer = folder / "explorations" / EXPLORER
    four = re.compile(r"steady-load, [\w, -]+")
    explorer.write_text(four.sub("steady-load", explorer.read_text("utf-8")), "utf-8")  # one scenario is enough here
    return folder


@pytest.mark.real_time
def test_the_explorer_is_used_in_jupyterlab_without_code_and_leaves_the_checkout_as_it_was(clone, tmp_path):
    explorations = clone / "explorations"
    with chromium() as tab, jupyter_lab(explorations, tmp_path) as address:
        tab.call("Emulation.setFocusEmulationEnabled", enabled=True)  # JupyterLab runs the notebook that has the focus
        tab.prepare(PRELUDE)  # in every page, as JupyterLab may load its page again
        tab.open(f"{address[1]}/tree/{EXPLORER}{address[2]}", width=1400)
        run_all_cells(tab)
        simulate_with_a_fault_of_its_own(tab)
        stop_a_long_simulation(tab)
        tab.evaluate("jupyterapp.commands.execute('docmanager:save')")
        assert not [one for one in tab.complaints if one.get("source") != "network"]
    saved = nbformat.read(explorations / EXPLORER, as_version=4)
    assert saved.cells[-1].outputs
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, check=True, capture_output=True, text=True)
    assert status.stdout == ""


def run_all_cells(tab):
    """The kernel is chosen already: nothing asks for one."""
    tab.evaluate("until('kernel', () => session()?.isReady || asked()).then(() => null)")
    assert tab.evaluate("asked() ?? session().kernelDisplayName") == "Python 3 (ipykernel)"
    tab.evaluate("jupyterapp.commands.execute('notebook:run-all-cells'); null")
    tab.evaluate("until('button to simulate', () => controls() && button('Simulate')).then(() => null)")


def simulate_with_a_fault_of_its_own(tab):
    tab.evaluate("set('users', 30); set('kind', 'disconnect-storm'); button('Add fault').click(); null")
    tab.evaluate("until('form of the fault', () => input('share')).then(() => set('share', 0.75))")
    tab.evaluate("button('Simulate').click(); until('progress', hasAnswers)")
    told = tab.evaluate(
        "until('result', () => shown('figure').length && !button('Simulate').disabled && controls().innerText)"
    )
    assert "--set users=30" in told
    assert "share = 0.75" in told


def stop_a_long_simulation(tab):
    tab.evaluate("set('users', 5000); button('Simulate').click(); until('progress', hasAnswers)")
    tab.evaluate("button('Stop').click(); until('end', () => !button('Simulate').disabled)")
    told = tab.evaluate("controls().innerText")
    assert "Stopped; the results below are those of before." in told
    assert "--set users=30" in told
