"""`netra-sim check`: a saved history, or the event log of another system."""

import functools
from pathlib import Path

import click

from netra_sim.checks import Records, all_checks, lacks
from netra_sim.cli.common import wrong_usage
from netra_sim.cli.printing import Printer, format_option
from netra_sim.cli.scenarios import check_option, history_facts, refusing, results_of, run_page_option, write_run_page
from netra_sim.exit_code import ExitCode
from netra_sim.history import History, Log, LogMapping, TimeUnit, is_event_log, read_log


@click.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--map", "fields", multiple=True, metavar="FIELD=NAME", help="What a field is called in FILE; repeatable."
)
@click.option(
    "--map-value", "words", multiple=True, metavar="FIELD:THEIRS=OURS", help="What a value in FILE means; repeatable."
)
@click.option("--time-unit", type=click.Choice(["s", "ms", "us", "ns"]), help="Unit of numeric times.  [default: s]")
@click.option(
    "--unreadable-share",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Largest share of unreadable lines; with more, the log counts as not judged.",
)
@click.option(
    "--mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A TOML file with these options."
)
@check_option
@run_page_option
@format_option
def check_command(
    file: Path,
    fields: tuple[str, ...],
    words: tuple[str, ...],
    time_unit: TimeUnit | None,
    unreadable_share: float,
    mapping: Path | None,
    own_checks: tuple[str, ...],
    page: Path | None,
    printer: Printer,
) -> None:
    """Check FILE: a saved history, or the event log of any system, as JSON lines or Parquet.

    docs/event-log.md says what a log may hold. The command names unreadable lines and skips them. It exits with 2 if no
    check can judge the log, or if too many lines are unreadable.
    """
    is_mapped = bool(fields or words or time_unit or mapping)
    if is_mapped and not is_event_log(file):
        raise click.UsageError(f"{file} is a history of our own, which takes no mapping; leave the options out")
    with refusing():
        chosen_checks = all_checks(own_checks)
    lines: list[int] = []
    unreadable = 0.0
    with wrong_usage(ValueError):
        if is_event_log(file):
            chosen = LogMapping() if mapping is None else LogMapping.load(mapping)
            log = read_log(file, chosen.and_also(dict(map(_pair, fields)), _words(words), time_unit))
            history, lines = log.history, log.lines.tolist()
            _tell_reading(log, printer)
            unreadable = log.malformed_lines / (log.malformed_lines + len(history) + sum(log.other_kinds.values()))
        else:
            history = History.load(file)
    results, broke = results_of(history, chosen_checks)
    records = Records(history)
    missing = functools.partial(lacks, records)
    is_foreign = is_event_log(file) or history.meta.get("source") == "system"
    lacking = {one.check: f"it lacks {missing(one.check)}" for one in results if is_foreign and missing(one.check)}
    printer.checks(file.name, results, file=str(file) if lines else "", lines=lines, why_not=lacking)
    printer.broken(file.name, broke)
    if broke is None and not any(result.state in ("passed", "failed") for result in results):
        first = (
            f"for {name} it lacks {missing(name)}" for name in ("cross-user-isolation", "delivery") if missing(name)
        )
        raise click.UsageError(f"no check could judge {file}: {', and '.join(first) or 'there is too little in it'}")
    no_page = write_run_page(page, history, results, file.name, printer)
    has_failed = any(result.state == "failed" for result in results)
    if broke is None and not has_failed and unreadable > unreadable_share:
        raise click.UsageError(
            f"{unreadable:.1%} of the lines of {file} cannot be read, and {unreadable_share:.1%} may be; mend the log or "
            "the mapping, or allow more with --unreadable-share"
        )
    facts = history_facts(history, results) | {"file": str(file), "unreadable_share": unreadable}
    printer.end(ExitCode.NO_GO if has_failed else ExitCode.GO, facts, broke or no_page)


def _tell_reading(log: Log, printer: Printer) -> None:
    for line, reason in log.malformed:
        printer.say(f"line {line} {reason}")
    if log.malformed_lines:
        printer.say(f"{log.malformed_lines:,} lines could not be read, and were left out")
    for kind, count in log.other_kinds.items():
        printer.say(f"{count:,} records of the kind {kind!r} mean nothing here, and were left out")
    printer.say(f"{len(log.history):,} records")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"expected NAME=VALUE, and had {text!r}")
    return name.strip(), value.strip()


def _words(texts: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Parse FIELD:THEIRS=OURS options into a mapping by field."""
    words: dict[str, dict[str, str]] = {}
    for text in texts:
        field, colon, meaning = text.partition(":")
        if not colon:
            raise click.UsageError(f"--map-value takes FIELD:THEIRS=OURS, and had {text!r}")
        theirs, ours = _pair(meaning)
        words.setdefault(field.strip(), {})[theirs] = ours
    return words
