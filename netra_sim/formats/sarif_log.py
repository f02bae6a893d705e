"""SARIF 2.1.0, which code scanning shows beside the lines of the source."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from netra_sim.version import __version__

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


class SarifRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that results name.

    Attributes:
        id: names it in results.
        name: its name for people.
        question: what it asks.
        why: the reason for it; "" without one.
        fix: how to mend what it finds; "" if it does not say.
    """

    id: str
    name: str
    question: str
    why: str = ""
    fix: str = ""


class SarifResult(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong.

    Attributes:
        rule: the id of the rule.
        message: what is wrong.
        file: the path of the file; "" if it is in none.
        line: counted from 1.
        column: counted from 1.
        symbol: the function, class or name; "" if it is in none.
        level: how bad it is.
    """

    rule: str
    message: str
    file: str
    line: int = 1
    column: int = 1
    symbol: str = ""
    level: Literal["error", "warning"] = "error"


def sarif(
    rules: Sequence[SarifRule], results: Iterable[SarifResult], *, occasion: str = "", notes: Sequence[str] = ()
) -> str:
    """The text of a SARIF document.

    Args:
        rules: all that were looked at, those without a result too.
        results: what was found.
        occasion: a sentence that viewers show with the run, such as what started it.
        notes: what could not be done, each in a sentence.
    """
    index = {rule.id: number for number, rule in enumerate(rules)}
    driver = {"name": "netra-sim", "semanticVersion": __version__, "rules": [_rule(rule) for rule in rules]}
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, index[one.rule]) for one in results],
    }
    if occasion:
        run["automationDetails"] = {"description": {"text": occasion}}
    if notes:
        told = [{"level": "warning", "message": {"text": note}} for note in notes]
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": told}]
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _rule(rule: SarifRule) -> dict[str, Any]:
    texts = {"shortDescription": rule.question, "fullDescription": rule.why, "help": rule.fix}
    described = {key: {"text": text} for key, text in texts.items() if text}
    return {"id": rule.id, "name": rule.name, **described, "defaultConfiguration": {"level": "error"}}


def _result(one: SarifResult, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": one.rule,
        "ruleIndex": index,
        "level": one.level,
        "message": {"text": one.message},
    }
    if one.file:
        place = {
            "artifactLocation": {"uri": quote(one.file)},
            "region": {"startLine": one.line, "startColumn": one.column},
        }
        symbols = {"logicalLocations": [{"fullyQualifiedName": one.symbol}]} if one.symbol else {}
        result["locations"] = [{"physicalLocation": place, **symbols}]
    return result
