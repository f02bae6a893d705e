"""`run_gate`: a system under test with several seeds, checked, and a folder with what CI and people want to know of it."""

import datetime
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from netra_sim.exit_code import ExitCode
from netra_sim.exploration import Trial, checked, replay_line
from netra_sim.files import WriteError, naming, save_json, save_text
from netra_sim.history import History
from netra_sim.simulation import Scenario, simulate
from netra_sim.site.folder import MANIFEST, FileDigest, digests, move_into_place, room_inside
from netra_sim.site.gate_page import GateOutcome, SeedRun, gate_page
from netra_sim.site.gate_sarif import gate_sarif
from netra_sim.site.gate_summaries import gate_junit, gate_markdown
from netra_sim.site.site import INDEX
from netra_sim.site.surroundings import made_here, revision_of
from netra_sim.studies.systems import request_figures
from netra_sim.verdict.verdict import RUNS_FOLDER, VERDICT_FILE
from netra_sim.version import __version__


class GateVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``verdict.json``.

    Attributes:
        decision: "FAIL" if a check that should pass failed with a seed.
        headline: the decision in one line.
        reasons: the first finding of each check that failed unexpectedly, and how often it failed.
        scenario: the scenario with all its settings.
        command: the command that makes the same folder.
        seeds: what happened with each seed.
    """

    decision: Literal["PASS", "FAIL"]
    headline: str
    reasons: list[str]
    scenario: Any
    command: str
    seeds: list[SeedRun]
    version: str
    python: str
    platform: str


class _Manifest(msgspec.Struct, frozen=True):
    """When the folder was made, and size and digest of each other file; the next gate removes what is named here."""

    complete: bool
    made: str
    files: dict[str, FileDigest]


class GateResult(msgspec.Struct, frozen=True):
    """A finished gate: the exit code, the page, and what was found.

    ``not_written`` says why the folder could not be written; an earlier gate is in it then.
    """

    code: ExitCode
    page: Path
    outcome: GateOutcome
    not_written: WriteError | None = None


def run_gate(
    origin: str,
    original: Scenario,
    scenario: Scenario,
    seeds: Sequence[int],
    folder: Path,
    *,
    command: str,
    search: str,
    on_answer: Callable[[], None] = lambda: None,
    on_seed: Callable[[int], None] = lambda _: None,
) -> GateResult:
    """Simulate a system with each seed in this process, check, and write the folder.

    The new files replace those of an earlier gate when all of them are complete; other files in the folder stay.

    Args:
        origin: the name or the file of the scenario, for the commands that repeat a simulation.
        original: the scenario as it is there.
        scenario: the scenario to simulate, which has a system under test.
        seeds: of the simulations.
        folder: where the files go.
        command: makes the same folder.
        search: searches more seeds, and shrinks a failure.
        on_answer: called at the end of every request.
        on_seed: called with a seed when its simulation begins.

    Raises:
        SystemFailedError: the system cannot be imported, or does not start; an earlier gate is unchanged.
        OSError: the folder cannot be made. One that cannot be written later, as of a full disk, is in the result.
    """
    given, folder = folder, folder.resolve()
    not_written: WriteError | None = None
    with room_inside(folder, RUNS_FOLDER) as room:
        runs: list[SeedRun] = []
        shown: History | None = None
        was_failure_shown = False
        for seed in seeds:
            on_seed(seed)
            history = simulate(scenario, seed, on_answer=on_answer)
            try:
                with naming(given):
                    history.save(room / f"history-{seed}.parquet")
            except WriteError as error:
                not_written = error
            run = _seed_run(origin, original, scenario, seed, history)
            runs.append(run)
            if shown is None or (run.failed and not was_failure_shown):
                shown, was_failure_shown = history, bool(run.failed)
        assert shown is not None  # noqa: S101 - there is at least one seed
        outcome = GateOutcome(scenario=scenario, runs=runs, shown=shown, command=command, search=search)
        if not_written is None:
            try:
                with naming(given):
                    _write(outcome, origin, room)
                    move_into_place(room, folder, keep_earlier=False)
            except WriteError as error:
                not_written = error
    code = ExitCode.NO_GO if outcome.failed else ExitCode.GO
    return GateResult(code, folder / INDEX, outcome, not_written)


def _seed_run(origin: str, original: Scenario, scenario: Scenario, seed: int, history: History) -> SeedRun:
    results = checked(history, scenario)
    trial = Trial(scenario=scenario, seed=seed, digest=history.digest(), results=results)
    return SeedRun(
        seed=seed,
        digest=trial.digest,
        failed=list(trial.failed_checks),
        figures=request_figures(history),
        command=replay_line(origin, original, trial),
        results=list(results),
    )


def _write(outcome: GateOutcome, origin: str, room: Path) -> None:
    verdict = GateVerdict(
        decision=outcome.decision,
        headline=outcome.headline,
        reasons=outcome.reasons,
        scenario=msgspec.to_builtins(outcome.scenario),
        command=outcome.command,
        seeds=outcome.runs,
        version=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
    )
    save_json(room / VERDICT_FILE, verdict)
    texts = {
        "summary.md": gate_markdown(outcome, made_here(revision_of(Path()))),
        "junit.xml": gate_junit(outcome),
        "results.sarif": gate_sarif(outcome, origin),
        INDEX: gate_page(outcome),
    }
    for name, text in texts.items():
        save_text(room / name, text)
    made = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    save_json(room / MANIFEST, _Manifest(True, made, digests(room)))
