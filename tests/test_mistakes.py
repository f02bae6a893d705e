"""Plausible mistakes on the command line, each answered by one sentence that says what to do, before anything runs."""

import re
import shlex
import socket

import pytest
from click.testing import CliRunner

from netra_sim.cli.group import cli

SYSTEM = "simulate --app app:app --client sse-json --set"

MISTAKES = {
    # a name with a slip of the finger
    "simulat": "there is no command simulat; did you mean simulate?",
    "simulate stedy-load": "did you mean steady-load?",
    "scenarios flaky-mobil": "did you mean flaky-mobile?",
    "simulate --user 3": "--users",
    "simulate --set workload.windw=3.0": "did you mean workload.window?",
    "simulate --set network.latncy.median=0.2": "did you mean network.latency.median?",
    "simulate --set usrs=3": "did you mean users?",
    "simulate flaky-mobile --set faults.9.share=0.1": "the last one is faults.0",
    "simulate --set users.count=3": "users is one value, and not a table",
    """simulate --set 'faults=[{kind="disconect",at=1.0}]'""": "there is no 'disconect'; did you mean disconnect?",
    """simulate --set 'faults=[{kind="disconnect",att=1.0}]'""": "there is no field att; did you mean at?",
    """simulate --set 'workload.arrivals={kind="replai",times=[1.0]}'""": "did you mean replay?",
    """simulate --app a:b --client websocket""": "did you mean websocket-json?",
    f"""{SYSTEM} 'client.pth="/chat"'""": "client: there is no field pth; did you mean path?",
    f"""{SYSTEM} 'services={{model={{kind="modl"}}}}'""": "did you mean model?",
    "report --notebook explorr": "did you mean explorer?",
    "report --notebook 04_failur_explorer": "did you mean explorer?",
    "notebooks validaton": "did you mean validation?",
    "report -p usrs 5": "there is no parameter usrs; did you mean users?",
    "load --objective delivry_p95=0.2": "did you mean delivery_p95?",
    # a value of another type, or beyond its bounds
    "simulate --users ten": "'ten' is not a whole number",
    "simulate --seed 1.5": "'1.5' is not a whole number",
    "simulate --users 0": "0 is not >= 1",
    "load --users 99999": "99999 is not between 1 and 2000",
    "load --window soon": "'soon' is not a number",
    "simulate --set users=-1": "users: expected a whole number >= 1; it had -1",
    "simulate --set users=2.5": "users: expected a whole number, and got a number; it had 2.5",
    """simulate --set 'workload.window="5"'""": "workload.window: expected a number, and got a text in quotes",
    "simulate --set name=slow": """quote a text: --set name='"slow"'""",
    "simulate --set name=5": "name: expected a text in quotes, and got a whole number",
    "simulate --set users": "a setting is PATH=VALUE, such as users=50",
    "simulate --set workload=5": "workload: expected a table, and got a whole number",
    "report -p users fifty": "users takes a whole number, and had 'fifty'",
    "report -p validation.users 0": "users: expected a whole number >= 1; it had 0",
    "simulate --shards zero": "at least 1, or auto",
    "capacity --until 'delivry p95 <= 200 ms'": "measures are delivery, first event",
    # a file, a folder, an address or a part that is not there
    "simulate mine.toml": "there is no file mine.toml",
    "check mine.parquet": "'mine.parquet' does not exist",
    "audit mine": "there is nothing at mine; name a folder or a Python file",
    "explore mine.py:main": "there is no such file",
    "simulate --factory mine:Factory": "there is no module mine in",
    "gate steady-load": "has no system under test; give it a table [system]",
    f"""{SYSTEM} 'system.environment={{URL="{{modell}}/v1"}}'""": "URL names a service {modell} that there is not",
    "simulate -o missing/h.parquet": "there is no folder missing for h.parquet; make it first",
    "sweep --scheduler nowhere": "no Dask scheduler answers at nowhere; start one with `dask scheduler`",
}  # fmt: skip


@pytest.mark.parametrize(("line", "answer"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_answered_in_one_sentence_and_nothing_runs(line, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, shlex.split(line), prog_name="netra-sim")
    assert done.exit_code == 2, done.output
    *_, said = done.stderr.strip().splitlines()
    assert answer in said
    assert not re.search(r"`?\b(int|float|str|bool|array|object)\b`?|integer|Traceback", said), said
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_notebook_can_be_named_as_its_file_is():
    by_name = CliRunner().invoke(cli, ["notebooks", "explorer"]).output
    for name in ("04_failure_explorer", "04_failure_explorer.ipynb", "notebooks/04_failure_explorer.ipynb"):
        assert CliRunner().invoke(cli, ["notebooks", name]).output == by_name


def test_a_port_that_is_in_use_is_told_with_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = CliRunner().invoke(cli, ["serve", "--port", str(taken.getsockname()[1])])
    assert done.exit_code == 2
    assert "another program listens there; name another with --port" in done.stderr
