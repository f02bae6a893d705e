"""A pytest plugin that switches a violation on by its name, to see whether tests fail then as they should.

Use it as ``pytest -p netra_sim.defects.pytest_plugin --violation NAME``.
"""

from contextlib import ExitStack

import pytest

from netra_sim.defects.seeded.defect import VIOLATIONS

_stack = ExitStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--violation``."""
    parser.addoption("--violation", choices=list(VIOLATIONS), help="the defect to put into the runtime")


def pytest_configure(config: pytest.Config) -> None:
    """Put the defect in, before any test is imported."""
    if name := config.getoption("--violation"):
        _stack.enter_context(VIOLATIONS[name].switched_on())


def pytest_unconfigure() -> None:
    """Take it out again."""
    _stack.close()
