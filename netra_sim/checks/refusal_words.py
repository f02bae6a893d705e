"""How a system turned a request or a connection away, in everyday words."""

import re

_STATUS = re.compile(r"http (\d+)\Z")
_FIRST_FAILURE = 500
"""HTTP: from this status on, the server says that it failed; below, that it does not want the request."""


def turned_away(code: str) -> str:
    """What a system did instead of answering, as the rest of a sentence.

    Examples: "was refused with status 429", "failed with status 500" and "was refused with engine_limit".

    Args:
        code: as the client recorded it: "http" with a status, or the system's own word.
    """
    status = _STATUS.match(code)
    if status is None:
        return f"was refused with {code}" if code else "was refused"
    verb = "failed" if int(status[1]) >= _FIRST_FAILURE else "was refused"
    return f"{verb} with status {status[1]}"
