"""`reference`: writes scenarios, faults, checks, rules, defects, claims and commands as a page of Markdown."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
import msgspec
from msgspec import inspect as types

from netra_sim.audit import RULES
from netra_sim.checks import CHECKS
from netra_sim.clients import CLIENT_PROTOCOLS
from netra_sim.defects import DEFECTS, conformance_checks
from netra_sim.distributions import Distribution
from netra_sim.exit_code import ExitCode
from netra_sim.exploration.trial import toml
from netra_sim.notebooks.catalogue import NOTEBOOKS
from netra_sim.schema import DescribedField, fields_of, first_line, takes
from netra_sim.services import SERVICES
from netra_sim.simulation import FAULTS, Fault, Scenario, find_scenario, scenario_names
from netra_sim.simulation.scenario import Arrivals
from netra_sim.site.report import explain
from netra_sim.verdict.claims import CLAIMS, EVERYWHERE, Claim

Row = Sequence[str]

_COMMON_FAULT_FIELDS = {field.name: field.default for field in fields_of(Fault)}


def reference(commands: click.Group) -> str:
    """The page.

    Args:
        commands: the command group; a parameter because this room must not import the command line.
    """
    parts = [
        "# Reference",
        "Generated from the code by `netra-sim reference -o docs/reference.md`. Ids such as B6 are those of the "
        "[incidents](incidents.md).",
        *_section("Scenarios", "`netra-sim scenarios NAME` prints one.", _scenarios()),
        *_section("The fields of a scenario file", "`--set PATH=VALUE` takes the same names.", _scenario_fields()),
        *_section("When requests are due: `workload.arrivals`", "Named by its `kind`.", _kinds(Arrivals.__args__)),
        *_section("Durations", "In seconds, named by their `kind`.", _kinds(Distribution.__args__)),
        *_section(
            "Faults",
            "Named by `kind`. Each takes `at` (seconds, 5), `lasts` (seconds, 20) and `share` of the users or runs that it "
            "hits (0 to 1, 1).",
            _faults(),
        ),
        *_section(
            "Client protocols",
            "How users talk to a system under test: `[client]`, named by `kind`. Texts may hold marks such as `{user}`; see "
            "[your back end](your-backend.md).",
            _settings(CLIENT_PROTOCOLS),
        ),
        *_section(
            "Stand-in services",
            "What a system under test calls: `[services.NAME]`, named by `kind`.",
            _settings(SERVICES),
        ),
        *_section("Checks", "Each reads a history, whatever made it.", _checks()),
        *_section("Conformance checks", "For what no history can decide.", _conformance_checks()),
        *_section("Audit rules", "Of `netra-sim audit`.", _rules()),
        *_section("Defects", "The original system's defects, which the checks must catch.", _defects()),
        *_section(
            "Claims",
            "Every statement of the plan that can be true or false. What must pass is written as SOURCE/CHECK; `everywhere` "
            f"stands for {_code(EVERYWHERE)}.",
            _claims(),
        ),
        *_section("Notebooks", "With their parameters; `-p NAME VALUE` of `netra-sim report`.", _notebooks()),
        *_section("Commands", "`netra-sim COMMAND`; `--help` after any of them says the same.", _commands(commands)),
        *_section("Exit codes", "Of every command.", _exit_codes()),
    ]
    return "\n\n".join(parts) + "\n"


def _section(heading: str, words: str, rows: Iterable[Row]) -> Iterator[str]:
    header, *body = rows
    yield f"## {heading}"
    yield words
    lines = [header, ["---"] * len(header), *body]
    yield "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _scenarios() -> Iterator[Row]:
    yield "name", "what happens", "incidents", "checks that must fail"
    for name in scenario_names():
        one = find_scenario(name)
        yield f"`{name}`", one.description, ", ".join(one.incidents), _code(one.expect) or "none"


def _scenario_fields() -> Iterator[Row]:
    yield "field", "default", "takes", "what it is"
    yield from _fields(Scenario(), "")


def _fields(value: msgspec.Struct, prefix: str) -> Iterator[Row]:
    for field in fields_of(type(value)):
        part, path = getattr(value, field.name), f"{prefix}{field.name}"
        if isinstance(part, msgspec.Struct) and part.__struct_config__.tag is None:
            yield from _fields(part, f"{path}.")
        elif part is msgspec.UNSET:
            yield f"`{path}`", "unset", _takes(field.kind), field.about
            yield from _fields_of_unset(field.kind, f"{path}.")
        else:
            yield f"`{path}`", f"`{toml(part)}`", _takes(field.kind), field.about or first_line(type(value))


def _fields_of_unset(kind: Any, prefix: str) -> Iterator[Row]:
    """The fields of a table that a scenario may leave out."""
    if isinstance(kind, types.DictType):
        yield from _fields_of_unset(kind.value_type, f"{prefix}NAME.")
    if not isinstance(kind, types.StructType) or kind.tag_field:
        return
    for field in fields_of(kind.cls):
        yield f"`{prefix}{field.name}`", _default(field), _takes(field.kind), field.about
        yield from _fields_of_unset(field.kind, f"{prefix}{field.name}.")


def _kinds(kinds: Iterable[type[msgspec.Struct]]) -> Iterator[Row]:
    yield "kind", "parameters", "what it is"
    for kind in kinds:
        yield f"`{kind.__struct_config__.tag}`", _parameters(kind), first_line(kind)


def _faults() -> Iterator[Row]:
    yield "kind", "parameters", "what it does", "incidents"
    for name, kind in FAULTS.items():
        incidents = re.search(r"Incidents: (.*)\.", kind.__doc__ or "")
        ids = incidents[1] if incidents else ""
        yield f"`{name}`", _parameters(kind, _COMMON_FAULT_FIELDS), first_line(kind), ids


def _settings(kinds: Mapping[str, type[msgspec.Struct]]) -> Iterator[Row]:
    yield "kind", "setting", "default", "what it is"
    for name, kind in kinds.items():
        yield f"`{name}`", "", "", first_line(kind)
        for field in fields_of(kind):
            yield "", f"`{field.name}`", _default(field), field.about


def _default(field: DescribedField) -> str:
    if field.default is msgspec.NODEFAULT:
        return "must be given"
    return "unset" if field.default is msgspec.UNSET else f"`{toml(field.default)}`"


def _takes(kind: Any) -> str:
    match kind:
        case types.VarTupleType(types.StructType(cls=cls)) if issubclass(cls, Fault):
            return "a list, see below"
    return takes(kind)


def _parameters(kind: type[msgspec.Struct], known: dict[str, Any] | None = None) -> str:
    """Each parameter with its default and allowed values, except those that equal the common ones."""
    described = []
    for field in fields_of(kind):
        if known and field.name in known and known[field.name] == field.default:
            continue
        is_given = field.default not in (msgspec.NODEFAULT, msgspec.UNSET)
        default = f" = {toml(field.default)}" if is_given else ""
        described.append(f"`{field.name}{default}` ({takes(field.kind)})")
    return ", ".join(described)


def _checks() -> Iterator[Row]:
    yield "name", "what it asks"
    yield from ((f"`{one.name}`", one.question) for one in CHECKS.values())


def _conformance_checks() -> Iterator[Row]:
    yield "name", "what it asks"
    yield from ((f"`{result.check}`", result.question) for result in conformance_checks())


def _rules() -> Iterator[Row]:
    yield "id", "name", "what it asks", "why", "what to do"
    yield from ((rule.id, f"`{rule.name}`", rule.question, rule.why, rule.fix) for rule in RULES.values())


def _defects() -> Iterator[Row]:
    yield "name", "incidents", "what it does"
    yield from ((f"`{one.name}`", ", ".join(one.incidents), one.symptom) for one in DEFECTS.values())


def _claims() -> Iterator[Row]:
    yield "where the plan says it", "what it says", "what must pass", "incidents that the checks must catch"
    yield from ((claim.heading, claim.says, _proof(claim), ", ".join(claim.guards)) for claim in CLAIMS)


def _proof(claim: Claim) -> str:
    if claim.all_of == "everything":
        return "every claim that can be proven"
    if claim.all_of:
        return f"the claims of: {claim.all_of}"
    if claim.given:
        return f"nothing: the figure is given, by the parameter `{claim.given}`"
    return _code(claim.proof) if claim.proof else f"nothing can: {claim.why}"


def _notebooks() -> Iterator[Row]:
    yield "name", "file", "question", "parameters"
    for one in NOTEBOOKS.values():
        yield f"`{one.name}`", f"`notebooks/{one.file}`", one.question, "; ".join(map(_escaped, explain(one)))


def _escaped(parameter: str) -> str:
    value, _, about = parameter.partition(": ")
    return f"`{value}`: {about}"


def _commands(group: click.Group) -> Iterator[Row]:
    yield "command", "what it does", "options"
    context = click.Context(group, info_name="netra-sim")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None  # noqa: S101 - the group lists only what it has
        usage = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
        options = [
            record for option in command.params if isinstance(option, click.Option)
            if (record := option.get_help_record(context))
        ]  # fmt: skip
        described = "; ".join(f"`{declared}` {about}".strip() for declared, about in options)
        yield f"`{name}{f' {usage}' if usage else ''}`", command.get_short_help_str(limit=200), described


def _exit_codes() -> Iterator[Row]:
    yield "code", "meaning"
    meanings = inspect.cleandoc(ExitCode.__doc__ or "").rstrip(".").split("; ")
    yield from ((str(int(code)), meaning) for code, meaning in zip(ExitCode, meanings, strict=True))
