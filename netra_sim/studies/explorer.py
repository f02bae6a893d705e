"""Compares up to four scenarios side by side, with the same seed and with changed settings."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from netra_sim.charts import Picture
from netra_sim.checks import State, delivery_latencies
from netra_sim.exploration import Trial, checked, in_order, replay_line
from netra_sim.history import History
from netra_sim.parameters import NotebookParameters, whole_path
from netra_sim.simulation import Scenario, ScenarioError, find_scenario, parse_setting, simulate
from netra_sim.studies.objectives import ObjectiveResult, quantile, save_results
from netra_sim.tables import Html, badge, command_line, table

MOST = 4
"""Scenarios that fit side by side."""


_JUDGED_BY = {
    "delivered": "delivery",
    "refused": "refusals",
    "completed": "completion",
    "recovery": "recovery",
    "steps_per_record": "idle-cost",
    "replay_bytes": "memory",
}
"""The check that judges each objective; `latency` judges the objectives that are not listed."""


class ExplorerParameters(NotebookParameters, frozen=True, kw_only=True):
    """The parameters of the failure explorer."""

    scenarios: Annotated[str, Meta(description=f"library names or TOML files, at most {MOST}, separated by commas")] = (
        "steady-load, disconnect-storm, stalled-sockets, backend-outage"
    )
    users: Annotated[int, Meta(description="users of each scenario", ge=1, le=100_000)] = 200
    settings: Annotated[
        str, Meta(description="PATH=VALUE, separated by semicolons, for every scenario that has the path")
    ] = ""

    def __post_init__(self) -> None:
        """Refuse scenarios and settings that do not exist."""
        chosen_scenarios(self)

    def with_whole_paths(self) -> Self:
        """See `NotebookParameters`."""
        names = [whole_path(name.strip()) for name in self.scenarios.split(",")]
        return msgspec.structs.replace(self, scenarios=", ".join(names))


class Explored(msgspec.Struct, frozen=True):
    """One simulated scenario.

    Attributes:
        origin: the name or the file of the scenario.
        trial: the simulated scenario, the seed, and the results of the checks.
        history: the record of the simulation.
    """

    origin: str
    trial: Trial
    history: History

    @property
    def command(self) -> str:
        """The command that repeats the simulation, or what to do first if no command line can say what was changed."""
        original = find_scenario(self.origin)
        left_out = msgspec.to_builtins(original).keys() - msgspec.to_builtins(self.trial.scenario).keys()
        if left_out:
            return f"write the scenario to a file: no setting leaves out {', '.join(sorted(left_out))}"
        return replay_line(self.origin, original, self.trial)

    @property
    def name(self) -> str:
        """The name of the scenario."""
        return self.trial.scenario.name


class Comparison(msgspec.Struct, frozen=True):
    """Scenarios side by side; a notebook shows them as a table."""

    explored: tuple[Explored, ...]

    @property
    def histories(self) -> dict[str, History]:
        """The histories by scenario name; a name that occurs twice gets a number."""
        names = [one.name for one in self.explored]
        return {
            name if names.count(name) == 1 else f"{name} ({names[: index + 1].count(name)})": one.history
            for index, (name, one) in enumerate(zip(names, self.explored, strict=True))
        }

    @property
    def objective(self) -> float:
        """The strictest `delivery_p95` of the scenarios, in seconds: one axis shows one line."""
        return min(one.trial.scenario.objectives.delivery_p95 for one in self.explored)

    def each(self, picture: Callable[[History], Picture]) -> Html:
        """The same picture of every scenario, side by side.

        Args:
            picture: draws a picture of a history.
        """
        column = Html("<div><h3>{}</h3>{}</div>")
        figures = (column.format(name, picture(one)._repr_html_()) for name, one in self.histories.items())
        return Html('<div class="side-by-side">{}</div>').format(Html().join(figures))

    def _repr_html_(self) -> str:
        return table(
            "The same seed, side by side",
            ("Scenario", "Users", "Delivery p95", "Checks", "Reproduce with"),
            [_row(one) for one in self.explored],
        )


def compare(parameters: ExplorerParameters) -> Comparison:
    """Simulate and check the scenarios of the parameters, on all cores."""
    compared = side_by_side(chosen_scenarios(parameters), parameters.seed)
    settings = map(parse_setting, filter(None, map(str.strip, parameters.settings.split(";"))))
    names = {path.removeprefix("objectives.") for path, _ in settings if path.startswith("objectives.")}
    save_results(parameters.output, [_result(one, name) for one in compared.explored for name in sorted(names)])
    return compared


def _result(one: Explored, objective: str) -> ObjectiveResult:
    judging = _JUDGED_BY.get(objective, "latency")
    result = next(result for result in one.trial.results if result.check == judging)
    state: dict[State, Literal["met", "missed"]] = {"passed": "met", "failed": "missed"}
    found = [finding.message for finding in result.findings[:1]]
    words = "; ".join([f"objectives.{objective}: {judging} is {result.state}", *found])
    where = one.trial.scenario.name
    return ObjectiveResult(
        parameter="settings", where=where, measured=words, state=state.get(result.state, "not judged")
    )


def side_by_side(chosen: Sequence[tuple[str, Scenario]], seed: int) -> Comparison:
    """Simulate and check scenarios on all cores; each comes with its name or file."""
    return Comparison(tuple(in_order(explored, [(origin, scenario, seed) for origin, scenario in chosen])))


def explored(origin: str, scenario: Scenario, seed: int, on_answer: Callable[[], None] = lambda: None) -> Explored:
    """Simulate and check a scenario.

    Args:
        origin: the name or the file that it comes from.
        scenario: the scenario, with changed settings.
        seed: of everything random.
        on_answer: called at the end of every request, for a progress display.
    """
    history = simulate(scenario, seed, on_answer=on_answer)
    trial = Trial(scenario=scenario, seed=seed, digest=history.digest(), results=checked(history, scenario))
    return Explored(origin, trial, history)


def chosen_scenarios(parameters: ExplorerParameters) -> list[tuple[str, Scenario]]:
    """The scenarios with the settings applied, each with its name or file.

    Raises:
        ScenarioError: there are too few or too many scenarios, one does not exist, or no scenario accepts a setting.
    """
    names = [name.strip() for name in parameters.scenarios.split(",") if name.strip()]
    if not 1 <= len(names) <= MOST:
        raise ScenarioError(f"scenarios takes 1 to {MOST} names, and had {len(names)}: {parameters.scenarios!r}")
    chosen = [(name, find_scenario(name).with_settings({"users": parameters.users})) for name in names]
    for setting in filter(None, map(str.strip, parameters.settings.split(";"))):
        chosen = _with_setting(chosen, setting)
    return chosen


def _with_setting(chosen: Sequence[tuple[str, Scenario]], setting: str) -> list[tuple[str, Scenario]]:
    path, value = parse_setting(setting)
    applied, refusals = [], []
    for name, scenario in chosen:
        try:
            applied.append((name, scenario.with_settings({path: value})))
        except ScenarioError as error:
            applied.append((name, scenario))
            refusals.append(error)
    if len(refusals) == len(chosen):
        raise refusals[0]
    return applied


def _row(one: Explored) -> tuple[str, ...]:
    latencies = delivery_latencies(one.history)["latency"].to_numpy(float)
    p95 = f"{quantile(latencies) * 1000:,.0f} ms" if len(latencies) else "nothing arrived"
    return (
        one.name,
        f"{one.trial.scenario.users:,}",
        p95,
        _checked(one.trial),
        command_line(one.command),
    )


def _checked(trial: Trial) -> Html:
    """Whether all checks passed; a failure that the scenario's file expects is no bad news."""
    failed, expected = ", ".join(trial.failed), ", ".join(trial.scenario.expect)
    if trial.is_as_expected:
        verb = "fails" if len(trial.failed) == 1 else "fail"
        return Html("as its file expects: {} {}").format(failed, verb) if failed else badge("passed")
    state = Html("{} {}").format(badge("failed"), failed) if failed else badge("passed")
    return Html("{}; its file expects: {}").format(state, expected or "all pass")
