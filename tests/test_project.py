"""The project's own files keep in step with each other."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import yaml

import netra_sim

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def names(requirements):
    return {re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-") for requirement in requirements}


def test_the_conda_environment_has_the_projects_dependencies_and_no_other():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    conda = {one for one in environment["dependencies"] if isinstance(one, str)}
    extras = (PROJECT["optional-dependencies"][name] for name in ("server", "lab", "systems", "report", "notebooks"))
    wanted = {*PROJECT["dependencies"], *(one for extra in extras for one in extra if not one.startswith("netra-sim"))}
    assert conda == {*wanted, f"python{PROJECT['requires-python']}", "pip"}
    assert environment["channels"] == ["conda-forge"]
    assert [one["pip"] for one in environment["dependencies"] if isinstance(one, dict)] == [["-e ."]]


def test_the_pins_cover_every_dependency_with_hashes_and_without_any_address():
    pins = (ROOT / "requirements.txt").read_text("utf-8")
    pinned = names(re.findall(r"^[\w.-]+(?===)", pins, re.M))
    wanted = names(sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"]))
    assert wanted - {"netra-sim"} <= pinned
    assert "://" not in pins
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[\w])", pins.strip()) if "==" in entry)


def test_the_version_is_the_same_everywhere():
    assert netra_sim.__version__ == version("netra-sim")


def test_notebooks_are_committed_without_outputs_and_have_a_parameters_cell():
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
        assert [cell["metadata"].get("tags") for cell in code].count(["parameters"]) == 1


def anchors(path):
    """What a link can name after the #, as GitHub makes it of each heading."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_within_the_project_leads_somewhere():
    documents = [ROOT / "README.md", *(ROOT / "benchmarks").glob("*.md"), *(ROOT / "docs").glob("*.md")]
    for path in documents:
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text("utf-8")):
            name, _, anchor = target.partition("#")
            leads_to = (path.parent / name).resolve() if name else path
            assert leads_to.exists(), f"{path.name} links to {target}"
            assert not anchor or anchor in anchors(leads_to), f"{path.name} links to {target}"


def test_the_bootstrap_explains_itself_and_refuses_no_arguments():
    done = subprocess.run(
        [sys.executable, "bootstrap.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "python3 bootstrap.py test" in done.stdout
    assert subprocess.run([sys.executable, "bootstrap.py"], cwd=ROOT, capture_output=True, check=False).returncode == 2


def test_the_readme_names_every_command():
    from netra_sim.cli.group import cli

    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in cli.list_commands(None) if f"`{name}`" not in readme] == []


def test_the_readme_states_the_bridges_limits_correctly():
    from netra_sim.bridge import BridgeLimits

    limits = BridgeLimits()
    told = " ".join((ROOT / "README.md").read_text("utf-8").split())
    kept = f"{limits.replay_events:,} events, {limits.replay_bytes // 1024} KiB and {limits.replay_seconds:g} s"
    assert f"(by default within {kept} after the run's end" in told
    assert f"is cut off at {limits.outbox_bytes // 1024**2} MiB of unsent events" in told
