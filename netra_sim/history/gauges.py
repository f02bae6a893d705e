"""The names of the gauges whose samples a History holds."""

ASYNCIO_REPLACED = "asyncio functions replaced"
"""How many asyncio functions are replaced, as code sees them that is not decorated."""

CONNECTIONS_CUT = "connections cut"
"""How many connections the clients of a load run broke on purpose."""

CONTEXTS_READ = "context variables read"
"""How many events were published in a context with a mark."""

CONTROL_LATENCY = "control latency"
"""Half of the seconds from when a round trip to a bare echo was due to its end: the latency of the machine itself."""

CPU_BUSY = "cpu busy"
"""How many seconds of CPU time the steps of the event loop took since its start."""

DRIVER_LATENESS = "driver lateness"
"""Seconds from when a request was due until the load driver sent it; latencies count from the due time."""

ENGINES_COMPARED = "engines probed for shared state"
"""How many live engines one comparison for shared state included."""

LOOP_STEPS = "loop steps"
"""How many steps the event loop took since its start."""

MOST_UNSENT_BYTES = "most unsent bytes of one connection"
"""Bytes that wait to be sent on the connection with the most."""

OUTBOX_BYTES = "outbox bytes"
"""Bytes that wait to be sent on all connections."""

REPLAY_BYTES = "replay bytes"
"""Bytes that the bridge keeps for replay."""

SECRETS_GIVEN = "secrets given to the system"
"""How often the system was given a planted secret, such as in its environment or in an error of a service."""

STEPS_READY = "loop steps ready"
"""How many steps of the event loop could run, and wait for the CPU."""

SYSTEM_CONNECTIONS = "connections of the system"
"""How many connections all processes of a system under test have, to clients and to services."""

SYSTEM_CPU = "cpu seconds of the system"
"""How many seconds of CPU time the process of a real system under test took since its start."""

SYSTEM_MEMORY = "resident bytes of the system"
"""How many bytes of memory the process of a real system under test occupies."""


def wait_for(resource: str) -> str:
    """The gauge that has a sample for every visit to a resource that is limited, such as "model", when the visit ends.

    Such a sample also names the user and the run. Its value is the seconds that the visit waited, its event how it ended:
    "served", with the seconds that it held its slot as the duration, "refused" because the queue was full, or "gave up".
    """
    return f"wait for {resource}"
