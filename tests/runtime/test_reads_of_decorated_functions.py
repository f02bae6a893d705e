"""A decorated function reads its module, closure and imports like any other, and gets the safe functions from them."""

import asyncio
import contextlib
import doctest
import functools
import importlib
import inspect
import pickle
import subprocess
import sys
import traceback
import types
import warnings
from asyncio import gather, sleep, wait_for
from unittest import mock

import cloudpickle
import pytest

from netra_sim.runtime import windows_asyncio_safe, windows_safe_gather, windows_safe_sleep, windows_safe_wait_for
from netra_sim.simulation import run_virtual

SAFE = (windows_safe_sleep, windows_safe_wait_for, windows_safe_gather)
LIMIT = 1
short_nap = functools.partial(asyncio.sleep, 1)


class Pauses:
    pause = staticmethod(asyncio.sleep)


class Base:
    pause = staticmethod(asyncio.wait_for)


@windows_asyncio_safe
async def of_the_module():
    """What it reads.

    >>> LIMIT
    1
    """
    import asyncio as inside

    return asyncio.sleep, wait_for, inside.gather


def defined(source, **names):
    """The function ``f`` that a source defines in a new namespace, decorated."""
    exec(inspect.cleandoc(source), names)
    return windows_asyncio_safe(names["f"]), names


# Globals.


async def test_globals_are_the_modules_own():
    @windows_asyncio_safe
    async def looks():
        assert "LIMIT" in globals()
        assert globals().get("LIMIT") == globals()["LIMIT"] == LIMIT
        assert set(globals()) == set(vars(sys.modules[__name__]))
        globals()["bound_by_item"] = 2
        return globals()

    try:
        assert await looks() is globals()
        assert globals()["bound_by_item"] == 2
    finally:
        globals().pop("bound_by_item", None)
    assert looks.__globals__ is globals()
    assert looks.__builtins__ is not None


async def test_a_global_statement_assigns_and_deletes_in_the_module():
    f, names = defined("""
        async def f():
            global count
            count += 1
            def forget():
                global old
                del old
            forget()
            return count
    """, count=1, old=1)  # fmt: skip
    assert await f() == 2
    assert names["count"] == 2
    assert "old" not in names


async def test_a_patched_or_rebound_global_is_seen(monkeypatch):
    @windows_asyncio_safe
    async def looks():
        return sleep, LIMIT, asyncio.sleep

    assert await looks() == (windows_safe_sleep, 1, windows_safe_sleep)
    monkeypatch.setitem(globals(), "sleep", "patched")
    monkeypatch.setitem(globals(), "LIMIT", 5)
    assert await looks() == ("patched", 5, windows_safe_sleep)
    monkeypatch.setitem(globals(), "LIMIT", gather)
    with mock.patch(f"{__name__}.asyncio.sleep") as fake:
        assert await looks() == ("patched", windows_safe_gather, fake)
    with mock.patch(f"{__name__}.asyncio", types.SimpleNamespace(sleep=wait_for)):
        assert await looks() == ("patched", windows_safe_gather, windows_safe_wait_for)
    assert (await looks())[2] is windows_safe_sleep


async def test_a_patch_by_the_body_is_seen_by_all_code():
    @windows_asyncio_safe
    async def patches():
        with mock.patch.object(asyncio, "sleep") as fake:
            assert asyncio.sleep is fake
            return undecorated(), fake

    def undecorated():
        return asyncio.sleep

    stock = asyncio.sleep
    seen, fake = await patches()
    assert seen is fake
    assert asyncio.sleep is stock


async def test_reading_a_value_does_not_run_its_code():
    class Touchy:
        def __eq__(self, other):
            raise AssertionError("compared")

        def __hash__(self):
            raise AssertionError("hashed")

        def __getattr__(self, name):
            raise AssertionError(f"asked for {name}")

        __bool__ = __len__ = __hash__

    f, names = defined("async def f(): return value, holder.value", value=Touchy(), holder=types.SimpleNamespace())
    names["holder"].value = Touchy()
    assert [type(one) for one in await f()] == [Touchy, Touchy]


async def test_a_namespace_without_a_name_warns_as_before():
    f, names = defined("""
        import warnings
        async def f():
            warnings.warn("shown")
    """)  # fmt: skip
    assert "__name__" not in names
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await f()
    assert [str(one.message) for one in caught] == ["shown"]
    assert f.__module__ == inspect.unwrap(names["f"]).__module__


async def test_a_reloaded_module_is_decorated_again(tmp_path, monkeypatch):
    module = tmp_path / "loaded_twice.py"
    source = (
        "import asyncio, netra_sim\nWORD = {!r}\n"
        "@netra_sim.windows_asyncio_safe\nasync def f(): return WORD, asyncio.sleep\n"
    )
    # Not syspath_prepend: it needs the real pkg_resources, in whose place a test of the server puts another.
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module.write_text(source.format("first"))
    loaded = importlib.import_module("loaded_twice")
    first = loaded.f
    assert await first() == ("first", windows_safe_sleep)
    module.write_text(source.format("second, longer"))
    importlib.reload(loaded)
    assert await loaded.f() == await first() == ("second, longer", windows_safe_sleep)
    del sys.modules["loaded_twice"]


def test_doctest_finds_and_runs_the_examples_of_a_decorated_function():
    found = doctest.DocTestFinder().find(of_the_module, "of_the_module", module=sys.modules[__name__])
    everywhere = doctest.DocTestFinder().find(sys.modules[__name__])
    assert f"{__name__}.of_the_module" in [test.name for test in everywhere]
    assert doctest.DocTestRunner().run(found[0]) == (0, 1)


# Defaults, closures, attributes, imports.


async def test_defaults_are_replaced_and_arguments_are_not():
    async def original(first, second=asyncio.sleep, *, third=wait_for, fourth=asyncio, fifth=7):
        return second, third, fourth.gather, fifth, first

    safe = windows_asyncio_safe(original)
    assert await safe(sleep) == (*SAFE, 7, sleep)
    assert original.__defaults__ == (sleep,)
    assert original.__kwdefaults__ == {"third": wait_for, "fourth": asyncio, "fifth": 7}
    assert list(inspect.signature(safe).parameters) == list(inspect.signature(original).parameters)

    @windows_asyncio_safe
    async def reads_nothing(nap=asyncio.sleep):
        return nap

    assert await reads_nothing() is windows_safe_sleep
    assert windows_asyncio_safe(reads_nothing) is reads_nothing


async def test_a_variable_of_an_enclosing_function_is_read_when_the_body_reads_it():
    early = asyncio.sleep

    @windows_asyncio_safe
    async def looks():
        return early, (lambda: late)(), module.wait_for

    with pytest.raises(NameError):
        await looks()
    late = asyncio.gather
    module = asyncio
    assert await looks() == (windows_safe_sleep, windows_safe_gather, windows_safe_wait_for)
    early = "rebound"
    assert (await looks())[0] == "rebound"
    assert late is asyncio.gather


async def test_an_argument_stays_what_the_caller_passed_even_where_an_inner_function_shares_it():
    @windows_asyncio_safe
    async def passes(nap):
        return nap, (lambda: nap)()

    assert await passes(sleep) == (sleep, sleep)


async def test_attributes_of_any_object_give_the_safe_functions():
    class Agent(Base):
        nap = staticmethod(asyncio.sleep)

        @windows_asyncio_safe
        async def run(self):
            assert await self.nap(0, "slept") == "slept"
            return self.nap, super().pause, Pauses.pause, type(self).nap, asyncio.tasks.sleep, asyncio.tasks.gather

    seen = await Agent().run()
    assert seen == (windows_safe_sleep, windows_safe_wait_for, *[windows_safe_sleep] * 3, windows_safe_gather)


async def test_calls_of_every_form_get_the_safe_functions(monkeypatch):
    called = []

    async def fake(*args, **options):
        called.append(args[0])

    safe_module = sys.modules["netra_sim.runtime.decorator"]
    monkeypatch.setattr(safe_module, "windows_safe_sleep", fake)
    arguments, options, there = (6,), {"result": 1}, types.SimpleNamespace(nap=sleep)

    class Agent(Base):
        nap = staticmethod(asyncio.sleep)

        @windows_asyncio_safe
        async def run(self):
            from asyncio import sleep as imported

            await sleep(1)
            await asyncio.sleep(2)
            await imported(3)
            await there.nap(4)
            await asyncio.sleep(5, result=None)
            await sleep(*arguments, **options)
            await self.nap(7)
            await (lambda: asyncio.sleep(8))()
            await gather(*(asyncio.sleep(number) for number in (9, 10)))

    await Agent().run()
    assert called == list(range(1, 11))


async def test_imports_of_every_form_give_the_safe_functions():
    @windows_asyncio_safe
    async def imports():
        import asyncio
        import asyncio as aio
        import asyncio.tasks
        import asyncio.tasks as tasks
        from asyncio import sleep as s
        from asyncio import tasks as of_package
        from asyncio.tasks import sleep

        return {asyncio.sleep, aio.sleep, asyncio.tasks.sleep, tasks.sleep, s, of_package.sleep, sleep}

    assert await imports() == {windows_safe_sleep}


async def test_functions_and_classes_defined_in_the_body_get_the_safe_functions():
    @windows_asyncio_safe
    async def body():
        async def stream():
            yield asyncio.sleep

        def generator():
            yield asyncio.sleep

        class Local:
            of_class = sleep
            of_module = asyncio.sleep
            listed = [asyncio.sleep for _ in range(1)]  # noqa: RUF012

            class Inner:
                deeper = sleep

            @property
            def read(self):
                return sleep

        @contextlib.asynccontextmanager
        async def manager():
            yield sleep

        def with_default(nap=asyncio.sleep):
            return nap

        async with manager() as managed:
            streamed = [one async for one in stream()]
            local = Local()
            of_local = [Local.__dict__["of_class"], Local.__dict__["of_module"], *local.listed, local.read]
            return {*streamed, *generator(), *of_local, Local.Inner.__dict__["deeper"], managed, with_default()}

    assert await body() == {windows_safe_sleep}


async def test_functions_that_come_in_other_ways_stay_stock():
    @windows_asyncio_safe
    async def looks():
        return (
            short_nap,
            getattr(asyncio, "sl" + "eep"),
            vars(asyncio)["sleep"],
            eval("asyncio.sleep"),
            next(iter(listed)),
        )

    listed = [sleep]
    assert await looks() == (short_nap, *[sleep] * 4)


@pytest.mark.parametrize("kind", [classmethod, staticmethod])
async def test_the_order_of_the_decorators_of_a_class_does_not_matter(kind):
    async def read(*cls):
        return asyncio.sleep

    class Both:
        inner = kind(windows_asyncio_safe(read))
        outer = windows_asyncio_safe(kind(read))
        twice = windows_asyncio_safe(kind(windows_asyncio_safe(read)))

    assert {await Both.inner(), await Both.outer(), await Both().twice()} == {windows_safe_sleep}


# Pickling, tracing, and code of every form.


def test_a_decorated_function_is_pickled_by_reference():
    assert pickle.loads(pickle.dumps(of_the_module)) is of_the_module
    assert cloudpickle.loads(cloudpickle.dumps(of_the_module)) is of_the_module


def test_a_decorated_function_is_shipped_by_value_and_safe_where_it_arrives(tmp_path):
    source = """
        import asyncio as aio
        from asyncio import wait_for
        from netra_sim import windows_asyncio_safe
        LIMIT = 3
        @windows_asyncio_safe
        async def f(nap=aio.sleep):
            from asyncio import gather
            return [one.__name__ for one in (nap, aio.sleep, wait_for, gather)], LIMIT, await aio.sleep(0, "slept")
        class Agent:
            @windows_asyncio_safe
            async def stream(self):
                yield (lambda: aio.sleep.__name__)()
    """
    names = {"__name__": "__main__"}
    exec(inspect.cleandoc(source), names)
    shipped = tmp_path / "shipped"
    shipped.write_bytes(cloudpickle.dumps((names["f"], names["Agent"])))
    arrived = (
        "import asyncio, pickle, sys\n"
        "f, Agent = pickle.load(open(sys.argv[1], 'rb'))\n"
        "async def main(): return await f(), [one async for one in Agent().stream()]\n"
        "print(asyncio.run(main()))\n"
        "from netra_sim import windows_asyncio_safe\n"
        "print(windows_asyncio_safe(f) is f)"
    )
    ran = subprocess.run([sys.executable, "-c", arrived, shipped], capture_output=True, text=True, check=True)
    three = ["windows_safe_sleep", "windows_safe_wait_for", "windows_safe_gather"]
    assert ran.stdout.splitlines() == [str((([three[0], *three], 3, "slept"), [three[0]])), "True"]


def runs_into_an_error():
    async def function():
        try:
            async with contextlib.AsyncExitStack():
                for number in range(3):
                    await asyncio.sleep(0)
                    if number:
                        LIMIT.no_such_attribute  # noqa: B018
        finally:
            await asyncio.sleep(0)

    return function


def test_traces_and_tracebacks_show_the_lines_of_the_undecorated_function():
    def observed(function):
        lines = []

        def trace(frame, event, _):
            if frame.f_code.co_name == "function" and event == "line":
                lines.append(frame.f_lineno)
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            with pytest.raises(AttributeError) as raised:
                run_virtual(function())
        finally:
            sys.settrace(before)
        shown = [entry for entry in traceback.extract_tb(raised.value.__traceback__) if entry.name == "function"]
        return lines, [(entry.lineno, entry.colno, entry.end_colno) for entry in shown]

    assert observed(windows_asyncio_safe(runs_into_an_error())) == observed(runs_into_an_error())


def test_code_of_every_form_behaves_as_before():
    # CPython's tests of its syntax, with every value that they read passed through a table.
    pytest.importorskip("test.test_asyncgen")
    script = inspect.cleandoc("""
        import importlib.machinery, io, sys, unittest, warnings
        from netra_sim.runtime.reads import rewrite_reads
        warnings.simplefilter("ignore")
        sys.setrecursionlimit(5000)
        class Table:
            reads = 0
            def __getitem__(self, value):
                Table.reads += 1
                return value
        table, compiled = Table(), importlib.machinery.SourceFileLoader.get_code
        def get_code(self, name):
            code = compiled(self, name)
            return rewrite_reads(code, table) if name in sys.argv else code
        importlib.machinery.SourceFileLoader.get_code = get_code
        tests = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:])
        result = unittest.TextTestRunner(stream=io.StringIO()).run(tests)
        print(result.testsRun, Table.reads, [test.id() for test, _ in result.failures + result.errors])
    """)
    names = [
        "asyncgen",
        "coroutines",
        "contextlib_async",
        "with",
        "patma",
        "except_star",
        "scope",
        "super",
    ]
    command = [sys.executable, "-c", script, *(f"test.test_{name}" for name in names)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    tests, reads, failed = ran.stdout.split(maxsplit=2)
    assert failed.strip() == "[]"
    assert int(tests) > 500
    assert int(reads) > 10_000
