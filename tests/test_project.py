"""The project's own files keep in step with each other."""

import json
import re
import subprocess
import sys
import tomllib
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
    pytest = next(one for one in PROJECT["optional-dependencies"]["dev"] if one.startswith("pytest"))
    assert conda == {*PROJECT["dependencies"], pytest, f"python{PROJECT['requires-python']}", "pip"}
    assert environment["channels"] == ["conda-forge"]
    assert [one["pip"] for one in environment["dependencies"] if isinstance(one, dict)] == [["-e ."]]


def test_the_pins_cover_every_dependency_with_hashes_and_without_any_address():
    pins = (ROOT / "requirements.txt").read_text("utf-8")
    pinned = names(re.findall(r"^[\w.-]+(?===)", pins, re.M))
    assert names(PROJECT["dependencies"]) | names(PROJECT["optional-dependencies"]["dev"]) <= pinned
    assert "://" not in pins
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[\w])", pins.strip()) if "==" in entry)


def test_the_version_is_told_in_one_way():
    assert netra_sim.__version__ == PROJECT["version"]


def test_notebooks_are_committed_without_outputs_and_have_a_parameters_cell():
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
        assert [cell["metadata"].get("tags") for cell in code].count(["parameters"]) == 1


def test_the_readme_names_the_two_commands_and_ci_runs_the_second():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "python3 bootstrap.py report" in readme
    assert "python3 bootstrap.py test" in readme
    assert "python3 bootstrap.py test" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_every_link_within_the_project_leads_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "benchmarks").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_bootstrap_explains_itself_and_refuses_nothing_at_all():
    done = subprocess.run(
        [sys.executable, "bootstrap.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "python3 bootstrap.py test" in done.stdout
    assert subprocess.run([sys.executable, "bootstrap.py"], cwd=ROOT, capture_output=True, check=False).returncode == 2


def test_the_readmes_python_runs_as_printed(capsys):
    for block in re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S):
        exec(block, {"__name__": "readme"})
    output = capsys.readouterr().out
    assert output.count("passed") == 13
    assert "Hello, alice" in output


def test_the_readme_names_every_command_and_parameter():
    from netra_sim.cli import cli
    from netra_sim.report import Parameters

    readme = (ROOT / "README.md").read_text("utf-8")
    for name in (*cli.commands, *(name for name in Parameters.__struct_fields__ if name != "output")):
        assert f"`{name}" in readme, name
