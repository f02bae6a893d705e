"""The evidence for the report: checked runs, conformance checks, the audit, and the plan's test files."""

from pathlib import Path

import msgspec
from msgspec.structs import replace

from netra_sim.audit import AuditReport, as_results, audit, config_of
from netra_sim.checks import CheckResult, check
from netra_sim.defects import (
    Detection,
    SelfProof,
    conformance_checks,
    detect,
    recorded_on_windows,
    runtime_as_certified,
    self_proofs,
)
from netra_sim.history import History, Objectives
from netra_sim.loading import Load, load
from netra_sim.runtime import run
from netra_sim.simulation import find_scenario, simulate
from netra_sim.tables import checks_table
from netra_sim.verdict.claim_tables import proofs_table
from netra_sim.verdict.claims import Source
from netra_sim.verdict.parameters import ValidationParameters
from netra_sim.verdict.plan_tests import BROKEN_BY, prove_plan_tests, run_plan_tests
from netra_sim.version import CHECKOUT, PACKAGE


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One source's evidence.

    Attributes:
        source: the name of the source that it comes from.
        label: the source for readers.
        results: of the checks.
        command: what makes it again.
        history: the recorded run, or None where there is none.
        objectives: that it was held against, or None where there are none.
    """

    source: str
    label: str
    results: list[CheckResult]
    command: str
    history: History | None = None
    objectives: Objectives | None = None

    def _repr_html_(self) -> str:
        return checks_table(self.label, self.results, self.command, self.objectives)


def _evidence(
    source: Source,
    results: list[CheckResult],
    command: str,
    history: History | None = None,
    objectives: Objectives | None = None,
) -> Evidence:
    return Evidence(
        source=source, label=source.label, results=results, command=command, history=history, objectives=objectives
    )


def simulated_evidence(parameters: ValidationParameters) -> Evidence:
    """Simulate the users of the parameters."""
    return _simulated(Source.SIMULATED, "steady-load", parameters, parameters.users, parameters.objectives)


def windows_clock_evidence(parameters: ValidationParameters) -> Evidence:
    """Simulate users on a clock that ticks as coarsely as Windows'."""
    return _simulated(
        Source.WINDOWS_CLOCK, "windows-clock", parameters, parameters.windows_users, parameters.objectives
    )


def rollback_drill(parameters: ValidationParameters) -> Evidence:
    """Roll a new version out under load, and back; held against the drill's own objectives."""
    return _simulated(Source.ROLLBACK, "rollback-drill", parameters)


def limit_drill(parameters: ValidationParameters) -> Evidence:
    """Have every user ask for as many runs at once as the limit allows, with several tabs open."""
    return _simulated(Source.LIMITS, "many-tabs", parameters)


def server_evidence(parameters: ValidationParameters) -> Evidence:
    """Have real clients ask a real server, on this machine, now."""
    plan = Load(users=parameters.server_users, seed=parameters.seed)
    history = run(load(plan, objectives=parameters.objectives))
    command = f"netra-sim load --users {plan.users} --seed {plan.seed}"
    command += _others("--objective ", parameters.objectives, Objectives())
    return _judged(Source.SERVER, history, command, parameters, parameters.objectives)


def conformance_evidence(_: ValidationParameters | None = None) -> Evidence:
    """Run the conformance checks of the runtime, and hold it against what it was certified for."""
    return _evidence(
        Source.CONFORMANCE,
        [*conformance_checks(), runtime_as_certified()],
        "netra-sim defects --run",
    )


def run_detection(parameters: ValidationParameters) -> Detection:
    """Try every check against every defect and against the clean runtime."""
    return detect(range(parameters.seed, parameters.seed + parameters.detection_seeds))


def audit_package() -> AuditReport:
    """The audit of this package's source, by the configuration of its project."""
    if PACKAGE.parent == CHECKOUT:
        return audit(PACKAGE)
    config = config_of(CHECKOUT / "pyproject.toml")
    exclude = [path.removeprefix(f"{PACKAGE.name}/") for path in config.exclude]
    return audit(PACKAGE, replace(config, exclude=(*exclude, CHECKOUT.name)))


def audit_evidence(_: ValidationParameters | None = None) -> Evidence:
    """Audit this package's source."""
    return _evidence(
        Source.AUDIT,
        as_results(audit_package()),
        "netra-sim audit netra_sim",
    )


def plan_test_evidence(_: ValidationParameters | None = None) -> Evidence:
    """Run the test files that the plan names, each as one check; none where there is no checkout."""
    command = " ".join(["pytest", *(f"tests/{name}" for name in BROKEN_BY)])
    return _evidence(Source.TESTS, run_plan_tests(), command)


def windows_evidence(_: ValidationParameters | None = None) -> Evidence:
    """What was recorded on Windows CPython, as far as it speaks of this code."""
    return _evidence(
        Source.WINDOWS,
        recorded_on_windows(),
        "python .ci/windows_lane.py",
    )


class Proofs(msgspec.Struct, frozen=True):
    """What every check, rule and test file of the plan says of its own planted defect; a notebook shows it as a table."""

    proofs: tuple[SelfProof, ...]

    @property
    def others(self) -> list[SelfProof]:
        """Those of checks that read the reference histories otherwise than when they were certified."""
        return [one for one in self.proofs if one.misread]

    def _repr_html_(self) -> str:
        return proofs_table(self.proofs)


def proofs() -> Proofs:
    """Hold every check, rule and test file of the plan against its own planted defect, and against the same without it."""
    return Proofs((*self_proofs(), *prove_plan_tests()))


def _simulated(
    source: Source,
    scenario: str,
    parameters: ValidationParameters,
    users: int | None = None,
    objectives: Objectives | None = None,
) -> Evidence:
    settings = {"platform.step_cost": parameters.step_cost} | ({} if users is None else {"users": users})
    chosen = find_scenario(scenario).with_settings(settings)
    command = f"netra-sim simulate {scenario} --users {chosen.users} --seed {parameters.seed}"
    command += f" --set platform.step_cost={parameters.step_cost}"
    held = objectives or chosen.objectives
    command += _others("--set objectives.", held, chosen.objectives)
    return _judged(source, simulate(chosen, parameters.seed), command, parameters, held)


def _others(option: str, held: Objectives, usual: Objectives) -> str:
    """The options of a command for the objectives that are not the usual ones."""
    own = msgspec.to_builtins(usual)
    values = msgspec.to_builtins(held).items()
    return "".join(f" {option}{name}={value}" for name, value in values if value != own[name])


def _judged(
    source: Source,
    history: History,
    command: str,
    parameters: ValidationParameters,
    objectives: Objectives,
) -> Evidence:
    if parameters.output:
        folder = Path(parameters.output)
        folder.mkdir(parents=True, exist_ok=True)
        history.save(folder / f"{source}.history.parquet")
    results = check(history, objectives)
    return _evidence(source, results, command, history=history, objectives=objectives)
