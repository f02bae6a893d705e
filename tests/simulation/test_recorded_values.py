"""Recorded arrivals and durations: the values of a file become part of the scenario, or an error says what is wrong."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim import History, Scenario, simulate
from netra_sim.history import Kind
from netra_sim.simulation import Agents, Constant, Empirical, ScenarioError, find_scenario

TOML = """
users = 3
[workload]
arrivals = { kind = "replay", file = "data/arrivals.csv", column = "at" }
[agents]
tool = { kind = "empirical", file = "tools.parquet", column = "took", unit = "ms" }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "arrivals.csv").write_text("at,who\n2.5,a\n1,b\n4.25,c\n1,d\n", encoding="utf-8-sig")
    pd.DataFrame({"took": [300, 100, 200], "name": ["x", "y", "z"]}).to_parquet(tmp_path / "tools.parquet")
    (tmp_path / "mine.toml").write_text(TOML)
    return tmp_path


def test_arrivals_and_durations_come_from_files_beside_the_scenario(folder):
    scenario = find_scenario(str(folder / "mine.toml"))
    assert scenario.workload.arrivals.times == (2.5, 1.0, 4.25, 1.0)
    assert scenario.agents.tool == Empirical((0.1, 0.2, 0.3))
    history = simulate(scenario)
    assert sorted(history.frame(Kind.REQUESTED)["due"]) == [1.0, 1.0, 2.5, 4.25]
    took = history.frame(Kind.RECEIVED)["duration"].dropna()
    assert set(took.round(6)) == {0.1, 0.2, 0.3}


def test_a_saved_history_repeats_without_the_files_and_other_values_give_another_digest(folder):
    path = folder / "mine.toml"
    first = simulate(find_scenario(str(path)))
    saved = History.load(first.save(folder / "history.parquet"))
    (folder / "data" / "arrivals.csv").write_text("at\n2.5\n1\n4.25\n1.125\n")
    second = simulate(find_scenario(str(path)))
    (folder / "data" / "arrivals.csv").unlink()
    again = simulate(Scenario.from_mapping(saved.meta["scenario"]))
    assert again.digest() == first.digest() != second.digest()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1, exclude_max=True))
def test_a_draw_is_the_inverse_of_the_empirical_distribution_function(values, uniform):
    drawn = Empirical(tuple(values)).draw(uniform)
    values = [round(value, 6) for value in values]
    assert drawn in values
    assert sum(value <= drawn for value in values) > uniform * len(values) - 1e-9
    assert sum(value < drawn for value in values) <= uniform * len(values)


def test_the_order_of_recorded_durations_does_not_matter():
    one, other = (Scenario(users=2, agents=Agents(think=Constant(0.1), tool=Empirical(values)))
                  for values in ((0.3, 0.1), (0.1, 0.3)))  # fmt: skip
    assert simulate(one).digest() == simulate(other).digest()


REPLAY = "workload.arrivals"


@pytest.mark.parametrize(
    ("text", "table", "message"),
    [
        (
            None,
            {"file": "none.csv"},
            r"there is no file .*none.csv; a path is relative to the folder of the scenario's",
        ),
        ("at\n1\n", {"column": "att"}, "a.csv has no column att; did you mean at?"),
        ("time,user\n1,x\n", {}, "a.csv has no column at; it has time, user"),
        ("", {}, "a.csv has no column at; it has none at all"),
        ("at\n", {}, "the column at of a.csv has no values"),
        ("at\n1\nsoon\n", {}, "a.csv, line 3: 'soon' is not a number"),
        ("at\n1\nnan\n", {}, "a.csv, line 3: 'nan' is not a number"),
        ("at,who\n1,x\n,y\n", {}, "a.csv, line 3: '' is not a number"),
        ("at\n1\n-0.5\n", {}, "a.csv, line 3: -0.5 is not between 0 and 1,000,000,000"),
        ("at\ninf\n", {}, "a.csv, line 2: inf is not between"),
        ("at\n1700000000\n", {}, "line 2: 1700000000 is not between .* from the beginning, and not from 1970"),
        ("at,at\n1,2\n", {}, "a.csv has 2 columns at; give each column a name of its own"),
        ("at\n1\n", {"unit": "h"}, "unit is one of s, ms, us, and is 'h'"),
        ("at\n1\n", {"column": None}, 'a file has a column, such as file = "recorded.csv"'),
        ("at\n1\n", {"times": [1.0]}, "times and file are given; give one of them"),
        ("at\n1\n", {"file": "a.xlsx"}, "a.xlsx ends neither with .csv nor with .parquet"),
        (b"at\n\xff\n", {}, "a.csv cannot be read: .*utf-8"),
        (b"at\n1\n", {"file": "a.parquet"}, "a.parquet is not a Parquet file"),
        ("at\n1\n", {"colum": "at"}, "`colum`; did you mean column"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_the_message_says_why(tmp_path, text, table, message):
    fields = {"kind": "replay", "file": "a.csv", "column": "at"} | table
    if text is not None:
        name = "a.csv" if fields["file"] == "a.xlsx" else fields["file"]
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ScenarioError, match=f"^{REPLAY}: .*{message}"):
        Scenario.from_mapping({"workload": {"arrivals": fields}}, tmp_path)


def test_the_rows_of_a_parquet_file_are_checked_too(tmp_path):
    pd.DataFrame({"took": [0.5, None]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"took": ["fast"]}).to_parquet(tmp_path / "b.parquet")
    for name, message in (("a", "row 2: nothing is not a number|row 2: nan"), ("b", "row 1: 'fast' is not a number")):
        fields = {"agents": {"think": {"kind": "empirical", "file": f"{name}.parquet", "column": "took"}}}
        with pytest.raises(ScenarioError, match=f"agents.think: {name}.parquet, {message}"):
            Scenario.from_mapping(fields, tmp_path)


def test_a_negative_duration_is_told_as_a_duration(tmp_path):
    (tmp_path / "a.csv").write_text("took\n-1\n")
    fields = {"agents": {"think": {"kind": "empirical", "file": "a.csv", "column": "took"}}}
    with pytest.raises(ScenarioError, match=r"a.csv, line 2: -1 is not between .*; a duration is never negative"):
        Scenario.from_mapping(fields, tmp_path)
