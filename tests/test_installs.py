"""The wheel, in environments that have what an extra installs and nothing else.

pip would take minutes for all of them, so the distributions are linked from the environment that runs the tests; which they
are is read from their metadata. `benchmarks/installs.py` does the same with pip.
"""

import re
import signal
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
MOST_MODULES = 120
"""Modules that the bridge and the factory may load beyond those that asyncio loads."""

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links to files need a privilege on Windows")
pytestmark = needs_links


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def closure(name, extras=()):
    """The names of the distributions that a distribution installs, itself left out."""
    found, waiting = set(), [(name, tuple(extras))]
    while waiting:
        name, extras = waiting.pop()
        for text in distribution(name).requires or ():
            wanted = Requirement(text)
            if any(not wanted.marker or wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                key = re.sub(r"[-_.]+", "-", wanted.name).lower(), tuple(sorted(wanted.extras))
                if key not in found:
                    found.add(key)
                    waiting.append(key)
    return {name for name, _ in found} - {"netra-sim"}


class Environment:
    def __init__(self, folder, wheel, extras):
        venv.create(folder, symlinks=True)
        self.bin = folder / "bin"
        site = next(folder.glob("lib/python*/site-packages"))
        for name in closure("netra-sim", extras):
            files = distribution(name).files
            for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
                if not (site / top).exists():
                    (site / top).symlink_to(distribution(name).locate_file(top))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        script = self.bin / "netra-sim"
        script.write_text(f"#!{self.bin / 'python'}\nfrom netra_sim.cli import main\nmain()\n")
        script.chmod(0o755)

    def run(self, *words, cwd):
        return subprocess.run(
            [str(self.bin / words[0]), *words[1:]],
            cwd=cwd, capture_output=True, text=True, check=False, env={"PATH": str(self.bin), "HOME": str(cwd)},
        )  # fmt: skip


@pytest.fixture(scope="session")
def environment(tmp_path_factory, wheel):
    made = {}

    def get(*extras):
        if extras not in made:
            made[extras] = Environment(tmp_path_factory.mktemp("environment"), wheel, extras)
        return made[extras]

    return get


COUNT = """
import sys, asyncio
before = set(sys.modules)
import netra_sim.bridge, netra_sim.factory
print(len(set(sys.modules) - before), *sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_a_service_gets_bridge_and_factory_with_few_modules(environment, tmp_path):
    done = environment().run("python", "-c", COUNT, cwd=tmp_path)
    count, *roots = done.stdout.split()
    assert int(count) <= MOST_MODULES, done.stderr
    assert not {"pandas", "numpy", "pyarrow", "websockets", "click"} & set(roots)


def test_the_command_line_says_which_extra_it_needs(environment, tmp_path):
    done = environment().run("netra-sim", "simulate", cwd=tmp_path)
    assert done.returncode == 2
    assert 'pip install "netra-sim[lab]"' in done.stderr
    assert "Traceback" not in done.stderr


LOADED = """
import sys
sys.argv = ["netra-sim", *{words!r}]
try:
    from netra_sim.cli import main
    main()
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""
SLOW_TO_IMPORT = {"numpy", "pandas", "pyarrow", "matplotlib", "tqdm", "websockets", "cryptography", "distributed"}


def modules_of(run, *words):
    done = run("python", "-c", LOADED.format(words=words))
    assert done.returncode == 0, done.stderr
    return done.stderr.split()


@pytest.mark.parametrize(
    ("words", "unneeded", "most"),
    [
        (("--help",), SLOW_TO_IMPORT | {"msgspec", "bytecode"}, 260),
        (("scenarios",), SLOW_TO_IMPORT, 360),
        (("scenarios", "--faults"), SLOW_TO_IMPORT, 360),
        (("audit", "--rules"), SLOW_TO_IMPORT - {"numpy"}, 450),
        (("simulate", "--help"), SLOW_TO_IMPORT - {"numpy"}, 530),
        (("explore", "--seeds", "2", "--jobs", "1", "--users", "3"), SLOW_TO_IMPORT - {"numpy", "tqdm"}, 600),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_loads_only_what_it_needs(environment, tmp_path, words, unneeded, most):
    loaded = modules_of(lambda *command: environment("server", "lab").run(*command, cwd=tmp_path), *words)
    assert not unneeded & set(loaded)
    assert len(loaded) <= most


def test_the_package_alone_loads_nothing_else(environment, tmp_path):
    script = "import sys; before = set(sys.modules); import netra_sim; print(*sorted(set(sys.modules) - before))"
    done = environment().run("python", "-c", script, cwd=tmp_path)
    assert not {"msgspec", "asyncio", "numpy"} & set(done.stdout.split())


def test_pages_are_written_without_the_grammars_that_no_notebook_uses():
    command = [sys.executable, "-c", "import sys, netra_sim.site.html; print(*sys.modules)"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "rfc3987_syntax" not in loaded
    assert {"nbformat", "nbconvert"} <= set(loaded)


@pytest.mark.parametrize(
    ("extra", "command", "needed"),
    [
        ("server", "simulate", "lab"),
        ("server", "load", "server,lab"),
        ("lab", "serve", "server"),
        ("lab", "report", "report"),
    ],
)
def test_a_command_says_which_extra_it_needs(environment, tmp_path, extra, command, needed):
    done = environment(extra).run("netra-sim", command, "--users", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert f'run: pip install "netra-sim[{needed}]"' in done.stderr
    assert "Traceback" not in done.stderr
    listed = environment(extra).run("netra-sim", "--help", cwd=tmp_path)
    assert listed.returncode == 0
    assert f"{command} " in listed.stdout


def test_the_server_extra_serves(environment, tmp_path):
    command = [environment("server").bin / "netra-sim", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline().startswith("listening on ws://127.0.0.1:")
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def test_the_lab_extra_simulates_checks_and_audits(environment, tmp_path):
    lab = environment("lab")
    assert lab.run("netra-sim", "simulate", "--users", "3", cwd=tmp_path).returncode == 0
    assert lab.run("netra-sim", "check", "history.parquet", cwd=tmp_path).returncode == 0
    (tmp_path / "service.py").write_text("x = 1\n")
    assert lab.run("netra-sim", "audit", "service.py", cwd=tmp_path).returncode == 0


def test_server_and_lab_load(environment, tmp_path):
    done = environment("server", "lab").run("netra-sim", "load", "--users", "3", "--window", "0.1", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_report_extra_writes_a_report_from_an_empty_folder(environment, tmp_path):
    few = ["-p", "most_users", "8", "-p", "loads", "2", "-p", "seeds", "1", "-p", "delivery_p95", "60"]
    done = environment("report").run("netra-sim", "report", "--notebook", "concurrency", *few, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["report"]
    assert (tmp_path / "report" / "index.html").exists()


def test_the_wheel_finds_its_audit_and_the_tests_of_the_plan(environment, tmp_path):
    script = """
from netra_sim.verdict import audit_evidence, plan_test_evidence
print([one.check for one in audit_evidence().results if one.state == "failed"])
print([one.state for one in plan_test_evidence().results])
"""
    done = environment("report").run("python", "-c", script, cwd=tmp_path)
    assert done.stdout.splitlines() == ["[]", str(["passed"] * 4)], done.stderr


def test_the_wheel_has_the_example_that_the_notebook_about_other_systems_takes_by_default(environment, tmp_path):
    script = """
from netra_sim.studies import SystemParameters, example_systems
from netra_sim.studies.systems import chosen_system, folder_of
path, scenario = chosen_system(SystemParameters.check())
print(path.is_file(), (folder_of(path, scenario) / scenario.system.folder / "right.py").is_file())
"""
    done = environment("report").run("python", "-c", script, cwd=tmp_path)
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_the_notebooks_extra_has_jupyterlab(environment, tmp_path):
    done = environment("notebooks").run("python", "-m", "jupyterlab", "--version", cwd=tmp_path)
    assert done.returncode == 0
