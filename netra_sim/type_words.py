"""Says in everyday words what msgspec says of a value that a field does not take: "a whole number", never `int`."""

import re

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`")
"""What msgspec says of a field that a table does not have."""

_TYPES = re.compile(r"`([a-z| ]+)`")
_BEGINNINGS = {
    "Expected ": "expected ",
    "Invalid value ": "there is no ",
    "Invalid enum value ": "there is no ",
    "Object contains unknown field ": "there is no field ",
    "Object missing required field ": "it lacks the field ",
}


def in_everyday_words(reason: str) -> str:
    """A reason of a `msgspec.ValidationError`, without its path, such as "expected a whole number >= 1".

    A reason that a type gives itself stays as it is.
    """
    beginning = next((one for one in _BEGINNINGS if reason.startswith(one)), None)
    if beginning is None:
        return reason
    rest = reason.removeprefix(beginning)
    if beginning == "Expected ":
        rest = _TYPES.sub(lambda found: " or ".join(_WORDS.get(one, one) for one in found[1].split(" | ")), rest)
        rest = rest.replace(", got ", ", and got ").replace("matching regex", "that matches")
    return f"{_BEGINNINGS[beginning]}{rest.replace('`', '')}"
