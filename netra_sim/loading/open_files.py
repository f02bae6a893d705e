"""Room for thousands of sockets in one process."""

from collections.abc import Iterator
from contextlib import contextmanager

_OTHERS = 100
"""Files that a process has open beside its sockets."""


@contextmanager
def room_for_sockets(count: int) -> Iterator[None]:
    """Raise this process's soft limit of open files where it is lower than so many sockets need; Windows has none.

    Raises:
        RuntimeError: the hard limit does not allow it.
    """
    try:
        import resource
    except ImportError:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + _OTHERS
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
