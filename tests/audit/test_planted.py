"""Two trees of defects and look-alikes, each marked in its line: the second was written after the rules had been."""

import re
from pathlib import Path

import pytest

from netra_sim.audit import RULES, audit

HERE = Path(__file__).parent
MARKS = re.compile(r"# defect: (NS\d+)")


def lines_of(tree):
    for file in sorted((HERE / tree).rglob("*.py")):
        if "generated" not in file.parts:
            for number, line in enumerate(file.read_text().splitlines(), start=1):
                yield file.as_posix(), number, line


def planted(tree):
    return {(file, number, rule) for file, number, line in lines_of(tree) for rule in MARKS.findall(line)}


def found(tree):
    return {(one.file, one.line, one.rule) for one in audit(HERE / tree).findings}


@pytest.mark.parametrize(("tree", "defects", "look_alikes"), [("planted", 80, 90), ("planted_later", 25, 20)])
def test_every_planted_defect_is_found_and_no_look_alike_is(tree, defects, look_alikes):
    expected = planted(tree)
    assert len(expected) >= defects
    assert sum("# fine" in line for _, _, line in lines_of(tree)) >= look_alikes
    assert found(tree) == expected


def test_the_planted_defects_are_of_every_rule():
    assert {rule for _, _, rule in planted("planted")} == {rule.id for rule in RULES} | {"NS001"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_no_rule_could_be_left_out(rule):
    """Without its findings, the planted tree's would not be complete."""
    assert {mark for mark in planted("planted") if mark[2] == rule.id} <= found("planted")
    assert any(mark[2] == rule.id for mark in planted("planted"))
