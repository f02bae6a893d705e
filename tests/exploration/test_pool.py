"""Work on all cores: in order, whatever defines it, and over when nobody wants its results any more."""

import os
import subprocess
import sys
import threading
import time

import pytest
from interrupting import assert_ctrl_c_leaves_no_process

from netra_sim.exceptions import EngineLimitError
from netra_sim.exploration import in_order
from netra_sim.processes import WorkerError

NOTEBOOK = """
from netra_sim.exploration import explore, in_order
from netra_sim.factory import ExecutionEngineFactory
from netra_sim.simulation import Scenario

class Mine(ExecutionEngineFactory):
    pass

class Told:
    def __init__(self, number):
        self.number = number

assert [one.number for one in in_order(Told, [(1,), (2,), (3,)], 2)] == [1, 2, 3]
assert [*in_order(lambda a, b: a + b, [(1, 2), (3, 4)], 2)] == [3, 7]
assert explore(Scenario(users=2), seeds=3, jobs=2, factory_class=Mine).failure is None
"""


def patient(number):
    time.sleep(0.3 if number < 3 else 0)
    if number == 3:
        raise LookupError(number)
    return number


@pytest.mark.parametrize("jobs", [1, 4])
def test_an_error_comes_with_its_type_and_after_the_results_before_it(jobs):
    results = in_order(patient, ((number,) for number in range(6)), jobs)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError, match="3"):
        next(results)


def test_what_a_notebook_defines_travels_to_other_processes_and_back():
    command = [sys.executable, "-W", "error", "-c", NOTEBOOK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def begun(folder, number):
    (folder / str(number)).touch()
    time.sleep(0.1)


def test_closing_cancels_what_has_not_begun(tmp_path):
    results = in_order(begun, ((tmp_path, number) for number in range(100)), 2)
    next(results)
    results.close()
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) <= 6  # two that ran, and what their processes had been handed


SCRIPT = """
import sys
from netra_sim.exploration import in_order
print("begun", flush=True)
class Answer:
    def __init__(self, number):
        self.number = number
print([one.number for one in in_order(Answer, [(1,), (2,)], 2)])
"""


def test_a_script_is_not_run_again_by_its_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n") == ["begun", "[1, 2]", ""]


def end_suddenly(number):
    if number == 1:
        os._exit(7)
    return number


def test_a_process_that_dies_is_an_error_with_its_exit_code():
    results = in_order(end_suddenly, [(0,), (1,)], 2)
    assert next(results) == 0
    with pytest.raises(WorkerError, match="exit code 7"):
        next(results)


def dies_or_waits_for_that(number, pipe):
    if number:
        opened = open(pipe, "w")  # noqa: SIM115 - its death closes it
        os._exit(7 if opened else 0)
    with open(pipe) as dying:
        dying.read()  # until the other process is dead
    return number


def test_a_process_that_dies_first_does_not_take_the_earlier_results_with_it(tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    results = in_order(dies_or_waits_for_that, [(0, pipe), (1, pipe)], 2)
    assert next(results) == 0
    with pytest.raises(WorkerError, match="exit code 7"):
        next(results)


def refused(user):
    raise EngineLimitError(user, 2, 2)


def test_an_error_that_pickle_cannot_make_again_says_what_it_was():
    with pytest.raises(WorkerError, match=r"EngineLimitError: .*alice"):
        list(in_order(refused, [("alice",)], 2))


def a_lock(_):
    return threading.Lock()


def test_a_result_that_cannot_travel_says_so():
    with pytest.raises(WorkerError, match=r"cannot be sent to another process: .*lock"):
        list(in_order(a_lock, [(1,)], 2))


def doubled(numbers):
    return [*in_order(lambda number: 2 * number, ((number,) for number in numbers), 2)]


def test_work_that_uses_all_cores_itself_does_the_work_in_its_own_process():
    assert [*in_order(doubled, [([1, 2],), ([3],)], 2)] == [[2, 4], [6]]


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal of POSIX")
def test_ctrl_c_leaves_no_process():
    script = "import time\nfrom netra_sim.exploration import in_order\n"
    script += "for _ in in_order(time.sleep, [(0.3,)] * 100, 2): print('one', flush=True)"
    assert_ctrl_c_leaves_no_process(script)
