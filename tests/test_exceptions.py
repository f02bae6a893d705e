"""The error classes of the package form the one tree that `netra_sim.exceptions` draws."""

import re
from importlib import import_module
from pathlib import Path

import netra_sim
from netra_sim import exceptions

PACKAGE = Path(netra_sim.__file__).parent


def error_classes():
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        names = re.findall(r"^class ([A-Z]\w*Error)\(", path.read_text("utf-8"), re.M)
        for name in names:
            found = getattr(import_module(module), name)
            if issubclass(found, BaseException):
                yield found


def test_every_error_class_is_in_the_tree_and_in_its_drawing():
    drawn = re.findall(r"^ +[│├└─ ]*(\w+Error)\b", exceptions.__doc__, re.M)
    found = list(error_classes())
    assert all(issubclass(one, exceptions.NetraSimError) for one in found)
    assert sorted(drawn) == sorted(one.__name__ for one in found)
