"""The names of the gauges that a History holds samples of."""

ASYNCIO_REPLACED = "asyncio functions replaced"
"""How many functions of asyncio are replaced, seen from code that is not decorated."""

CONNECTIONS_CUT = "connections cut"
"""How many connections the clients of a load run have broken on purpose."""

CONTEXTS_READ = "context variables read"
"""How many events were published in a context that bears a mark."""

CONTROL_LATENCY = "control latency"
"""Half of the seconds that a round trip to a bare echo takes, from when it was due: the latency of the machine itself."""

DRIVER_LATENESS = "driver lateness"
"""Seconds from when a request was due until the load driver sent it; latencies count from when it was due."""

ENGINES_COMPARED = "engines probed for shared state"
"""How many engines a probe has compared."""

LOOP_STEPS = "loop steps"
"""How many steps the event loop has taken since its beginning."""

MOST_UNSENT_BYTES = "most unsent bytes of one connection"
"""Bytes that wait to be sent on the connection with the most of them."""

OUTBOX_BYTES = "outbox bytes"
"""Bytes that wait to be sent on all connections."""

REPLAY_BYTES = "replay bytes"
"""Bytes that the bridge keeps for clients that come back."""
