"""The pytest plugin as another project uses it: scenario files, the marker for async tests, replay lines, Hypothesis."""

import re
import shlex
import sys

import hypothesis
import pytest

from netra_sim.exploration import explore, run_trial, shrink

LOADED = hypothesis, explore, run_trial, shrink
"""Pytester forgets what an inner run imports, and numpy cannot be imported twice: so all of it is imported here."""

pytest_plugins = ["pytester"]

RACE = """
import asyncio
import pytest

@pytest.mark.netra_sim(seeds=300)
async def test_two_buyers(seats):
    async def book(user):
        free = seats - len(sold)
        await asyncio.sleep(0)
        if free:
            sold.append(user)
    sold = []
    await asyncio.gather(book("ann"), later(book("bob")))
    assert len(sold) <= seats, f"sold {sold}"

async def later(booking):
    for _ in range(3):
        await asyncio.sleep(0)
    await booking

@pytest.fixture
def seats():
    return 1
"""


@pytest.fixture
def run(pytester):
    """Run pytest in a folder, as a project does that has netra-sim installed."""

    def run(*arguments, in_new_process=False, **files):
        if files:
            pytester.makepyfile(**files)
        start = pytester.runpytest_subprocess if in_new_process else pytester.runpytest_inprocess
        return start("-p", "no:cacheprovider", "-p", "no:langsmith_plugin", *arguments)

    return run


def replayed(result):
    line = next(line for line in result.outlines if "to repeat it: pytest " in line)
    return shlex.split(line.partition("to repeat it: pytest ")[2])


def test_a_marked_test_is_searched_and_the_failure_says_who_is_held_and_how_to_repeat_it(run):
    result = run(test_shop=RACE)
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "passes in asyncio's order; fails if" in text
    assert re.search(r"book\('ann'\) is held at test_shop\.py:\d+", text)
    assert "AssertionError: sold ['bob', 'ann']" in text or "AssertionError: sold ['ann', 'bob']" in text
    again = run(*replayed(result), in_new_process=True, test_shop=RACE)
    again.assert_outcomes(failed=1)
    assert "AssertionError: sold" in again.stdout.str()


def test_the_right_program_passes(run):
    right = RACE.replace("        await asyncio.sleep(0)\n        if free", "        if free")
    assert right != RACE
    run(test_shop=right).assert_outcomes(passed=1)


def test_the_option_sets_the_number_of_seeds(run):
    counting = """
import pytest
runs = []

@pytest.mark.netra_sim
async def test_counts():
    runs.append(1)

def test_count():
    assert len(runs) == 9  # asyncio's own order, each task until it blocks, and seven seeds
"""
    run("--netra-sim-seeds", "7", test_count=counting).assert_outcomes(passed=2)


def test_hours_of_virtual_time_take_no_time_and_a_deadlock_fails(run):
    result = run(
        test_time="""
import asyncio, pytest

@pytest.mark.netra_sim(seeds=3)
async def test_night():
    await asyncio.sleep(8 * 3600)

@pytest.mark.netra_sim(seeds=3)
async def test_stuck():
    await asyncio.Event().wait()
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    assert "test_time.py:9" in result.stdout.str()


def test_an_error_of_a_task_that_nobody_awaits_fails(run):
    result = run(
        test_orphan="""
import asyncio, pytest

async def boom():
    raise ValueError("lost")

@pytest.mark.netra_sim(seeds=3)
async def test_orphan():
    task = asyncio.create_task(boom())
    await asyncio.sleep(1)
"""
    )
    result.assert_outcomes(failed=1)
    assert "ValueError: lost" in result.stdout.str()


def test_hypothesis_gives_the_values_and_the_plugin_the_orders(run):
    result = run(
        test_both="""
import asyncio, pytest
from hypothesis import given, settings, strategies as st

@pytest.mark.netra_sim(seeds=30)
@settings(deadline=None, database=None)
@given(st.integers(0, 50))
async def test_limit(amount):
    stock = [10]
    async def take():
        if stock[0] >= amount:
            await asyncio.sleep(0)
            stock[0] -= amount
    await asyncio.gather(take(), take())
    assert stock[0] >= 0, f"{amount} twice"

@pytest.mark.netra_sim(seeds=3)
@settings(deadline=None, max_examples=5)
@given(st.integers())
async def test_fine(amount):
    await asyncio.sleep(1)
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    assert "amount=6" in result.stdout.str()  # the least that two cannot have


def test_skips_and_expected_failures_stay_what_they_are(run):
    result = run(
        test_that_skips="""
import pytest

@pytest.mark.netra_sim
async def test_skips():
    pytest.skip("not here")

@pytest.mark.netra_sim
async def test_expected():
    pytest.xfail("known")
"""
    )
    result.assert_outcomes(skipped=1, xfailed=1)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("@pytest.mark.netra_sim\ndef test_sync(): pass", "the marker netra_sim is for `async def` tests"),
        ("@pytest.mark.netra_sim(seed=3)\nasync def test_typo(): pass", "by name, and not seed"),
        ("@pytest.mark.netra_sim(200)\nasync def test_position(): pass", "by name, and not 200"),
    ],
)
def test_a_wrong_marker_is_refused(run, test, message):
    result = run(test_wrong=f"import pytest\n{test}\n")
    assert result.ret != 0
    assert message in result.stdout.str() + result.stderr.str()


def test_other_async_tests_are_left_to_their_own_plugins(run):
    result = run(test_other="async def test_other(): assert False")
    assert "async def functions are not natively supported" in result.stdout.str() + result.stderr.str()


SCENARIO = """
name = "office"
users = 4
[workload]
window = 5
{more}
"""


def test_a_scenario_file_is_a_test(run, pytester):
    (pytester.path / "office.scenario.toml").write_text(SCENARIO.format(more=""))
    result = run("-v", "--netra-sim-seeds", "2")
    result.assert_outcomes(passed=1)
    assert "office.scenario.toml::office PASSED" in result.stdout.str()


def test_a_failing_scenario_is_shrunk_and_repeats(run, pytester):
    late = "[objectives]\nresponse_p95 = 0.1\n"
    (pytester.path / "office.scenario.toml").write_text(SCENARIO.format(more=late))
    result = run()
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "latency fails" in text
    assert re.search(r"the smallest failing scenario has [1-4] users?, seed \d+", text)
    command = shlex.split(text.partition("to repeat it: netra-sim ")[2].partition("\n")[0])
    again = pytester.run(sys.executable, "-m", "netra_sim", *command, "-o", "history.parquet")
    assert again.ret == 1
    assert "failed  latency" in again.stdout.str()


def test_a_failure_that_is_expected_and_does_not_come_fails(run, pytester):
    (pytester.path / "office.scenario.toml").write_text('expect = ["latency"]\n' + SCENARIO.format(more=""))
    result = run()
    result.assert_outcomes(failed=1)
    assert "latency should fail and does not" in result.stdout.str()


def test_a_wrong_scenario_file_is_one_sentence(run, pytester):
    (pytester.path / "office.scenario.toml").write_text("name = 'office'\nuser = 4\n")
    result = run()
    result.assert_outcomes(failed=1)
    assert "user" in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


EXITS = """
import os
from os import _exit
import pytest
import netra_sim

@pytest.mark.netra_sim(seeds=2)
async def test_exits():
    os._exit(0)

@pytest.mark.netra_sim(seeds=2)
async def test_exits_by_another_name():
    _exit(0)

class Leaver:
    name = "leaver"

    async def run(self, session):
        os._exit(0)

class Factory(netra_sim.ExecutionEngineFactory):
    def __init__(self, **settings):
        super().__init__(**settings | {"pipeline": lambda context: [[Leaver()]]})
"""


def test_a_test_that_exits_has_not_passed(run, pytester, monkeypatch):
    monkeypatch.setenv("NETRA_SIM_MODULES", str(pytester.path))
    (pytester.path / "leaving.scenario.toml").write_text(
        'users = 2\nexpect = ["completion"]\nfactory = "test_exits:Factory"\n'
    )
    result = run(in_new_process=True, test_exits=EXITS)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*SystemExit: os._exit(0) would end the process that runs the tests*"])


APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"later"})
"""


def test_a_system_whose_asserts_pytest_rewrites_can_be_imported_in_the_simulation(run, pytester, monkeypatch):
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    (pytester.path / "turned_away.scenario.toml").write_text(
        'users = 2\nexpect = ["completion", "refusals"]\n[system]\napp = "theirs:app"\nfolder = "."\n'
        '[client]\nkind = "sse-json"\npath = "/"\nbody = {text = "{text}"}\ntype = "type"\nrun = "run"\n'
        'end = {path = "type", values = ["done"]}\n'
    )
    (pytester.path / "conftest.py").write_text('import pytest\n\npytest.register_assert_rewrite("theirs")\n')
    (pytester.mkpydir("theirs") / "__init__.py").write_text(APP)
    run(in_new_process=True).assert_outcomes(passed=1)
