"""`--format`: prints what a command finds as text while it works, or as one document for another program at its end."""

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, NoReturn

import click

from netra_sim.exceptions import NetraSimError
from netra_sim.exit_code import ExitCode
from netra_sim.formats import Case, annotation, annotations, check_case, check_lines, json_document

if TYPE_CHECKING:
    from netra_sim.checks import CheckError, CheckResult, ResourceUse

FORMS = ("text", "json", "junit", "github")


class Printer:
    """Takes what a command finds, and prints it in the chosen form.

    Standard output gets the text, or the one document; remarks then go to standard error, and so does what code of one's own
    prints.

    Args:
        command: the name of the command.
        form: one of `FORMS`.
    """

    def __init__(self, command: str, form: str) -> None:
        self._command = command
        self._form = form
        self._suites: dict[str, list[Case]] = {}
        self._kept_free = ExitStack()

    @property
    def is_text(self) -> bool:
        """Whether people read it, in a terminal."""
        return self._form == "text"

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the command runs, keep standard output free for the document, if there is one."""
        with self._kept_free:
            if not self.is_text:
                self._kept_free.enter_context(_output_to_errors())
            yield

    def say(self, text: str) -> None:
        """Tell people something."""
        click.echo(text, err=not self.is_text)

    def checks(
        self,
        group: str,
        results: "Sequence[CheckResult]",
        *,
        file: str = "",
        lines: Sequence[int] = (),
        why_not: Mapping[str, str] | None = None,
        more: str = "",
    ) -> None:
        """Take the results of checks.

        Args:
            group: what was checked.
            results: the results.
            file: the log that was checked, if it is one.
            lines: the line of each row of that log.
            why_not: for checks that do not apply, the reason.
            more: where the reasons are that are not given.
        """
        self.cases(group, (check_case(group, one, file, lines) for one in results))
        if self.is_text:
            for line in check_lines(results, lines, why_not, more):
                click.echo(line)

    def broken(self, group: str, error: "CheckError | None") -> None:
        """Take the checks that broke, if any did."""
        broken = {} if error is None else error.broken
        self.cases(group, (Case(group=group, name=name, outcome="error", message=broken[name]) for name in broken))

    def cases(self, suite: str, cases: Iterable[Case]) -> None:
        """Take things that were judged, which the text does not show."""
        self._suites.setdefault(suite, []).extend(cases)

    def resources(self, uses: "Sequence[ResourceUse]") -> None:
        """Tell how each limited resource was used."""
        for use in uses:
            self.say(f"{use.resource:>14}  {use}")

    def end(self, code: ExitCode, facts: dict[str, Any], broke: NetraSimError | None = None) -> NoReturn:
        """Print the document, unless the text was printed already, and exit.

        Args:
            code: the exit code.
            facts: what the command found, for the JSON document.
            broke: what could not be done, if so, such as the error of a file that could not be written.

        Raises:
            NetraSimError: ``broke``, after the document was printed.
        """
        code = code if broke is None else ExitCode.BROKE
        self._kept_free.close()
        match self._form:
            case "json":
                click.echo(json_document(self._command, code, facts), nl=False)
            case "junit":
                from netra_sim.formats import junit  # the others need no XML

                click.echo(junit(f"netra_sim {self._command}", self._suites), nl=False)
            case "github":
                click.echo(annotations(case for cases in self._suites.values() for case in cases), nl=False)
                told = facts.get("headline") or self._counted()
                click.echo(annotation("notice", told, title=f"netra-sim {self._command}"), nl=False)
        if broke is not None:
            raise broke
        sys.exit(code)

    def _counted(self) -> str:
        judged = [case.outcome for cases in self._suites.values() for case in cases if case.outcome != "skipped"]
        failed = len(judged) - judged.count("passed")
        return f"{failed:,} of {len(judged):,} failed" if failed else f"all {len(judged):,} passed"


def _printer(context: click.Context, _: click.Parameter, form: str) -> Printer:
    return Printer(context.info_name or "", form)


@contextmanager
def _output_to_errors() -> Iterator[None]:
    """Send what is written to standard output to standard error, also by C code and by other processes that start now."""
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if sys.__stdout__ is not None:
            sys.__stdout__.flush()
        os.dup2(output, 1)
        os.close(output)


def _format_option(forms: Sequence[str], told: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    option = click.option(
        "--format", "printer", type=click.Choice(forms), default="text", show_default=True, callback=_printer,
        is_eager=True, help=told,
    )  # fmt: skip

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @option
        @functools.wraps(command)
        def run(*, printer: Printer, **values: Any) -> None:
            with printer.running():
                command(printer=printer, **values)

        return run

    return add


format_option = _format_option(
    FORMS, "Text for people, or one document for a program: JSON, JUnit XML, or annotations for GitHub."
)
"""The innermost option of the commands that judge something; its value is a `Printer`."""

report_format_option = _format_option(
    ["text", "github"], "Text for people, or annotations for GitHub; the folder has JSON and JUnit XML."
)
"""The option of a command that writes the documents for programs into its folder; it is the innermost one as well."""
