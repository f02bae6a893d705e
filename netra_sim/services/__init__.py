"""Stand-in services for a back end under test: a model service, Redis and an HTTP echo, on any asyncio loop."""

from typing import TYPE_CHECKING

from netra_sim.lazy import on_first_use

if TYPE_CHECKING:
    from netra_sim.services.conditions import Conditions
    from netra_sim.services.echo import Echo
    from netra_sim.services.kinds import SERVICES
    from netra_sim.services.model import Model
    from netra_sim.services.redis import Redis
    from netra_sim.services.service import HttpService, Record, Running, Service, serving

__all__ = [
    "SERVICES",
    "Conditions",
    "Echo",
    "HttpService",
    "Model",
    "Record",
    "Redis",
    "Running",
    "Service",
    "serving",
]

__getattr__ = on_first_use(
    __name__,
    {
        "SERVICES": "kinds",
        "Conditions": "conditions",
        "Echo": "echo",
        "HttpService": "service",
        "Model": "model",
        "Record": "service",
        "Redis": "redis",
        "Running": "service",
        "Service": "service",
        "serving": "service",
    },
)
