"""The names of the gauges whose samples a History holds."""

ASYNCIO_REPLACED = "asyncio functions replaced"
"""How many asyncio functions are replaced, as code sees them that is not decorated."""

CONNECTIONS_CUT = "connections cut"
"""How many connections the clients of a load run broke on purpose."""

CONTEXTS_READ = "context variables read"
"""How many events were published in a context with a mark."""

CONTROL_LATENCY = "control latency"
"""Half of the seconds from when a round trip to a bare echo was due to its end: the latency of the machine itself."""

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
