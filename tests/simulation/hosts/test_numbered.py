"""The connections of a server have the same order in every process."""

import asyncio

from netra_sim.runtime import run
from netra_sim.simulation.hosts.host import PROCESS
from netra_sim.simulation.hosts.network_loop import NetworkLoop


class Echo(asyncio.Protocol):
    def __init__(self, found):
        self.found = found

    def connection_made(self, transport):
        self.found.add(self)


class Named(Echo):
    def __hash__(self):
        return 7


async def connections(kind):
    loop, found = asyncio.get_running_loop(), set()
    PROCESS.set(loop.network.add_host("server").process)
    await loop.create_server(lambda: kind(found), "0.0.0.0", 80)
    for _ in range(5):
        await loop.create_connection(asyncio.Protocol, "server", 80)
    await asyncio.sleep(1)
    return found


def test_protocols_hash_by_the_order_in_which_they_were_made_and_stay_what_they_were():
    found = run(connections(Echo), loop_factory=NetworkLoop)
    assert sorted(map(hash, found)) == list(range(5))
    assert all(isinstance(one, Echo) and type(one).__name__ == "Echo" for one in found)


def test_a_hash_of_the_class_itself_stays():
    found = run(connections(Named), loop_factory=NetworkLoop)
    assert {hash(one) for one in found} == {7}
    assert all(type(one) is Named for one in found)
