"""The failure explorer's controls: the real widgets, with values set and buttons pressed, and without a browser."""

import json
import multiprocessing
import re
import shlex

import msgspec
import pytest

from netra_sim.history import Kind
from netra_sim.simulation import FAULTS, Scenario, find_scenario, parse_setting
from netra_sim.studies.controls import Controls
from netra_sim.studies.explorer import Explored, ExplorerParameters, explored


def controls_of(scenarios, users=5, **others):
    return Controls(ExplorerParameters(scenarios=scenarios, users=users, **others))


def simulated(controls):
    controls.simulate.click()
    controls.wait()
    return shown(controls)


def shown(controls):
    return json.dumps(controls.shown.outputs)


def test_the_controls_simulate_the_picked_scenarios_with_changed_faults():
    controls = controls_of("disconnect-storm")
    controls.scenarios[0].field("faults[0].every").value = 3.0
    controls.seed.value = 9
    output = simulated(controls)
    assert "--seed 9" in output
    assert "every = 3.0" in output
    assert output.count("<figure") == 2


def test_the_controls_show_the_scenario_that_is_picked():
    controls = controls_of("steady-load").scenarios[0]
    with pytest.raises(KeyError):
        controls.field("faults[0].drain")
    controls.pick.value = "deploy"
    assert controls.field("faults[0].drain").value == find_scenario("deploy").faults[0].drain
    assert controls.scenario() == find_scenario("deploy").with_settings({"users": 5})


def test_a_fault_of_every_kind_can_be_added_and_removed():
    controls = controls_of("steady-load").scenarios[0]
    faults = controls.form("faults")
    assert set(faults.kind.options) == {name for name, kind in FAULTS.items() if not kind.needs_system}
    for name in faults.kind.options:
        faults.kind.value = name
        faults.add.click()
        faults.add.click()
        controls.field("faults[1].at").value = 7.5
        added = controls.scenario().faults
        assert [(fault.name, fault.at) for fault in added] == [(name, FAULTS[name]().at), (name, 7.5)]
        faults.removes[0].click()
        assert controls.scenario().faults == added[1:]
        faults.removes[0].click()
    assert controls.scenario().faults == ()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("workload.window", 12.5),
        ("workload.tabs_per_user", 3),
        ("workload.arrivals", "burst"),
        ("agents.think.median", 8.0),
        ("agents.tool", "pareto"),
        ("network.latency.sigma", 1.5),
        ("platform.loop", "proactor"),
        ("limits.agent_seconds", 7.0),
        ("objectives.delivery_p95", 0.5),
        ("tools_required", False),
    ],
)
def test_every_part_of_a_scenario_can_be_edited(path, value):
    controls = controls_of("steady-load").scenarios[0]
    controls.field(path).value = value
    found = msgspec.to_builtins(controls.scenario())
    for step in path.split("."):
        found = found[step]
    assert (found["kind"] if isinstance(found, dict) else found) == value


def test_a_value_that_may_be_left_out_is_set_and_left_out_again():
    controls = controls_of("steady-load").scenarios[0]
    controls.field("resources").value = True
    controls.field("resources.model").value = True
    controls.field("resources.model.slots").value = 4
    assert controls.scenario().resources.model.slots == 4
    controls.field("resources").value = False
    assert controls.scenario().resources is msgspec.UNSET
    controls.field("objectives.first_content_p95").value = True
    controls.field("objectives.first_content_p95.value").value = 0.25
    assert controls.scenario().objectives.first_content_p95 == 0.25


def test_each_field_has_its_unit_its_bounds_and_what_it_is_beside_it():
    controls = controls_of("steady-load").scenarios[0]
    window = controls.form("workload.window").note.value
    assert "<b>s</b>" in window
    assert "open-loop arrivals are spread" in window
    assert "&gt; 0" in window
    assert "&lt;=" not in window  # nobody comes near the upper bound
    assert "<b>bytes/s</b>" in controls.form("network.bandwidth").note.value
    assert "&lt;= 64" in controls.form("workload.tabs_per_user").note.value


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("faults[0].share", 7.0, "it had 7.0"),
        ("network.latency.median", -1.0, "it had -1.0"),
        ("workload.runs_per_user", 0, "it had 0"),
    ],
)
def test_an_error_names_scenario_and_field_is_beside_the_field_and_nothing_is_simulated(path, value, told):
    controls = controls_of("steady-load, disconnect-storm")
    wrong = controls.scenarios[1]
    about = wrong.form(path).note.value
    was = wrong.field(path).value
    wrong.field(path).value = value
    assert told in wrong.form(path).note.value  # before anything is pressed
    assert wrong.export.write.disabled
    assert "<figure" not in simulated(controls)
    assert f"scenario 2 (disconnect-storm): {path}: " in controls.message.value
    assert not controls.simulate.disabled
    wrong.field(path).value = was
    assert wrong.form(path).note.value == about


def test_a_list_is_written_as_in_a_file():
    controls = controls_of("steady-load")
    one = controls.scenarios[0]
    one.field("workload.arrivals").value = "replay"
    one.field("workload.arrivals.times").value = "[1.0, 2.0"
    assert "[1.0, 2.0" in one.form("workload.arrivals.times").note.value
    one.field("workload.arrivals.times").value = "[1.0, 2.0]"
    assert one.scenario().workload.arrivals.times == (1.0, 2.0)


def test_without_a_scenario_there_is_nothing_to_simulate():
    controls = controls_of("steady-load")
    controls.scenarios[0].pick.value = "(none)"
    simulated(controls)
    assert "pick at least one scenario" in controls.message.value


def test_while_simulations_run_the_button_is_disabled_and_a_bar_counts_the_answers():
    controls = controls_of("steady-load, burst", users=30)
    controls.simulate.click()
    assert (controls.simulate.disabled, controls.stop.disabled) == (True, False)
    bars = controls.bars
    assert [bar.max for bar in bars] == [30, 30]
    controls.wait()
    assert [bar.value for bar in bars] == [30, 30]
    assert (controls.simulate.disabled, controls.stop.disabled) == (False, True)


def test_stop_ends_the_processes_and_keeps_the_last_results():
    controls = controls_of("steady-load")
    before = simulated(controls)
    others = set(multiprocessing.active_children())
    controls.users.value = 100_000  # minutes
    controls.simulate.click()
    controls.stop.click()
    controls.wait()
    assert "Stopped" in controls.message.value
    assert set(multiprocessing.active_children()) == others
    assert shown(controls) == before
    assert not controls.simulate.disabled
    controls.users.value = 6
    assert "users=6" in simulated(controls)


def test_a_simulation_that_breaks_is_named_and_the_others_are_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    broken = 'name = "mine"\n[system]\napp = "nowhere:app"\n[client]\nkind = "ag-ui"\n'
    (tmp_path / "mine.toml").write_text(broken)
    controls = controls_of("steady-load, mine.toml")
    output = simulated(controls)
    assert "scenario 2 (mine): " in controls.message.value
    assert "nowhere" in controls.message.value
    assert "Traceback" not in controls.message.value
    assert output.count("<figure") == 2
    assert not controls.simulate.disabled


def test_past_simulations_are_compared_side_by_side_and_forgotten():
    controls = controls_of("steady-load", users=20)
    simulated(controls)
    controls.scenarios[0].field("network.jitter.high").value = 2.0
    simulated(controls)
    past = controls.past
    assert len(past.picks) == 2
    assert past.compare.disabled
    for pick in past.picks:
        pick.value = True
    past.compare.click()
    table, picture = (output["data"]["text/html"] for output in past.shown.outputs)
    assert "1 steady-load" in table
    assert "2 steady-load" in table
    p95 = next(row for row in table.split("<tr>") if "latency: delivery" in row and "p95" in row)
    scales = {"ms": 1e-3, "s": 1.0}
    calm, slow = (float(figure) * scales[unit] for figure, unit in re.findall(r"([\d.]+) (ms|s)\b", p95))
    assert slow > 10 * calm > 0
    assert "network.jitter.high=2.0" in table
    assert "<figure" in picture
    past.picks[0].value = False
    past.forget.click()
    assert [pick.description[:13] for pick in past.picks] == ["1 steady-load"]


def test_the_oldest_of_many_past_simulations_is_forgotten():
    past = controls_of("steady-load").past
    one = explored("steady-load", find_scenario("steady-load").with_settings({"users": 1}), 1)
    for _ in range(13):
        past.add(one)
    assert [pick.description.split()[0] for pick in past.picks] == [str(number) for number in range(2, 14)]


def test_a_scenario_is_written_to_a_file_only_by_the_button_and_never_over_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    controls = controls_of("flaky-mobile").scenarios[0]
    controls.field("network.jitter").value = "constant"
    controls.field("objectives.first_content_p95").value = True
    controls.field("objectives.recovery").value = 9.0
    assert list(tmp_path.iterdir()) == []
    controls.export.write.click()
    (path,) = tmp_path.iterdir()
    assert path.name == "my-flaky-mobile.toml"
    assert Scenario.load(path) == controls.scenario()
    path.write_text("mine")
    controls.export.write.click()
    assert "is there already" in controls.export.said.value
    assert path.read_text() == "mine"
    controls.export.file.value = "mine.txt"
    controls.export.write.click()
    assert "ends with .toml" in controls.export.said.value
    assert len(list(tmp_path.iterdir())) == 1


def test_the_command_of_a_changed_scenario_repeats_it():
    controls = controls_of("disconnect-storm").scenarios[0]
    controls.form("faults").kind.value = "clock-jump"
    controls.form("faults").add.click()
    controls.field("objectives.first_content_p95").value = True
    controls.field("resources").value = True
    controls.field("resources.cpu").value = True
    controls.field("workload.arrivals").value = "closed"
    changed = controls.scenario()
    words = shlex.split(explored("disconnect-storm", changed, 4).command)
    assert words[:5] == ["netra-sim", "simulate", "disconnect-storm", "--seed", "4"]
    settings = dict(parse_setting(word) for word in words[6::2])
    assert find_scenario("disconnect-storm").with_settings(settings) == changed


def test_a_setting_that_no_command_line_can_leave_out_is_named(tmp_path):
    path = tmp_path / "limited.toml"
    path.write_text('name = "limited"\nusers = 2\n[resources.cpu]\nslots = 1\n')
    controls = controls_of(str(path)).scenarios[0]
    controls.field("resources").value = False
    one = explored(str(path), controls.scenario(), 1)
    assert isinstance(one, Explored)
    assert "no setting leaves out resources" in one.command
    assert len(one.history.frame(Kind.REQUESTED)) == 5


def test_a_part_is_named_once_by_its_section_and_no_empty_line_stands_above_its_fields():
    controls = controls_of("steady-load").scenarios[0]
    for part in ("network", "faults"):
        note = controls.form(part).note
        assert (note.value, note.layout.display) == ("", "none")
    controls.field("network.bandwidth").value = -1.0
    assert controls.form("network.bandwidth").note.layout.display != "none"
    controls.field("network.bandwidth").value = 1e6
