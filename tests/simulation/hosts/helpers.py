"""What the tests of the virtual network share."""

import asyncio

from netra_sim.runtime import run
from netra_sim.simulation.hosts.network_loop import NetworkLoop


def run_on_hosts(main, seed=1, **options):
    return run(main(), loop_factory=lambda: NetworkLoop(seed=seed, **options))


async def on(host, coroutine):
    """Run a coroutine as part of the process of a host."""
    return await start_on(host, coroutine)


def start_on(host, coroutine):
    return asyncio.get_running_loop().create_task_in(host.process, coroutine, host.name)


def add_hosts(*names, **options):
    network = asyncio.get_running_loop().network
    return [network.add_host(name, **options) for name in names]


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    writer.close()


async def start_echo(host):
    return await on(host, asyncio.start_server(echo, "0.0.0.0", 80))
