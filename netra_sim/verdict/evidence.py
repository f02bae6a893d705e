"""Gathers the evidence: checked runs, conformance checks, the audit, and the plan's test files."""

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
from netra_sim.files import save_json
from netra_sim.fingerprint import CHECKOUT, PACKAGE
from netra_sim.history import History, Objectives
from netra_sim.loading import Load, load
from netra_sim.runtime import run
from netra_sim.simulation import find_scenario, simulate
from netra_sim.tables import checks_table
from netra_sim.user_cache import cache_folder
from netra_sim.verdict.claim_tables import proofs_table
from netra_sim.verdict.claims import Source
from netra_sim.verdict.parameters import ValidationParameters
from netra_sim.verdict.plan_tests import BROKEN_BY, prove_plan_tests, run_plan_tests

AUDIT_FILE = "audit.json"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence of one source.

    Attributes:
        source: the name of the source.
        label: the name of the source for readers.
        results: the results of the checks.
        command: the command that repeats it.
        history: the recorded run, or None.
        objectives: the objectives of the checks, or None.
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
    """Simulate the parameter `users`."""
    return _simulated(Source.SIMULATED, "steady-load", parameters, parameters.users, parameters.objectives)


def windows_clock_evidence(parameters: ValidationParameters) -> Evidence:
    """Simulate users on a clock as coarse as Windows'."""
    return _simulated(
        Source.WINDOWS_CLOCK, "windows-clock", parameters, parameters.windows_users, parameters.objectives
    )


def rollback_drill(parameters: ValidationParameters) -> Evidence:
    """Simulate the roll-out of a new version under load and its rollback, with the drill's own objectives."""
    return _simulated(Source.ROLLBACK, "rollback-drill", parameters)


def limit_drill(parameters: ValidationParameters) -> Evidence:
    """Simulate users who ask for as many concurrent runs as the limit allows, with several tabs open."""
    return _simulated(Source.LIMITS, "many-tabs", parameters)


def server_evidence(parameters: ValidationParameters) -> Evidence:
    """Run real clients against a real server on this machine."""
    plan = Load(users=parameters.server_users, seed=parameters.seed)
    history = run(load(plan, objectives=parameters.objectives))
    command = f"netra-sim load --users {plan.users} --seed {plan.seed}"
    command += _others("--objective ", parameters.objectives, Objectives())
    return _judged(Source.SERVER, history, command, parameters, parameters.objectives)


def conformance_evidence(_: ValidationParameters | None = None) -> Evidence:
    """Run the conformance checks of the runtime, and compare the runtime with its certificate."""
    return _evidence(
        Source.CONFORMANCE,
        [*conformance_checks(), runtime_as_certified()],
        "netra-sim defects --run",
    )


def run_detection(parameters: ValidationParameters) -> Detection:
    """Run every check against every defect and against the clean runtime.

    It reuses the outcomes of an earlier run of the same code; `Detection.origin` says how many.
    """
    return detect(range(parameters.seed, parameters.seed + parameters.detection_seeds), cache=cache_folder())


def saved_audit(folder: Path) -> AuditReport:
    """The audit that the validation in this folder saved, or a new one if it has not come that far."""
    try:
        return msgspec.json.decode((folder / AUDIT_FILE).read_bytes(), type=AuditReport)
    except (OSError, msgspec.DecodeError):
        return audit_package()


def audit_package() -> AuditReport:
    """Audit this package's source, with the configuration of its project."""
    if PACKAGE.parent == CHECKOUT:
        return audit(PACKAGE, cache=cache_folder())
    config = config_of(CHECKOUT / "pyproject.toml")
    exclude = [path.removeprefix(f"{PACKAGE.name}/") for path in config.exclude]
    return audit(PACKAGE, replace(config, exclude=(*exclude, CHECKOUT.name)), cache=cache_folder())


def audit_evidence(parameters: ValidationParameters | None = None) -> Evidence:
    """The audit of this package's source, as evidence. With an ``output`` folder, save it there for `saved_audit`."""
    found = audit_package()
    if parameters is not None and parameters.output:
        save_json(Path(parameters.output) / AUDIT_FILE, found)
    return _evidence(
        Source.AUDIT,
        as_results(found),
        "netra-sim audit netra_sim",
    )


def plan_test_evidence(_: ValidationParameters | None = None) -> Evidence:
    """Run the test files that the plan names, each as one check; no results if the files are missing."""
    command = " ".join(["pytest", *(f"tests/{name}" for name in BROKEN_BY)])
    return _evidence(Source.TESTS, run_plan_tests(), command)


def windows_evidence(_: ValidationParameters | None = None) -> Evidence:
    """The checks that were recorded on Windows CPython, as far as they apply to this code."""
    return _evidence(
        Source.WINDOWS,
        recorded_on_windows(),
        "python .ci/windows_lane.py",
    )


class Proofs(msgspec.Struct, frozen=True):
    """The self-proofs of all checks, audit rules and test files of the plan; a notebook shows them as a table."""

    proofs: tuple[SelfProof, ...]

    @property
    def others(self) -> list[SelfProof]:
        """The self-proofs of checks that read the reference histories differently from their certificate."""
        return [one for one in self.proofs if one.misread]

    def _repr_html_(self) -> str:
        return proofs_table(self.proofs)


def proofs() -> Proofs:
    """Run every check, audit rule and test file of the plan on its planted defect, most of them also without it."""
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
    """The options for objectives that differ from the usual ones."""
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
