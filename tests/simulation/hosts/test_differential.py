"""Protocols and streams are told the same on the virtual network as on real sockets."""

import asyncio
import gc
import sys

import pytest

from netra_sim.runtime import run
from netra_sim.simulation.hosts.network_loop import NetworkLoop
from tests.simulation.hosts.programs import PROGRAMS, observed

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the virtual hosts run Linux"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # asyncio leaves a socket whose protocol was refused
]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_virtual_network_and_real_sockets_tell_a_program_the_same(name):
    virtual = run(observed(PROGRAMS[name]), loop_factory=NetworkLoop)
    real = run(observed(PROGRAMS[name]), loop_factory=asyncio.SelectorEventLoop)
    gc.collect()
    assert virtual == real
