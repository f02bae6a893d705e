"""Load runs: real clients in one process, a real server in another, one History."""

from netra_sim.loading.load_test import load
from netra_sim.loading.plan import MOST_USERS, Load
from netra_sim.loading.targets import TargetError, target_of, try_to_connect

__all__ = [
    "MOST_USERS",
    "Load",
    "TargetError",
    "load",
    "target_of",
    "try_to_connect",
]
