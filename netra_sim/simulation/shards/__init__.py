"""Simulates the users in several processes, and merges what these record to the History of one process.

Users act on each other only through the server. Where that cannot happen, each process simulates some of the users with a
server of its own, and these act as they do among all users:

* The users take turns within an instant (`TurnsLoop`), so that a turn is the same whoever else acts at that instant.
* The servers keep all events for replay; the merge works out which ones a common limit would have dropped, and when.
* The process of the last user tells the others when it has ended, and their servers go on until then.
* A process without users records what the servers do by themselves, which the merge must count only once.
* The engines that one process would compare for shared state are known once all users have ended. One more process simulates
  their users, and compares these engines. Their users must do the same there as before, in other company.

What the merge does not know, it refuses: the History is that of one process, or there is none.
"""

from netra_sim.simulation.shards.exactness import ShardsError, shards_for
from netra_sim.simulation.shards.sharded import simulate_in_shards

__all__ = ["ShardsError", "shards_for", "simulate_in_shards"]
