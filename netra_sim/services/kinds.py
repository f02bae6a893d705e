"""The kinds of services, by name."""

from netra_sim.registry import Registry
from netra_sim.services.echo import Echo
from netra_sim.services.model import Model
from netra_sim.services.redis import Redis
from netra_sim.services.service import Service

SERVICES: Registry[type[Service]] = Registry(
    "netra_sim.services", (Model, Redis, Echo), kind=type, name_of=lambda kind: str(kind.__struct_config__.tag)
)
"""All kinds of services by name, including those of other packages; a scenario file names one by its ``kind``."""
