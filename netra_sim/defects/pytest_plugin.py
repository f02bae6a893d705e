"""A pytest plugin that switches a seeded defect on, to see whether the tests then fail.

Use it as ``pytest -p netra_sim.defects.pytest_plugin --defect NAME``.
"""

from contextlib import ExitStack

import pytest

from netra_sim.defects.seeded import DEFECTS

_stack = ExitStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--defect``."""
    parser.addoption("--defect", choices=list(DEFECTS), help="the defect to put into the runtime")


def pytest_configure(config: pytest.Config) -> None:
    """Switch the defect on before any test is imported."""
    if name := config.getoption("--defect"):
        _stack.enter_context(DEFECTS[name].switched_on())


def pytest_unconfigure() -> None:
    """Switch the defect off."""
    _stack.close()
