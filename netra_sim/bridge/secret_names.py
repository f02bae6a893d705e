"""Decides whether a name is the name of a secret.

The last word of the name decides: ``apiKey``, ``API_KEY`` and ``db-password`` name secrets; ``max_tokens``, ``token_count``,
``author`` and ``monkey`` do not (incident B11).
"""

import re

REDACTED = "[redacted]"

_SECRET_WORDS = frozenset(
    {"password", "passwords", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "apikey", "apitoken"}
    | {"authorization", "credential", "credentials", "cookie", "cookies", "jwt", "bearer"}
)
_SECRET_PAIRS = frozenset(
    {("api", "key"), ("api", "keys"), ("access", "key"), ("private", "key"), ("secret", "key")}
    | {("signing", "key"), ("encryption", "key"), ("session", "key"), ("connection", "string")}
)
# For names written as one word, such as "dbpassword" and "clientsecret".
_SECRET_ENDINGS = ("password", "passwd", "passphrase", "secret", "apikey", "authtoken", "accesstoken")
# Cursors of paged lists give access to nothing.
_NO_SECRETS = frozenset({("page", "token"), ("next", "token"), ("continuation", "token"), ("sync", "token")})
# "password_hash" is still a secret; "password_hint" and "token_count" are not.
_STILL_SECRET = frozenset(
    {"value", "hash", "header", "text", "pem", "confirm", "confirmation", "base64", "encoded", "raw", "plain"}
)

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_NAME_WORDS = frozenset(
    {"name", "key", "header", "field", "variable", "parameter", "param", "property", "attribute", "label"}
)
_VALUE_WORDS = frozenset({"value", "values", "val"})


def is_secret_name(name: str) -> bool:
    """Whether the value of a key with this name is a secret, whatever it looks like."""
    words = [word.lower() for word in _WORD.findall(name)]
    while len(words) > 1 and (words[-1] in _STILL_SECRET or words[-1].isdigit()):
        words.pop()
    if not words or tuple(words[-2:]) in _NO_SECRETS:
        return False
    last = words[-1]
    return last in _SECRET_WORDS or last.endswith(_SECRET_ENDINGS) or tuple(words[-2:]) in _SECRET_PAIRS


def is_name_key(name: str) -> bool:
    """Whether a key with this name holds a name, as ``name`` does in a header ``{"name": ..., "value": ...}``."""
    return _last_word(name) in _NAME_WORDS


def is_value_key(name: str) -> bool:
    """Whether a key with this name holds the value for the name in another key, as ``value`` does in a header."""
    return _last_word(name) in _VALUE_WORDS


def _last_word(name: str) -> str:
    words = _WORD.findall(name)
    return words[-1].lower() if words else ""
