import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from netra_sim.audit import NOTICES, RULES, Allowance, Config, ConfigError, as_results, audit

PACKAGE = Path(__file__).parents[2] / "netra_sim"


def tree(folder, **files):
    for name, text in files.items():
        file = folder / f"{name if '/' in name else name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def rules_of(report):
    return [finding.rule for finding in report.findings]


PATCH = "import asyncio\nasyncio.sleep = None\n"


def test_netra_sim_has_no_finding_and_no_allowance():
    report = audit(PACKAGE)
    assert [f"{one.file}:{one.line} {one.rule} {one.message}" for one in report.findings] == []
    assert [count.rule for count in report.counts if count.allowed] == []


def test_every_rule_passes_on_netra_sim():
    results = as_results(audit(PACKAGE))
    assert [result.check for result in results] == [rule.name for rule in RULES.values()]
    assert [result.check for result in results if result.state != "passed"] == []


def test_a_finding_has_position_reason_and_fix(tmp_path):
    (finding,) = audit(tree(tmp_path, app="import asyncio as aio\n\n\ndef go():\n    é = 1; aio.sleep = é\n")).findings
    assert (finding.line, finding.column, finding.symbol) == (5, 12, "app.go")
    assert "asyncio.sleep is replaced" in finding.message
    assert "W1" in finding.message
    assert "@windows_asyncio_safe" in finding.message


def test_a_rule_without_locations_is_not_applicable(tmp_path):
    states = {one.check: one.state for one in as_results(audit(tree(tmp_path, app="import asyncio\n")))}
    assert states["nested-wait-for"] == "not applicable"
    assert states["patched-asyncio"] == "passed"


def test_a_syntax_error_is_a_finding_and_the_audit_goes_on(tmp_path):
    report = audit(tree(tmp_path, a="x = 1\ndef half(:\n", b=PATCH))
    assert [(one.rule, one.line) for one in report.findings] == [("NS001", 2), ("NS103", 2)]
    assert all(result.state == "failed" for result in as_results(report))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"x = '\xe9'\n", "parse"),
        (b"# -*- coding: no-such-code -*-\n", "parse"),
        (b"x = 1\0\n", "parse"),
        (b"x = " + b"(" * 3000 + b")" * 3000, ""),
        (b"x = " + b"-" * 20000 + b"1", ""),
        (b"x = 1 # " + b"y" * 2000, "more than the 1,000"),
    ],
    ids=["no UTF-8", "unknown encoding", "null", "parentheses", "too deep", "too large"],
)
def test_an_unreadable_file_is_a_finding(tmp_path, text, reason):
    limit = 1000 if "more" in reason else 10_000_000
    report = audit(tree(tmp_path, odd=text, good=PATCH), Config(max_file_bytes=limit))
    assert sorted(rules_of(report)) == ["NS001", "NS103"]
    assert any(reason in one.message for one in report.findings)


@pytest.mark.parametrize(
    "text",
    [
        b"# -*- coding: latin-1 -*-\nimport asyncio\nname = '\xe9'; asyncio.sleep = name\n",
        b"\xef\xbb\xbfimport asyncio\n\nasyncio.sleep = 1\n",
        "# coding: utf-8\r\nimport asyncio\r\nasyncio.sleep = 'ü'\r\n".encode(),
    ],
    ids=["latin-1", "byte order mark", "Windows line ends"],
)
def test_source_is_read_in_the_encoding_that_it_declares(tmp_path, text):
    report = audit(tree(tmp_path, app=text))
    assert [(one.rule, one.line) for one in report.findings] == [("NS103", 3)]


def test_long_chains_of_generated_code_are_read(tmp_path):
    chain = "x = 0" + " + 1" * 5000 + "\nif x == 0:\n    pass\n"
    chain += "".join(f"elif x == {number}:\n    pass\n" for number in range(60))
    assert rules_of(audit(tree(tmp_path, app=chain + PATCH))) in (["NS103"], ["NS001"])


def test_an_annotation_with_an_empty_tuple_is_read(tmp_path):
    assert rules_of(audit(tree(tmp_path, app="def nothing() -> tuple[()]:\n    return ()\n" + PATCH))) == ["NS103"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_cause_no_loop_and_no_second_reading(tmp_path):
    tree(tmp_path, app__live=PATCH)
    (tmp_path / "app" / "again").symlink_to(tmp_path / "app", target_is_directory=True)
    (tmp_path / "copy.py").symlink_to(tmp_path / "app" / "live.py")
    (tmp_path / "nowhere.py").symlink_to(tmp_path / "missing.py")
    os.mkfifo(tmp_path / "pipe.py")
    report = audit(tmp_path)
    assert rules_of(report) == ["NS103", "NS001"]
    assert report.files == 2


def test_names_are_followed_through_packages_in_a_source_folder(tmp_path):
    report = audit(
        tree(
            tmp_path,
            **{"src/app/__init__": "from .waits import nap\n"},
            src__app__waits="import asyncio\nnap = asyncio.sleep\n",
            src__app__live="import app\n\nasync def numbers():\n    await app.nap(1)\n    yield 1\n",
        )
    )
    assert [(Path(one.file).name, one.line, one.rule) for one in report.findings] == [("live.py", 4, "NS101")]


def test_a_package_named_asyncio_is_not_the_standard_one(tmp_path):
    report = audit(
        tree(
            tmp_path,
            **{"wires/__init__": "", "wires/asyncio/__init__": "from .line import call\n"},
            wires__asyncio__line="async def call():\n    return 1\n",
            wires__main="import wires.asyncio\n\nwires.asyncio.call.__module__ = 'wires'\nwires.asyncio.line.call = None\n",
        )
    )
    assert rules_of(report) == []


def test_circular_names_end_the_search(tmp_path):
    report = audit(
        tree(
            tmp_path,
            a="from b import x\nfrom b import *\nclass A(A): pass\n",
            b="from a import x, A\nclass B(A): pass\nclass C(B): pass\nx.y.z()\nB().send()\n",
        )
    )
    assert rules_of(report) == []


def test_the_report_does_not_depend_on_the_number_of_processes(tmp_path):
    for number in range(90):
        tree(tmp_path, **{f"m{number}": PATCH, f"n{number}": f"from m{number} import asyncio\nasyncio.gather = None\n"})
    tree(tmp_path, odd="print('\\ud800 is no text that can be written')\n")
    if sys.platform == "linux":
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py")).write_text("x = 1\n")
    one, two = audit(tmp_path, jobs=1), audit(tmp_path, jobs=2)
    assert one == two
    assert len(one.findings) == 180


def configured(folder, text):
    (folder / "pyproject.toml").write_text(text)
    return tree(folder, app__live=PATCH)


def test_an_allowed_finding_is_counted_and_not_reported(tmp_path):
    text = '[[tool.netra-sim.audit.allow]]\nrule = "NS103"\npath = "app/live.py"\nreason = "to be mended in May"\n'
    report = audit(configured(tmp_path, text) / "app")
    assert rules_of(report) == []
    assert {one.rule: one.allowed for one in report.counts}["NS103"] == 1


@pytest.mark.parametrize("place", ['path = "app/other.py"', 'symbol = "app.live.*"', 'path = "app/*"\nsymbol = "gone"'])
def test_a_stale_allowance_is_a_finding(tmp_path, place):
    text = f'[[tool.netra-sim.audit.allow]]\nrule = "nested-wait-for"\n{place}\nreason = "it was so"\n'
    assert "NS002" in rules_of(audit(configured(tmp_path, text)))


def test_an_allowance_outside_of_the_audited_tree_is_ignored(tmp_path):
    text = '[[tool.netra-sim.audit.allow]]\nrule = "NS103"\npath = "jobs/run.py"\nreason = "a script"\n'
    configured(tmp_path, text)
    tree(tmp_path, jobs__run=PATCH)
    assert rules_of(audit(tmp_path / "app")) == ["NS103"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[tool.netra-sim.audit.allow]]\nrule = "NS103"\npath = "a"\n', "say why"),
        ('[[tool.netra-sim.audit.allow]]\nrule = "NS103"\npath = "a"\nreason = "  "\n', "say why"),
        ('[[tool.netra-sim.audit.allow]]\nrule = "NS103"\nreason = "all"\n', "say where"),
        ('[[tool.netra-sim.audit.allow]]\nrule = "NS999"\npath = "a"\nreason = "x"\n', "no rule 'NS999'"),
        ("[tool.netra-sim.audit]\nbrigde = []\n", "brigde"),
        ('[tool.netra-sim.audit]\nbridge = "x"\n', "bridge"),
        ('[tool.netra-sim.audit]\nexclude = ["gone"]\n', "'gone'"),
        ("[tool.netra-sim.audit\n", "Expected"),
    ],
)
def test_a_wrong_configuration_is_refused_with_a_reason(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        audit(configured(tmp_path, text))


def test_the_configuration_gives_modules_their_roles(tmp_path):
    send = "from fastapi import WebSocket\n\nasync def tell(socket: WebSocket):\n    await socket.send_text('x')\n"
    tree(tmp_path, app__wires=send)
    assert rules_of(audit(tmp_path)) == ["NS202"]
    assert rules_of(audit(tmp_path, Config(bridge=("app.wires",)))) == []


def test_a_tree_without_python_files_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no Python file"):
        audit(tmp_path)
    with pytest.raises(ConfigError, match="nothing at"):
        audit(tmp_path / "missing")


def test_rules_have_unique_ids_reasons_and_fixes():
    rules = (*NOTICES, *RULES.values())
    assert len({rule.id for rule in rules}) == len({rule.name for rule in rules}) == len(rules)
    assert all(rule.why and rule.fix and rule.question.endswith("?") for rule in rules)


def test_an_allowance_can_be_an_argument(tmp_path):
    allow = (Allowance(rule="patched-asyncio", symbol="app", reason="shown here"),)
    assert rules_of(audit(tree(tmp_path, app=PATCH), Config(allow=allow))) == []


def test_a_report_survives_json(tmp_path):
    report = audit(tree(tmp_path, app=PATCH))
    assert json.loads(msgspec.json.encode(report))["files"] == 1
