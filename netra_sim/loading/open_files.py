"""Room for thousands of sockets in one process."""

from collections.abc import Iterator
from contextlib import contextmanager

_OTHER_FILES = 100
"""Files that a process has open in addition to its sockets."""


@contextmanager
def room_for_sockets(count: int) -> Iterator[None]:
    """Raise the soft limit of open files for the block if so many sockets need more; Windows has no such limit.

    Raises:
        RuntimeError: the hard limit is too low.
    """
    try:
        import resource
    except ImportError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise RuntimeError(
            f"{count:,} clients take {needed:,} open files in each process, and the machine allows {hard:,}; "
            "take fewer, or raise the limit (ulimit -n)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
