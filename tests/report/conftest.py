"""What is slow and the same in all reports: the audit of the package is made once, and only some tests print a PDF."""

from functools import cache

import pytest

from netra_sim.notebooks import quick_nbformat  # noqa: F401 - before a test imports nbformat, the slow way
from netra_sim.verdict import evidence


@pytest.fixture(scope="session", autouse=True)
def one_audit():
    """All reports of a process share one audit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "audit", cache(evidence.audit))
        yield


@pytest.fixture(scope="module", autouse=True)
def no_pdf(request):
    """No Chromium is found, as printing takes two seconds; but in a file that says ``PRINTS_PDF = True`` it is."""
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "PRINTS_PDF", False):
            patch.setattr("netra_sim.site.pdf.find_chromium", lambda: None)
        yield
