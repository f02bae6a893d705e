"""The outcome of a gate for code scanning: failed checks at the scenario's file, and the audit of the system's source."""

from pathlib import Path

from msgspec import UNSET

from netra_sim.audit import AuditReport, ConfigError, audit, sarif_results, sarif_rules
from netra_sim.formats import SarifResult, SarifRule, sarif
from netra_sim.simulation import Scenario
from netra_sim.site.gate_page import GateOutcome


def gate_sarif(outcome: GateOutcome, origin: str) -> str:
    """SARIF: each check that failed unexpectedly, and as warnings what `netra-sim audit` finds in the system's source.

    The audit changes no decision. It reads the package or the file that the scenario names, if it is in the system's folder.

    Args:
        outcome: the outcome.
        origin: the name or the file of the scenario.
    """
    report, note = _audited(outcome.scenario)
    file = _from_here(Path(origin)) if Path(origin).is_file() else ""
    failed = [
        SarifResult(rule=name, message=f"{reason}. Repeat it with: {outcome.repeats[0].command}", file=file)
        for name, reason in zip(outcome.failed, outcome.reasons, strict=True)
    ]
    checks = [SarifRule(id=one.check, name=one.check, question=one.question) for one in outcome.merged]
    return sarif(
        [*checks, *sarif_rules()],
        [*failed, *([] if report is None else sarif_results(report, level="warning"))],
        occasion=outcome.headline,
        notes=[note] if note else [],
    )


def _audited(scenario: Scenario) -> tuple[AuditReport | None, str]:
    """The audit of the system's source, or why there is none."""
    system = scenario.system
    assert system is not UNSET  # noqa: S101 - a gate refuses scenarios without one
    module = (system.app or system.main).partition(":")[0]
    package = Path(system.folder) / module.partition(".")[0]
    source = package if package.is_dir() else package.with_name(f"{package.name}.py")
    if not source.exists():
        return None, f"The audit has not read {module}: it is not in {system.folder}."
    try:
        return audit(_from_here(source)), ""
    except ConfigError as error:
        return None, f"The audit has not read {module}: {error}."


def _from_here(path: Path) -> str:
    """A path from the working directory, which code scanning takes for the root of the repository."""
    here, there = Path.cwd().resolve(), path.resolve()
    return (there.relative_to(here) if there.is_relative_to(here) else path).as_posix()
