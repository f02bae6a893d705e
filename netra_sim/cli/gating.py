"""`netra-sim gate`: a system under test with several seeds, and a folder for CI."""

import shlex
from pathlib import Path

import click
from msgspec import UNSET

from netra_sim.cli.common import NEW_FOLDER
from netra_sim.cli.printing import Printer, format_option
from netra_sim.cli.progress import progress
from netra_sim.cli.scenarios import check_option, chosen_scenario, refusing, system_options
from netra_sim.formats import check_facts
from netra_sim.simulation import find_scenario


@click.command("gate")
@click.argument("scenario")
@click.option("--users", type=click.IntRange(min=1), help="Users, instead of the scenario's number.")
@click.option("--seeds", type=click.IntRange(min=1, max=10_000), default=5, show_default=True, help="Number of seeds.")
@click.option("--seed", "first_seed", type=int, default=1, show_default=True, help="The first seed.")
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Another value for a setting of the scenario."
)
@system_options
@check_option
@click.option("-o", "--output", type=NEW_FOLDER, default="gate", show_default=True, help="Folder for the files.")
@format_option
def gate_command(
    scenario: str,
    users: int | None,
    seeds: int,
    first_seed: int,
    settings: tuple[str, ...],
    app: str | None,
    client: str | None,
    own_checks: tuple[str, ...],
    output: Path,
    printer: Printer,
) -> None:
    """Simulate the system under test of SCENARIO with several seeds, check it, and write a folder for CI.

    The folder has a page, JUnit XML, SARIF, a Markdown summary, verdict.json and the histories. The command exits with 1
    if a check fails that the scenario does not expect to fail.
    """
    # Imported here: matplotlib takes a second to import.
    from netra_sim.site.gate import run_gate
    from netra_sim.site.gate_summaries import gate_cases

    chosen = chosen_scenario(scenario, settings, users, app, client, own_checks=own_checks)
    if chosen.system is UNSET:
        raise click.UsageError(
            f"the scenario {scenario} has no system under test; give it a table [system], or give --app and --client"
        )
    given = {"--users": users, "--app": app, "--client": client}
    words = [scenario, *(word for name, value in given.items() if value for word in (name, str(value)))]
    words += [word for text in settings for word in ("--set", text)]
    words += [word for place in own_checks for word in ("--check", place)]
    with refusing(), progress(chosen.requests * seeds, "simulated requests") as shown:
        made = run_gate(
            scenario,
            find_scenario(scenario),
            chosen,
            range(first_seed, first_seed + seeds),
            output,
            command=shlex.join(["netra-sim", "gate", *words, "--seeds", str(seeds), "--seed", str(first_seed)]),
            search=shlex.join(["netra-sim", "explore", *words]),
            on_answer=shown,
            on_seed=lambda seed: shown.now(f"seed {seed}"),
        )
    found = made.outcome
    if printer.is_text:
        printer.checks(f"{len(found.runs)} seeds", found.merged, more=f"{made.page} says what each lacks")
    for suite, cases in gate_cases(found).items():
        printer.cases(suite, cases)
    for line in (found.headline, *(f"  {reason}" for reason in found.reasons)):
        printer.say(line)
    if made.not_written is None:
        printer.say(f"Page: {made.page}")
    facts = {"decision": found.decision, "headline": found.headline, "reasons": found.reasons, "page": str(made.page)}
    of_seeds = [{"seed": run.seed, "failed": run.failed, "checks": check_facts(run.results)} for run in found.runs]
    printer.end(made.code, facts | {"scenario": found.scenario, "seeds": of_seeds}, made.not_written)
