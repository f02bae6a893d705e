"""A sweep gives the same table however it runs, and never loses or repeats finished cells."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import netra_sim
from netra_sim.exploration import cells, sweep
from netra_sim.simulation import Scenario, ScenarioError

GRID = {"users": [2, 4], "network.jitter.high": [0.01, 0.8]}


def table_bytes(folder):
    return (folder / "sweep.parquet").read_bytes()


def test_a_grid_becomes_a_table_with_a_row_for_every_combination(tmp_path):
    table = sweep(cells(Scenario(), GRID, [1, 2]), tmp_path, jobs=1)
    assert table[["users", "network.jitter.high", "seed"]].values.tolist() == [
        [users, high, seed] for users in (2, 4) for high in (0.01, 0.8) for seed in (1, 2)
    ]
    assert table["digest"].nunique() == 8
    slow = table[table["network.jitter.high"] == 0.8]
    assert set(slow["latency"]) == {"failed"}
    assert (table["latency: delivery of events, p95"] > 0).all()


def test_the_table_is_the_same_whatever_the_number_of_processes(tmp_path):
    planned = cells(Scenario(), GRID, [1])
    for jobs in (1, 2):
        sweep(planned, tmp_path / str(jobs), jobs=jobs)
    assert table_bytes(tmp_path / "1") == table_bytes(tmp_path / "2")


@pytest.mark.filterwarnings("ignore")
def test_the_table_is_the_same_on_a_dask_cluster(tmp_path):
    from distributed import LocalCluster

    planned = cells(Scenario(), GRID, [1])
    sweep(planned, tmp_path / "local", jobs=1)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, processes=True) as cluster:
        sweep(planned, tmp_path / "cluster", scheduler=cluster.scheduler_address)
    assert table_bytes(tmp_path / "local") == table_bytes(tmp_path / "cluster")


SCRIPT = """
import sys
from netra_sim.exploration import cells, sweep
from netra_sim.simulation import Scenario
if __name__ == "__main__":
    planned = cells(Scenario(users=20), {"network.jitter.high": [0.01, 0.8]}, range(1, 11))
    sweep(planned, sys.argv[1], jobs=int(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a sweep that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    subprocess.run([sys.executable, "-c", SCRIPT, str(folder), "1"], check=True)
    return folder


@pytest.mark.parametrize("finished", [1, 7])
def test_a_killed_sweep_resumes(tmp_path, whole, finished):
    killed = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(killed), "1"])
    while len(list(killed.glob("cells/[!.]*.parquet"))) < finished:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in killed.glob("cells/[!.]*.parquet")}
    assert finished <= len(done) < 20
    assert not (killed / "sweep.parquet").exists()
    subprocess.run([sys.executable, "-c", SCRIPT, str(killed), "1"], check=True)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert table_bytes(killed) == table_bytes(whole)


def test_a_cell_that_cannot_be_read_is_simulated_again(tmp_path):
    planned = cells(Scenario(), GRID, [1])
    sweep(planned, tmp_path, jobs=1)
    table = table_bytes(tmp_path)
    first, second, *others = sorted((tmp_path / "cells").iterdir())
    whole = first.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2]):
        first.write_bytes(damaged)
        second.write_bytes(damaged)
        times = [path.stat().st_mtime_ns for path in others]
        sweep(planned, tmp_path, jobs=1)
        assert (first.read_bytes(), table_bytes(tmp_path)) == (whole, table)
        assert [path.stat().st_mtime_ns for path in others] == times


def test_cells_of_other_code_are_simulated_again(tmp_path):
    package = tmp_path / "netra_sim"
    shutil.copytree(Path(netra_sim.__file__).parent, package)
    script = SCRIPT.replace("users=20", "users=1").replace("range(1, 11)", "[1]")
    counts = []
    for change in ("", "", "# Changed.\n"):
        with (package / "simulation" / "user.py").open("a") as file:
            file.write(change)
        # Python takes the package from the folder where it starts.
        subprocess.run([sys.executable, "-c", script, "out", "1"], check=True, cwd=tmp_path)
        counts.append(len(list((tmp_path / "out" / "cells").iterdir())))
    assert counts == [2, 2, 4]


def test_the_command_sweeps_and_reports_unexpected_results(tmp_path):
    arguments = ["sweep", "--set", "users=[2, 3]", "--set", "network.jitter.high=[0.01, 0.8]", "--seeds", "1"]
    command = [sys.executable, "-m", "netra_sim", *arguments, "-o", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 1, done.stderr
    assert "4 simulations in" in done.stdout
    assert "2 of them not as expected" in done.stdout
    assert len(pd.read_parquet(tmp_path / "sweep.parquet")) == 4


def test_a_wrong_grid_is_refused_before_anything_runs():
    with pytest.raises(ScenarioError, match="no setting netwrk"):
        cells(Scenario(), {"netwrk.latency": [1]}, [1])
