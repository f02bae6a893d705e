"""A back end of other people under simulated users: as it is, with slow services, killed, disconnected, and left alone."""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pandas as pd
from msgspec import UNSET, Meta

from netra_sim.charts import Measure, Picture, latency_ecdfs
from netra_sim.checks import CheckResult, Records, lacks, request_latencies
from netra_sim.checks.leaving import WORK_AFTER_LEAVING
from netra_sim.exploration import Trial, checked, replay_line
from netra_sim.fingerprint import CHECKOUT
from netra_sim.history import History, Kind
from netra_sim.parameters import NotebookParameters
from netra_sim.simulation import Scenario, ScenarioError, find_scenario, parse_setting, scenario_names, simulate
from netra_sim.simulation.system import system_settings
from netra_sim.studies.objectives import ObjectiveResult, quantile, save_results
from netra_sim.tables import Html, badge, checks_table, command_line, table

EXAMPLES = CHECKOUT / "examples"

_SLOWER = 10.0
_LEFT_SHARE = 0.5


class SystemParameters(NotebookParameters, frozen=True, kw_only=True):
    """The parameters of the notebook about a system under test."""

    scenario: Annotated[
        str, Meta(description="a TOML file with a system under test, the name of an example, or a library scenario")
    ] = "fastapi-agents"
    app: Annotated[
        str, Meta(description="application MODULE:APP instead of the scenario's; \"\" for the scenario's")
    ] = ""
    client: Annotated[
        str, Meta(description="kind of client, such as ag-ui, instead of the scenario's; \"\" for the scenario's")
    ] = ""
    users: Annotated[int, Meta(description="simulated users; 0 for the scenario's number", ge=0, le=100_000)] = 0
    settings: Annotated[
        str, Meta(description="other settings of the scenario, PATH=VALUE, separated by semicolons")
    ] = ""

    def __post_init__(self) -> None:
        """Refuse a scenario without a system under test, and settings that it does not take."""
        chosen_system(self)


class SystemTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A system under test under one kind of trouble.

    Attributes:
        trouble: what went wrong on purpose, in a few words.
        trial: the scenario, the seed and the results of the checks.
        history: what happened.
        command: repeats the simulation.
    """

    trouble: str
    trial: Trial
    history: History
    command: str


class SystemTrials(msgspec.Struct, frozen=True, kw_only=True):
    """A system under test under several kinds of trouble; a notebook shows them as a table.

    Attributes:
        origin: the file of the scenario, as the commands name it.
        folder: the commands run in this folder.
        trials: as it is, then each kind of trouble.
    """

    origin: str
    folder: Path
    trials: tuple[SystemTrial, ...]

    @property
    def as_it_is(self) -> SystemTrial:
        """The trial without any trouble but the scenario's own."""
        return self.trials[0]

    @property
    def left(self) -> SystemTrial:
        """The trial in which users leave in the middle."""
        return self.trials[-1]

    @property
    def histories(self) -> dict[str, History]:
        """The histories by trouble."""
        return {one.trouble: one.history for one in self.trials}

    def latency(self, measure: Literal["content", "last"]) -> Picture:
        """Distributions of the time to the first piece, or to the end, of the answers under each trouble."""
        shown = Measure.FIRST_CONTENT if measure == "content" else Measure.LAST_EVENT
        return latency_ecdfs(self.histories, objective_for(self.as_it_is.history, shown), shown)

    def each(self, picture: Callable[[History, float], Picture]) -> Html:
        """One picture for each trouble, one below the other.

        Args:
            picture: draws a history with the objective for the last event.
        """
        figure = Html("<h3>{}</h3>{}")
        drawn = ((one.trouble, picture(one.history, one.history.objectives().response_p95)) for one in self.trials)
        return Html().join(figure.format(name, each._repr_html_()) for name, each in drawn)

    def checks(self) -> Html:
        """What the checks say about the system as it is."""
        one = self.as_it_is
        return system_checks_table("The system as it is", one.history, one.trial.results, one.command)

    def _repr_html_(self) -> str:
        header = ("Trouble", "Answered", "First piece, p95", "Last event, p95", "Checks", f"Reproduce in {self.folder}")
        return table("The same users and the same seed under each trouble", header, map(_row, self.trials))


def try_system(parameters: SystemParameters) -> SystemTrials:
    """Simulate and check the system of the parameters under each trouble, one after the other in this process.

    Raises:
        ParameterError: see `SystemParameters`.
        SystemFailedError: the system cannot be imported, or does not start.
    """
    path, scenario = chosen_system(parameters)
    folder = folder_of(path, scenario)
    origin = str(path.relative_to(folder)) if path.is_relative_to(folder) else parameters.scenario
    trials: list[SystemTrial] = []
    with chdir(folder):
        original = find_scenario(parameters.scenario) if path == Path() else Scenario.load(path)

        def run(trouble: str, varied: Scenario) -> None:
            history = simulate(varied, parameters.seed)
            results = checked(history, varied)
            trial = Trial(scenario=varied, seed=parameters.seed, digest=history.digest(), results=results)
            line = replay_line(origin, original, trial)
            trials.append(SystemTrial(trouble=trouble, trial=trial, history=history, command=line))

        run("as it is", scenario)
        for trouble, varied in troubles(scenario, trials[0].history):
            run(trouble, varied)
    save_results(parameters.output, _results(parameters, trials[0]))
    return SystemTrials(origin=origin, folder=folder, trials=tuple(trials))


def troubles(scenario: Scenario, as_it_was: History) -> Iterator[tuple[str, Scenario]]:
    """The scenario with one more trouble each, in the middle third of the time in which requests are due."""
    last = float(as_it_was.frame(Kind.REQUESTED)["due"].max())
    middle: dict[str, Any] = {"at": round(last / 3, 1), "lasts": max(round(last / 3, 1), 0.1)}
    faults = msgspec.to_builtins(scenario.faults)
    for name in scenario.stand_ins:
        slow = {"kind": "service-worse", "service": name, "slower": _SLOWER} | middle
        yield f"{name} {_SLOWER:g} x slower", scenario.with_settings({"faults": [*faults, slow]})
    for trouble, fault in (
        ("a process killed", {"kind": "process-killed"}),
        ("half of the users offline", {"kind": "disconnect", "share": 0.5}),
    ):
        yield trouble, scenario.with_settings({"faults": [*faults, fault | middle]})
    yield "half of the runs left", scenario.with_settings({"client.leave_share": _LEFT_SHARE})


def chosen_system(parameters: SystemParameters) -> tuple[Path, Scenario]:
    """The file of the scenario of the parameters, `Path()` for one of the library, and the scenario with the settings.

    Raises:
        ScenarioError: there is no such scenario, it has no system under test, or it does not take a setting.
    """
    path, scenario = _found(parameters.scenario)
    settings = system_settings(scenario.system, parameters.app, parameters.client)
    if parameters.users:
        settings["users"] = parameters.users
    settings |= dict(map(parse_setting, filter(None, map(str.strip, parameters.settings.split(";")))))
    chosen = scenario.with_settings(settings)
    if chosen.system is UNSET:
        raise ScenarioError(
            f"the scenario {parameters.scenario} has no system under test; give one with a table [system], or app and client"
        )
    return path, chosen


def example_systems() -> dict[str, Path]:
    """The examples with a system under test: the files of their scenarios, by the scenarios' names."""
    found = {}
    for path in sorted(EXAMPLES.glob("*/*.toml")):
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        if "system" in fields and "name" in fields:
            found[str(fields["name"])] = path
    return found


def folder_of(path: Path, scenario: Scenario) -> Path:
    """The folder in which the scenario's system is found: `System.folder` is relative to it.

    That is the working directory, the folder of the scenario's file, or the nearest folder above it. The working directory
    counts if the modules are in none of them, as they may be installed.
    """
    assert scenario.system is not UNSET  # noqa: S101 - the caller has looked
    module = (scenario.system.app or scenario.system.main).partition(":")[0].replace(".", "/")
    here = Path.cwd()
    for folder in (here, *(path.parents if path != Path() else ())):
        place = folder / scenario.system.folder / module
        if place.is_dir() or place.with_name(f"{place.name}.py").is_file():
            return folder
    return here


def system_checks_table(title: str, history: History, results: Sequence[CheckResult], command: str = "") -> Html:
    """The checks that could judge the history of a system, the failed ones first, and why the others could not."""
    order = ("failed", "inconclusive", "passed")
    judged = sorted((one for one in results if one.state in order), key=lambda one: order.index(one.state))
    shown = checks_table(title, judged, command, history.objectives())
    reasons = why_not_judged(history, results)
    rows = [(one.question, reasons[one.check]) for one in results if one.check in reasons]
    if not rows:
        return shown
    caption = f"{len(rows)} checks could not judge, as this system shows nothing of what they look at"
    more = Html("<details><summary>{}</summary>{}</details>")
    return shown + more.format(caption, table(caption, ("Question", "Why not"), rows))


def why_not_judged(history: History, results: Sequence[CheckResult]) -> dict[str, str]:
    """For each check that does not apply, the reason in words."""
    records = Records(history)
    idle = [one for one in results if one.state == "not applicable"]
    return {one.check: one.inconclusive or _missing(lacks(records, one.check), one) for one in idle}


def _missing(lack: str, result: CheckResult) -> str:
    return f"it lacks {lack}" if lack else f"there were no {result.unit}"


def objective_for(history: History, measure: Measure) -> float:
    """The scenario's objective for a measure of requests, in seconds."""
    objectives = history.objectives()
    if measure is Measure.LAST_EVENT:
        return objectives.response_p95
    if measure is Measure.FIRST_CONTENT and objectives.first_content_p95 is not UNSET:
        return objectives.first_content_p95
    return objectives.first_event_p95


def allowed_after_leaving(history: History) -> float:
    """Seconds for which work may go on after the last reader has left."""
    given = history.objectives().work_after_leaving
    return WORK_AFTER_LEAVING if given is UNSET else given


def request_figures(history: History) -> dict[str, float]:
    """How many requests there were, the share that was answered, and the p95 of first piece and last event, in seconds."""
    last = request_latencies(history, keep="last")
    answered = last[last["event"] == "agent_completed"]["run"].nunique()
    requests = history.frame(Kind.REQUESTED)["run"].nunique()
    return {
        "requests": requests,
        "answered": answered,
        "first": quantile(request_latencies(history, keep="content")["latency"].to_numpy(float)),
        "last": quantile(last["latency"].to_numpy(float)),
    }


def _found(name: str) -> tuple[Path, Scenario]:
    examples = example_systems()
    if name in examples:
        return examples[name], Scenario.load(examples[name])
    if name.endswith(".toml"):
        return Path(name).resolve(), find_scenario(name)
    if name in scenario_names():
        return Path(), find_scenario(name)
    there_are = ", ".join(examples)
    raise ScenarioError(
        f"there is no example {name!r}; there are {there_are}; the name of your own file ends with .toml"
    )


def _results(parameters: SystemParameters, one: SystemTrial) -> list[ObjectiveResult]:
    """One result for each check that could judge the system as it is, for whoever has chosen the system."""
    defaults = type(parameters)()
    chosen = (
        name
        for name in ("scenario", "app", "client", "settings")
        if getattr(parameters, name) != getattr(defaults, name)
    )
    parameter = next(chosen, "scenario")
    unexpected = set(one.trial.failed_checks)
    return [
        ObjectiveResult(
            parameter=parameter,
            where=f"{one.trial.scenario.name}, {result.check}",
            measured=result.findings[0].message if result.findings else f"{result.looked_at:,} {result.unit}",
            state="missed" if result.check in unexpected else "met",
        )
        for result in one.trial.results
        if result.state in ("passed", "failed")
    ]


def _row(one: SystemTrial) -> tuple[str, ...]:
    figures = request_figures(one.history)
    failed = one.trial.failed
    return (
        one.trouble,
        f"{figures['answered']:,.0f} of {figures['requests']:,.0f}",
        _ms(figures["first"]),
        _ms(figures["last"]),
        badge("failed") + f" {', '.join(failed)}" if failed else badge("passed"),
        command_line(one.command),
    )


def _ms(seconds: float) -> str:
    return "none arrived" if pd.isna(seconds) else f"{seconds * 1000:,.0f} ms"
