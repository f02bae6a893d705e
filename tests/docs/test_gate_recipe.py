"""The workflow file of the page about gates does what the page says: its commands run here, on the page's own back end."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from walkthrough import ROOT, blocks

PAGE = (ROOT / "docs" / "gate-your-backend.md").read_text("utf-8")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the workflow is for bash")


@pytest.fixture
def project(tmp_path):
    """The page's files in a folder, and a command `netra-sim` as an installation has it."""
    for block in blocks(PAGE):
        if block.name:
            (tmp_path / block.name).write_text(block.text, "utf-8")
    command = tmp_path / "bin" / "netra-sim"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m netra_sim "$@"\n')
    command.chmod(0o755)
    return tmp_path


def workflow():
    return yaml.safe_load(next(block.text for block in blocks(PAGE) if block.language == "yaml"))


def steps():
    return {step["name"]: step for step in workflow()["jobs"]["gate"]["steps"] if "name" in step}


def run(name, project):
    """Run a step as GitHub does, with bash and the environment of the workflow."""
    path = f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | workflow()["env"] | {"PATH": path, "GITHUB_STEP_SUMMARY": str(project / "shown.md")}
    script = re.sub(r"--seeds \d+", "--seeds 2", steps()[name]["run"])
    command = ["bash", "-e", "-c", script]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_a_back_end_that_passes_leaves_the_folder_that_the_workflow_keeps(project):
    done = run("Gate", project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run("Show the summary", project).returncode == 0
    assert (project / "shown.md").read_text("utf-8").startswith("# PASS: chat")
    searched = run("Search for an order of steps that breaks it", project)
    assert searched.returncode == 0, searched.stdout + searched.stderr
    kept = project / steps()["Keep the folder"]["with"]["path"]
    table = PAGE[PAGE.index("| file | for |") : PAGE.index("There is no SARIF")]
    promised = set(re.findall(r"^\| `([\w.-]+)`", table, re.M))
    assert {re.sub(r"-\d+\.", "-SEED.", path.name) for path in kept.iterdir()} == promised


def test_a_defect_fails_the_workflow_and_its_reasons_are_annotations(project):
    app = project / "app.py"
    text = app.read_text("utf-8").replace("app = FastAPI()\n", "app = FastAPI()\ncurrent = {}\n")
    shares = ("current.update(question)", "await asyncio.sleep(0.02)", "question = dict(current)")
    text = text.replace(
        "    async def answer():", "".join(f"    {line}\n" for line in shares) + "    async def answer():"
    )
    app.write_text(text, "utf-8")
    scenario = project / "chat.toml"
    scenario.write_text("".join([scenario.read_text("utf-8"), "[workload]\nwindow = 1.0\n"]), "utf-8")
    done = run("Gate", project)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "content-isolation: user-" in done.stdout
    searched = run("Search for an order of steps that breaks it", project)
    assert searched.returncode == 1, searched.stdout + searched.stderr
    assert "only_users" in searched.stdout
    assert (project / "gate" / "explored.html").exists()
    if shutil.which("jq"):
        annotated = run("Annotate with the reasons", project).stdout
        assert annotated.startswith("::error title=Gate::")
        assert "content-isolation" in annotated


def test_every_step_after_the_gate_runs_also_when_it_fails():
    named = list(steps())
    later = named[named.index("Gate") + 1 :]
    assert len(later) == 4
    assert all(steps()[name]["if"] == "always()" for name in later)
