"""JUnit XML, which CI services show as test cases."""

import re
from collections.abc import Iterable, Mapping
from xml.etree import ElementTree as Xml

from netra_sim.formats.case import Case

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that XML 1.0 does not allow."""


def junit(name: str, suites: Mapping[str, Iterable[Case]]) -> str:
    """The text of a JUnit document; a suite without cases is left out.

    Args:
        name: what was judged.
        suites: the cases of each suite, by the suite's name.
    """
    root = Xml.Element("testsuites", name=_xml(name))
    for title, judged in suites.items():
        if not (cases := list(judged)):
            continue
        suite = Xml.SubElement(root, "testsuite", name=_xml(title), tests=str(len(cases)))
        for outcome, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(plural, str(sum(case.outcome == outcome for case in cases)))
        suite.extend(map(_element, cases))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _element(case: Case) -> Xml.Element:
    element = Xml.Element("testcase", classname=_xml(case.group), name=_xml(case.name), time=f"{case.seconds:.3f}")
    if case.outcome != "passed":
        Xml.SubElement(element, case.outcome, message=_xml(case.message)).text = _xml(case.text) or None
    return element


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
