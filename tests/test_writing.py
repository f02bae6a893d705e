"""What a command writes replaces files only, is refused before anything runs, and never costs what was found."""

import json
import os
import re
import stat
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

from netra_sim.cli.group import cli
from netra_sim.files import WriteError, replacing
from netra_sim.history import History

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="devices, pipes and limits of POSIX")

FEW = ["--users", "2", "--set", "workload.window=1.0"]
GATED = ["gate", "examples/fastapi_agents/agents.toml", *FEW, "--seeds", "1"]


def ran(*words):
    return CliRunner().invoke(cli, list(map(str, words)))


def device(folder, name, number):
    """A device: that of the system, or one of our own for root, who could replace that of the system."""
    if os.geteuid():
        return f"/dev/{name}"
    try:
        os.mknod(folder / name, stat.S_IFCHR | 0o666, os.makedev(1, number))
    except PermissionError:
        pytest.skip("root may make no device here")
    return folder / name


def test_a_device_is_written_to_and_stays_a_device(tmp_path):
    null = device(tmp_path, "null", 3)
    done = ran("simulate", *FEW, "-o", null)
    assert done.exit_code == 0, done.output
    assert f"rows in {null}" in done.output
    assert stat.S_ISCHR(os.stat(null).st_mode)


def test_a_full_device_costs_no_findings_and_the_command_says_what_it_could_not_write(tmp_path):
    full = device(tmp_path, "full", 7)
    command = [sys.executable, "-m", "netra_sim", "simulate", *FEW, "-o", full]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "passed  delivery" in done.stdout
    assert done.stderr.splitlines()[-1] == f"netra-sim broke: {full} cannot be written: no space left on device"
    assert stat.S_ISCHR(os.stat(full).st_mode)


def test_a_page_that_cannot_be_written_costs_no_json(tmp_path):
    full = device(tmp_path, "full", 7)
    command = [sys.executable, "-m", "netra_sim", "simulate", *FEW, "--format", "json", "--html", full]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["exit_code"] == 3
    assert "no space left on device" in done.stderr.splitlines()[-1]


def test_a_pipe_receives_the_whole_history(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "copy").open("wb") as copy, subprocess.Popen(["cat", tmp_path / "pipe"], stdout=copy):
        assert ran("simulate", *FEW, "-o", tmp_path / "pipe").exit_code == 0
    assert len(History.load(tmp_path / "copy")) > 0


def test_standard_output_gets_the_file_after_what_was_printed_before(tmp_path):
    stdout = tmp_path / "stdout"
    stdout.symlink_to("/dev/fd/1")  # as /dev/stdout, which root could replace
    with (tmp_path / "out").open("wb") as out:
        command = [sys.executable, "-m", "netra_sim", "audit", "netra_sim/files.py", "-o", stdout]
        subprocess.run(["/bin/sh", "-c", 'echo first; exec "$@"', "sh", *command], stdout=out, check=True)
    lines = (tmp_path / "out").read_text("utf-8").splitlines()
    assert lines[0] == "first"
    assert lines[-1].startswith("no finding in 1 file")


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "old").write_text("old")
    (tmp_path / "link").symlink_to("old")
    with replacing(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "old").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"old", "link"}


COMMANDS = {
    "simulate": ["simulate", *FEW, "-o"],
    "load": ["load", "--users", "1", "-o"],
    "explore": ["explore", *FEW, "--seeds", "1", "--jobs", "1", "--html"],
    "audit": ["audit", "netra_sim/files.py", "-o"],
    "calibrate": ["calibrate", "--seconds", "0.1", "-o"],
    "reference": ["reference", "-o"],
    "sweep": ["sweep", "--jobs", "1", "--seeds", "1", "-o"],
    "gate": [*GATED, "-o"],
    "report": ["report", "--notebook", "windows", "-o"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_every_command_refuses_before_it_runs_what_it_cannot_write(words, tmp_path):
    done = ran(*words, tmp_path / "nowhere" / "x")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"there is no folder {tmp_path / 'nowhere'} for x; make it first" in done.output
    if sys.platform == "linux":  # not even root makes a file there
        done = ran(*words, "/proc/x")
        assert done.exit_code == 2
        assert "/proc/x cannot be written: " in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_a_file_and_a_file_for_a_folder_are_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    done = ran("simulate", *FEW, "-o", tmp_path / "file" / "x")
    assert done.exit_code == 2
    assert f"there is no folder {tmp_path / 'file'}" in done.output
    assert ran("simulate", *FEW, "-o", tmp_path).exit_code == 2
    assert ran("sweep", "-o", tmp_path / "file").exit_code == 2
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def full_disk():
    """No file can grow beyond a few bytes in this process, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_gate_on_a_full_disk_prints_its_outcome_and_leaves_the_earlier_folder(tmp_path, full_disk):
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "index.html").write_text("before")
    done = ran(*GATED, "-o", tmp_path / "gate")
    assert re.search("^(PASS|FAIL): fastapi-agents: ", done.stdout, re.MULTILINE)
    assert isinstance(done.exception, WriteError)
    assert str(done.exception) == f"{tmp_path / 'gate'} cannot be written: file too large"
    assert [path.read_text() for path in (tmp_path / "gate").iterdir()] == ["before"]


def test_an_audit_on_a_full_disk_prints_its_findings(tmp_path, full_disk):
    done = ran("audit", "netra_sim/files.py", "-o", tmp_path / "found.txt", "--format", "json", "--no-cache")
    assert '"findings"' in done.output
    assert str(done.exception) == f"{tmp_path / 'found.txt'} cannot be written: file too large"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["new.parquet/", "new.parquet/.", "new.parquet//"])
def test_a_file_has_no_name_of_a_folder(tmp_path, name):
    done = ran("simulate", *FEW, "-o", f"{tmp_path}/{name}")
    assert done.exit_code == 2
    assert f"{name} names a folder, and a file is expected" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        [b"simulate", b"-o", b"\xff.parquet"],
        [b"simulate", b"--html", b"\xff.html"],
        [b"sweep", b"-o", b"\xff"],
        [b"simulate", b"\xff.toml"],
    ],
)
def test_what_is_not_utf_8_is_refused_before_anything_runs(tmp_path, words):
    command = [os.fsencode(sys.executable), b"-m", b"netra_sim", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"is not UTF-8, and neither pages nor documents can have it; rename it" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_never_replaces_the_table_of_another(tmp_path):
    def swept(*words):
        return ran("sweep", "steady-load", "--jobs", "1", "--seeds", *words, "-o", tmp_path)

    assert swept(1, "--set", "users=[2]").exit_code == 0
    before = (tmp_path / "sweep.parquet").read_bytes()
    done = swept(1, "--set", "users=[3]")
    assert done.exit_code == 2
    assert "sweep.parquet is the table of another sweep" in done.output
    assert (tmp_path / "sweep.parquet").read_bytes() == before
    assert swept(2, "--set", "users=[2, 3]").exit_code == 0, "a table with all rows of the earlier one may replace it"
    assert len(pd.read_parquet(tmp_path / "sweep.parquet")) == 4
    assert swept(1, "--set", "users=[2]").exit_code == 2


def test_a_sweep_replaces_no_file_that_is_no_table_of_a_sweep(tmp_path):
    (tmp_path / "sweep.parquet").write_text("notes")
    done = ran("sweep", "steady-load", "--jobs", "1", "--seeds", "1", "-o", tmp_path)
    assert done.exit_code == 2
    assert "sweep.parquet cannot be read as the table of a sweep; name another folder, or move it away" in done.output
    assert (tmp_path / "sweep.parquet").read_text() == "notes"


def test_two_options_never_write_the_same_file(tmp_path):
    done = ran("simulate", "--users", "2", "-o", tmp_path / "both", "--html", tmp_path / "both")
    assert done.exit_code == 2
    assert "both is the file of" in done.stderr
    assert not (tmp_path / "both").exists()
