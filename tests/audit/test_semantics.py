"""The audit calls code protected where `windows_asyncio_safe` replaces a function: each sample is run and audited."""

import asyncio
import textwrap

import pytest

import netra_sim
from netra_sim.audit import audit

PROTECTED = {
    "by module": """
        import asyncio
        @safe
        async def stream(emitter):
            return asyncio.sleep
    """,
    "by alias": """
        from asyncio import sleep as nap
        @safe
        async def stream(emitter):
            return nap
    """,
    "in the body": """
        @safe
        async def stream(emitter):
            from asyncio import sleep
            return sleep
    """,
    "nested": """
        import asyncio
        @safe
        async def stream(emitter):
            async def one():
                return asyncio.sleep
            return await one()
    """,
    "default": """
        import asyncio
        @safe
        async def stream(emitter, sleep=asyncio.sleep):
            return sleep
    """,
    "inner module": """
        import asyncio
        @safe
        async def stream(emitter):
            return asyncio.tasks.sleep
    """,
    "inner function's default": """
        import asyncio
        @safe
        async def stream(emitter):
            async def one(sleep=asyncio.sleep):
                return sleep
            return await one()
    """,
    "local name": """
        import asyncio
        @safe
        async def stream(emitter):
            rest = asyncio.sleep
            return rest
    """,
}
NOT_PROTECTED = {
    "not decorated": """
        import asyncio
        async def stream(emitter):
            return asyncio.sleep
    """,
    "called": """
        import asyncio
        async def other():
            return asyncio.sleep
        @safe
        async def stream(emitter):
            return await other()
    """,
    "wrapped": """
        import asyncio
        def keep(function):
            async def wrapper(*given):
                return await function(*given)
            return wrapper
        @safe
        @keep
        async def stream(emitter):
            return asyncio.sleep
    """,
}
HELD = {
    "by a class": """
        import asyncio
        class Held:
            sleep = staticmethod(asyncio.sleep)
        @safe
        async def stream(emitter):
            return Held.sleep
    """,
    "by an instance": """
        import asyncio
        class Held:
            def __init__(self):
                self.sleep = asyncio.sleep
        @safe
        async def stream(emitter, held=Held()):
            return held.sleep
    """,
}
HEAD = "from netra_sim import windows_asyncio_safe as safe\n"


def which_sleep(code):
    names = {}
    exec(compile(HEAD + textwrap.dedent(code), "tried", "exec"), names)
    return netra_sim.run(names["stream"](None))


def findings(folder, code):
    """The findings of the same code, which calls the function instead of returning it, and sends an event."""
    lines = []
    for line in textwrap.dedent(code).splitlines():
        indent, kept = line[: len(line) - len(line.lstrip())], line.strip()
        if kept.startswith("return ") and ("sleep" in kept or "nap" in kept or "rest" in kept):
            kept = f"await {kept.removeprefix('return ')}(1)"
        lines.append(indent + kept)
        if kept.startswith("async def stream"):
            lines.append("    await emitter.emit_progress('x')")
    (folder / "app.py").write_text(HEAD + "\n".join(lines) + "\n")
    return [one.rule for one in audit(folder).findings]


@pytest.mark.parametrize("name", PROTECTED)
def test_a_replaced_function_is_no_finding(tmp_path, name):
    assert which_sleep(PROTECTED[name]) is netra_sim.windows_safe_sleep
    assert findings(tmp_path, PROTECTED[name]) == []


@pytest.mark.parametrize("name", NOT_PROTECTED)
def test_a_function_that_is_not_replaced_is_a_finding(tmp_path, name):
    assert which_sleep(NOT_PROTECTED[name]) is asyncio.sleep
    assert findings(tmp_path, NOT_PROTECTED[name]) == ["NS101"]


@pytest.mark.parametrize("name", HELD)
def test_a_function_that_an_object_holds_is_replaced_and_still_a_finding(tmp_path, name):
    assert which_sleep(HELD[name]) is netra_sim.windows_safe_sleep
    assert findings(tmp_path, HELD[name]) == ["NS101"]
