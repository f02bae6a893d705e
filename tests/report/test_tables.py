"""The report's tables label their numbers, and claim no more than the numbers show."""

import re
from html import unescape

import pytest

from netra_sim.checks import CheckResult, check
from netra_sim.history import Objectives
from netra_sim.quantities import quantity
from netra_sim.simulation import find_scenario, simulate
from netra_sim.tables import checks_table, command_line


def result(looked_at=1, found=0):
    return CheckResult(check="one", question="Is it so?", looked_at=looked_at, unit="things", found=found)


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([result(), result()], "2 of 2 checks passed"),
        ([result(), result(looked_at=0)], "1 of 2 checks passed, 1 not applicable"),
        ([result(), result(found=1), result(looked_at=0)], "1 of 3 checks passed, 1 failed, 1 not applicable"),
    ],
)
def test_a_check_that_looked_at_nothing_is_not_counted_as_passed(results, told):
    assert f"Real server: {told}<" in checks_table("real server", results)


def test_counts_shares_and_times_have_labels():
    results = check(simulate(find_scenario("disconnect-storm").with_settings({"users": 20}), 1))
    table = checks_table("simulated", results)
    assert "ended with an answer: 20<" in table
    assert "completed: 100% &gt;= 99%<" in table
    recovered = next(one for one in results if one.check == "recovery")
    assert f"slowest: {quantity(recovered.measured['slowest'].value, 's')} &lt;= 5 s<" in table
    idle = next(one for one in results if one.check == "idle-cost")
    assert f"steps for each: {quantity(idle.measured['steps for each'].value, 'ratio')} &lt;= 5<" in table


def test_a_table_of_checks_names_the_objectives():
    table = checks_table("rollback drill", [result()], "again", Objectives(refused=0.97, first_event_p95=60.0))
    assert "first event within 60 s" in table
    assert "at most 97.00% of the requests" in table
    assert "Objectives" not in checks_table("audit", [result()], "again")


def test_a_command_keeps_each_option_in_one_piece_and_its_words_as_they_are():
    shown = command_line("netra-sim simulate a.toml --seed 7 --set 'users=[1, 2]' <x>")
    assert shown.startswith(
        '<code><span class="option">netra-sim simulate</span> a.toml <span class="option">--seed 7</span> '
    )
    assert '<span class="option">--seed 7</span> <span class="option">--set</span>' in shown
    assert unescape(re.sub("<[^>]*>", "", shown)) == "netra-sim simulate a.toml --seed 7 --set 'users=[1, 2]' <x>"
