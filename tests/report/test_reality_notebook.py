"""The notebook about simulation and reality: its parameters, its run on this machine, its picture and its table."""

from pathlib import Path

import pandas as pd
import pytest

from netra_sim.charts import simulated_and_real
from netra_sim.notebooks import NOTEBOOKS
from netra_sim.parameters import ParameterError
from netra_sim.site.report import plan
from netra_sim.studies import BOUNDS, Fidelity, RealityParameters, try_reality

APPS = Path(__file__).parents[1] / "simulation" / "systems"
SCENARIO = f"""
name = "words"
[workload]
window = 1.0
[system]
app = "apps:app"
folder = {str(APPS)!r}
[client]
kind = "sse-json"
path = "/chat"
body = {{ text = "{{text}}" }}
type = "type"
content = "text"
end = {{ path = "type", values = ["done"] }}
"""


def compared(**errors):
    """A table of 10 and 50 users whose real times are 1 s, with these errors of the simulation by quantile."""
    rows = [
        {"users": users, "figure": figure, "quantile": name, "simulated": 1.0 + error, "real": 1.0, "error": error,
         "simulated requests": 20, "real requests": 20}
        for users in (10, 50) for figure in ("first content", "end") for name, error in errors.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_system_of_a_scenario_is_simulated_and_run_here(tmp_path):
    (tmp_path / "words.toml").write_text(SCENARIO, "utf-8")
    found = try_reality(RealityParameters(scenario=str(tmp_path / "words.toml"), loads="3"))
    assert 0 < found.step_cost < 0.1
    assert list(found.table["users"].unique()) == [3]
    assert (found.table["real requests"] == 3).all()
    assert (found.table["real"] > 0.05).all()
    assert "3 real requests" in found._repr_html_()


def test_the_picture_says_the_largest_error_of_each_quantile_and_draws_both_times():
    picture = simulated_and_real(compared(p50=-0.1, p95=0.3, p99=0.4), BOUNDS)
    assert picture.title == "Simulated times differ from real ones by at most 10% at p50, 30% at p95, 40% at p99"
    assert "first content, end for 10, 50 users" in picture.alt
    first, end = picture.figure.axes
    assert [axes.get_title(loc="left") for axes in (first, end)] == ["until the first content", "until the end"]
    drawn = [tuple(line.get_ydata()) for line in first.get_lines()]
    assert (1.0, 1.0) in drawn
    assert (1.3, 1.3) in drawn
    colours = {text.get_text(): text.get_color() for text in first.texts}
    assert set(colours) == {"-10%", "+30%", "+40%"}
    assert colours["+30%"] == "#A84A00", "an error over its bound stands out"
    assert colours["-10%"] == colours["+40%"] == "#222222"


def test_without_an_answer_on_one_side_the_picture_says_so():
    nothing = compared(p50=0.0).assign(real=float("nan"), error=float("nan"))
    assert "Nothing to show" in simulated_and_real(nothing, BOUNDS).title


def test_the_table_marks_the_errors_over_their_bound():
    page = Fidelity(compared(p50=-0.1, p95=0.3, p99=0.4), 0.0001)._repr_html_()
    assert page.count("✓") == 8
    assert page.count("✗") == 4
    assert "takes 100 µs" in page


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scenario": "steady-load"}, "has no system under test"),
        ({"scenario": "fastapi-agent"}, "there is no example 'fastapi-agent'"),
        ({"loads": ""}, "numbers of users from 1 to 2000"),
        ({"loads": "10, many"}, "numbers of users from 1 to 2000"),
        ({"loads": "0"}, "numbers of users from 1 to 2000"),
        ({"loads": "1,2,3,4,5,6,7"}, "takes 1 to 6 numbers of users"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(parameters, message):
    with pytest.raises(ParameterError, match=message):
        RealityParameters.check(**parameters)


def test_a_report_runs_it_only_if_it_is_named():
    assert "reality" in NOTEBOOKS
    assert "reality" not in [task.notebook.name for task in plan(())]
