"""The settings of the stand-in for Redis."""

from typing import ClassVar

from netra_sim.distributions import Constant, Distribution
from netra_sim.services.conditions import Conditions
from netra_sim.services.listening import Handler
from netra_sim.services.service import Record, Service


class Redis(Service, frozen=True, kw_only=True, tag="redis"):
    """An in-memory Redis, which the fakeredis package carries out behind Redis' own protocol (RESP2 and RESP3).

    Strings, hashes, lists, sets, sorted sets, streams, transactions, publish and subscribe, blocking commands and times to
    live work as fakeredis has them. Times to live of keys follow the loop's clock. Ids of stream entries, times to live of
    hash fields, idle times and ``TIME`` follow `time.time`; ``SPOP`` and ``RANDOMKEY`` draw from `random`.

    Lua scripts, and so the locks of redis-py, need the lupa package. There is no cluster and no persistence, any password
    is right, ``INFO`` tells little, and ``CLIENT PAUSE`` pauses nothing. The service records no work.

    A failed command (``error_share``) is answered as a Redis that still loads its data does, with ``LOADING``. A cut answer
    (``cut_share``) is a command that is carried out, and whose connection is reset in place of the reply. A rate limit
    refuses new connections as a Redis with too many clients does.

    Attributes:
        delay: the seconds from the arrival of bytes to the execution of the commands in them.
    """

    scheme: ClassVar[str] = "redis"

    delay: Distribution = Constant(0.0)

    def handler(self, conditions: Conditions, seed: int, record: Record) -> Handler:
        """What serves each connection."""
        from netra_sim.services.redis_server import RedisServer  # imports redis-py, which takes as long as all else

        return RedisServer(self.delay, conditions, seed)
