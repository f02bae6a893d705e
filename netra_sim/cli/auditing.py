"""`netra-sim audit`: source code that goes round the factory, the bridge or the Windows-safe layer."""

import sys
from pathlib import Path

import click

from netra_sim.audit import FORMATS, ConfigError, audit, describe_rules
from netra_sim.cli.common import NEW_FILE, write_or_print, wrong_usage
from netra_sim.exit_code import ExitCode
from netra_sim.user_cache import cache_folder


@click.command("audit")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option("--config", type=click.Path(path_type=Path), help="A pyproject.toml, instead of the nearest one.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; by default all cores for a large tree.")
@click.option(
    "--cache/--no-cache", default=True, show_default=True, help="Keep facts of unchanged files between audits."
)
@click.option("--rules", is_flag=True, help="List the rules, with the reason for each and what to do.")
@click.option("-o", "--output", type=NEW_FILE, help="Write to this file instead of printing.")
def audit_command(
    path: Path | None, form: str, config: Path | None, jobs: int | None, cache: bool, rules: bool, output: Path | None
) -> None:
    """Find code at PATH that goes round the factory, the bridge or the Windows-safe layer, without importing it.

    The table [tool.netra-sim.audit] of the nearest pyproject.toml says which module plays which part.
    """
    if rules:
        click.echo(describe_rules(), nl=False)
        return
    if path is None:
        raise click.UsageError("name a folder or a Python file, or ask for --rules")
    with wrong_usage(ConfigError):
        found = audit(path, jobs=jobs, config_file=config, cache=cache_folder() if cache else None)
    write_or_print(FORMATS[form](found), output)
    sys.exit(ExitCode.NO_GO if found.findings else ExitCode.GO)
