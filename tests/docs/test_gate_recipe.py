"""The action for GitHub and the template for GitLab do what the page about gates says, on the page's own back end."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from walkthrough import ROOT, blocks

PAGE = (ROOT / "docs" / "gate-your-backend.md").read_text("utf-8")
WORKFLOW, INCLUDE = (block.text for block in blocks(PAGE) if block.language == "yaml")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
SPEC, TEMPLATE = (ROOT / "templates" / "gate.yml").read_text("utf-8").split("\n---\n")
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"] if "name" in step}

GIVEN = {"scenario": "chat.toml", "seeds": "2"}
THOROUGH = "20"
"""Seconds of a search that ends when it has found the defect."""
FOUND = {
    "index.html",
    "summary.md",
    "junit.xml",
    "results.sarif",
    "verdict.json",
    "manifest.json",
    "history-1.parquet",
    "history-2.parquet",
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for POSIX shells")


@pytest.fixture
def project(tmp_path):
    """The page's files in a folder, and the commands `netra-sim` and `python` as an installation has them."""
    for block in blocks(PAGE):
        if block.name:
            (tmp_path / block.name).write_text(block.text, "utf-8")
    (tmp_path / "bin").mkdir()
    programs = {
        "netra-sim": f'exec {sys.executable} -P -m netra_sim "$@"',
        "python": f"printf '%s\\n' \"$@\" > {tmp_path}/installed",  # to install takes minutes, and a network
    }
    for name, script in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


@pytest.fixture
def broken_project(project):
    """The same, but a user may get the answer of another one."""
    app = project / "app.py"
    text = app.read_text("utf-8").replace("app = FastAPI()\n", "app = FastAPI()\ncurrent = {}\n")
    shares = ("current.update(question)", "await asyncio.sleep(0.02)", "question = dict(current)")
    text = text.replace(
        "    async def answer():", "".join(f"    {line}\n" for line in shares) + "    async def answer():"
    )
    app.write_text(text, "utf-8")
    scenario = project / "chat.toml"
    scenario.write_text("".join([scenario.read_text("utf-8"), "[workload]\nwindow = 1.0\n"]), "utf-8")
    return project


def shell(script, project, variables, *options):
    """Run a script as a CI does, in the project's folder."""
    own = {
        "PATH": f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(project / "shown.md"),
    }
    command = ["bash", *options, "-c", script]
    return subprocess.run(
        command, cwd=project, env=os.environ | own | variables, capture_output=True, text=True, check=False
    )


def step(name, project, seconds="1"):
    """Run a step of the action as GitHub does."""
    given = GIVEN | {"search-seconds": seconds}
    inputs = {key: str(one.get("default", "")) for key, one in ACTION["inputs"].items()} | given
    known = {f"inputs.{key}": value for key, value in inputs.items()} | {"github.action_path": "/the/action"}
    own = {
        key: re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: known[found[1]], value)
        for key, value in STEPS[name].get("env", {}).items()
    }
    return shell(STEPS[name]["run"], project, own, "--noprofile", "--norc", "-eo", "pipefail")


def gitlab_job(seconds="1"):
    """The job of the template with the page's inputs."""
    inputs = {key: one.get("default", "") for key, one in yaml.safe_load(SPEC)["spec"]["inputs"].items()}
    inputs |= yaml.safe_load(INCLUDE)["include"][0]["inputs"] | GIVEN | {"search-seconds": seconds}
    return yaml.safe_load(re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda found: inputs[found[1]], TEMPLATE))["gate"]


def test_a_back_end_that_passes_leaves_the_folder_that_the_action_keeps(project):
    installed = step("Install", project)
    assert installed.returncode == 0, installed.stderr
    assert (project / "installed").read_text().split() == [
        *("-m", "pip", "install", "-r", "requirements.txt"), "/the/action[report]",
    ]  # fmt: skip
    done = step("Gate", project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^::notice ", done.stdout, re.M)
    assert step("Show the summary", project).returncode == 0
    assert (project / "shown.md").read_text("utf-8").startswith("# PASS: chat")
    searched = step("Search for an order of steps that breaks it", project)
    assert searched.returncode == 0, searched.stdout + searched.stderr
    assert {path.name for path in (project / "gate").iterdir()} == FOUND
    promised = re.findall(
        r"^\| `([\w.-]+)`", PAGE[PAGE.index("| file | for |") : PAGE.index("A failed check is about")], re.M
    )
    assert {re.sub(r"-\d+\.", "-SEED.", name) for name in FOUND} == set(promised)


def test_a_defect_fails_the_action_with_annotations_and_the_search_shows_it(broken_project):
    done = step("Gate", broken_project)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^::error title=.*content-isolation::", done.stdout, re.M)
    searched = step("Search for an order of steps that breaks it", broken_project, THOROUGH)
    assert searched.returncode == 1, searched.stdout + searched.stderr
    assert "only_users" in searched.stdout
    assert (broken_project / "gate" / "explored.html").exists()


def test_every_step_of_the_action_after_the_gate_runs_also_when_it_fails():
    named = list(STEPS)
    later = named[named.index("Gate") + 1 :]
    assert len(later) == 4
    assert all(STEPS[name]["if"].startswith("always()") for name in later)


def test_the_job_of_gitlab_passes_and_keeps_the_folder(project):
    job = gitlab_job()
    done = shell("\n".join(job["script"]), project, job["variables"], "-e")
    assert done.returncode == 0, done.stdout + done.stderr
    address = "netra_sim[report] @ git+https://HOST/OWNER/netra_sim@REF"
    assert (project / "installed").read_text().splitlines() == [
        "-m",
        "pip",
        "install",
        "-r",
        "requirements.txt",
        address,
    ]
    assert {path.name for path in (project / job["artifacts"]["paths"][0]).iterdir()} == FOUND
    assert job["artifacts"]["when"] == "always"
    assert (project / job["artifacts"]["reports"]["junit"]).exists()


def test_a_defect_fails_the_job_of_gitlab_after_the_search(broken_project):
    job = gitlab_job(THOROUGH)
    done = shell("\n".join(job["script"]), broken_project, job["variables"], "-e")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "content-isolation: user-" in done.stdout
    assert (broken_project / "gate" / "explored.html").exists()


def test_the_lines_of_the_page_name_inputs_that_exist_and_all_that_are_required():
    given = yaml.safe_load(WORKFLOW)["jobs"]["gate"]["steps"][-1]["with"]
    assert (
        {name for name, one in ACTION["inputs"].items() if one.get("required")} <= set(given) <= set(ACTION["inputs"])
    )
    spec = yaml.safe_load(SPEC)["spec"]["inputs"]
    given = yaml.safe_load(INCLUDE)["include"][0]["inputs"]
    assert {name for name, one in spec.items() if "default" not in one} <= set(given) <= set(spec)


READ_BY_CI = {
    "action": ("github-actions", yaml.safe_dump(ACTION)),
    "workflow": ("github-workflows", WORKFLOW),
    "template": ("gitlab-ci", TEMPLATE),
    "include": ("gitlab-ci", INCLUDE),
}


@pytest.mark.parametrize(("schema", "text"), READ_BY_CI.values(), ids=READ_BY_CI)
def test_what_a_ci_reads_fits_its_published_schema(schema, text, tmp_path):
    (tmp_path / "it.yml").write_text(text, "utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", "it.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [*(name for name, one in STEPS.items() if "run" in one), "GitLab"])
def test_shellcheck_has_nothing_to_say_about_a_script(name):
    dialect, script = ("sh", "\n".join(gitlab_job()["script"])) if name == "GitLab" else ("bash", STEPS[name]["run"])
    command = [Path(sys.executable).with_name("shellcheck"), "--shell", dialect, "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
