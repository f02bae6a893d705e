"""The HTTP echo under faults, and the kinds of services by name."""

import asyncio

import httpx
import msgspec
import pytest

from netra_sim.distributions import Constant
from netra_sim.recording import mark
from netra_sim.services import SERVICES, Echo, Model, Redis, Service, serving

real_time = pytest.mark.real_time


def client_of(echo):
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{echo.port}")


@real_time
async def test_an_answer_is_work_for_the_run_that_asked_and_takes_its_delay():
    done = []
    settings = Echo(delay=Constant(3600.0))
    async with serving(settings, record=lambda *work: done.append(work)) as echo, client_of(echo) as client:
        echo.conditions.slower = 0.0
        await client.post("/tool", json={"question": mark("ann", "run-1")})
        await client.get("/tool")
        echo.conditions.slower = 1.0
        waiting = asyncio.create_task(client.get("/late"))
        assert (await asyncio.wait([waiting], timeout=0.01))[1] == {waiting}
        waiting.cancel()
    assert done == [("ann", "run-1", 0, False), ("", "", 0, False)]


@real_time
async def test_a_fault_of_the_echo_is_an_error_a_refusal_or_a_broken_connection():
    settings = Echo(delay=Constant(0.0), secret="sk-planted", error_status=502, retry_after=0.25)
    async with serving(settings) as echo, client_of(echo) as client:
        echo.conditions.error_share = 1.0
        failed = await client.get("/")
        echo.conditions.rate_limited = True
        refused = await client.get("/")
        echo.conditions.error_share, echo.conditions.rate_limited, echo.conditions.cut_share = 0.0, False, 1.0
        with pytest.raises(httpx.TransportError):
            await client.get("/")
    assert (failed.status_code, failed.json()) == (502, {"error": "the service failed sk-planted"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")


def test_a_table_of_settings_names_its_kind_and_is_checked():
    assert SERVICES.keys() >= {"http", "model", "redis"}
    kinds = Echo | Model | Redis
    table = {"kind": "model", "tokens": {"kind": "uniform", "low": 10, "high": 20}, "slots": 4, "error_share": 0.1}
    assert isinstance(msgspec.convert(table, kinds), Service)
    for wrong in ({"tokens": 0}, {"slots": 0}, {"error_share": 2}, {"error_status": 404}, {"speed": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"kind": "model", **wrong}, kinds)
