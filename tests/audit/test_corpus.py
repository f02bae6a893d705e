"""The audit reads real code, complete and damaged, without an error."""

import sysconfig
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim.audit import Config, audit

LIBRARY = Path(sysconfig.get_path("stdlib"))
FILES = sorted(file for file in LIBRARY.glob("**/*.py") if "site-packages" not in file.parts)
SMALL = [file for file in FILES if file.stat().st_size < 40_000]


def test_asyncio_itself_causes_few_findings():
    report = audit(LIBRARY / "asyncio", Config())
    assert report.files > 25
    assert [one for one in report.findings if one.rule in ("NS001", "NS101", "NS201", "NS202", "NS301")] == []


@settings(max_examples=60)
@given(data=st.data())
def test_any_mixture_of_real_files_is_read(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("corpus")
    for number, file in enumerate(data.draw(st.lists(st.sampled_from(SMALL), min_size=1, max_size=4, unique=True))):
        lines = file.read_bytes().splitlines(keepends=True)
        if data.draw(st.booleans()):
            first = data.draw(st.integers(0, len(lines)))
            del lines[first : first + data.draw(st.integers(0, 20))]
        (folder / f"part{number}.py").write_bytes(b"".join(lines))
    report = audit(folder, Config())
    assert audit(folder, Config()) == report
    assert all(one.line >= 1 and one.column >= 1 for one in report.findings)
