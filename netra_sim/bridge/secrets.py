"""Finds secrets in payloads by the names of their keys and by the look of their values.

A name is read word by word and judged by its last one, so that ``apiKey``, ``API_KEY`` and ``db-password`` are secrets
while ``max_tokens``, ``token_count``, ``author`` and ``monkey`` are not (incident B11).
"""

import re

REDACTED = "[redacted]"

ANY_WORD = 20
"""A word of fewer characters, made of letters, digits and underscores only, matches none of the patterns below."""

_SECRET_WORDS = frozenset(
    {
        "password",
        "passwords",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "secrets",
        "token",
        "apikey",
        "apitoken",
    }
    | {"authorization", "credential", "credentials", "cookie", "cookies", "jwt", "bearer"}
)
_SECRET_PAIRS = frozenset(
    {("api", "key"), ("api", "keys"), ("access", "key"), ("private", "key"), ("secret", "key")}
    | {("signing", "key"), ("encryption", "key"), ("session", "key"), ("connection", "string")}
)
# Written as one word, such as "dbpassword" and "clientsecret".
_SECRET_ENDINGS = ("password", "passwd", "passphrase", "secret", "apikey", "authtoken", "accesstoken")
# A cursor of a list that comes in pages opens nothing.
_NO_SECRETS = frozenset({("page", "token"), ("next", "token"), ("continuation", "token"), ("sync", "token")})
# "password_hash" still holds the password's secret; "password_hint" and "token_count" do not.
_STILL_SECRET = frozenset(
    {"value", "hash", "header", "text", "pem", "confirm", "confirmation", "base64", "encoded", "raw", "plain"}
)

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_NAMED = re.compile("passw|pwd|secret|key|token", re.IGNORECASE)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?P<keep>\b[a-zA-Z][a-zA-Z0-9+.\-]{0,30}://[^\s:/@]*:)[^\s/@]+(?=@)"), rf"\g<keep>{REDACTED}"),
    (
        re.compile(
            r"(?P<keep>(?<![A-Za-z0-9])"
            r"(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token)\\?[\"']?\s*[=:]\s*)"
            r"(?:\\?\"[^\"]*\"|'[^']*'|[^\s;&,'\"=]+)",
            re.IGNORECASE,
        ),
        rf"\g<keep>{REDACTED}",
    ),
    (re.compile(r"(?P<keep>\b[Bb]earer )[A-Za-z0-9._~+/\-]{8,}=*"), rf"\g<keep>{REDACTED}"),
    (re.compile(r"\bsk-[A-Za-z0-9_\-]{16,}"), REDACTED),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), REDACTED),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}"), REDACTED),
    (re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*"), REDACTED),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        REDACTED,
    ),
)


def is_secret_name(name: str) -> bool:
    """Whether a key of this name holds a secret, whatever its value looks like."""
    words = [word.lower() for word in _WORD.findall(name)]
    while len(words) > 1 and (words[-1] in _STILL_SECRET or words[-1].isdigit()):
        words.pop()
    if not words or tuple(words[-2:]) in _NO_SECRETS:
        return False
    last = words[-1]
    return last in _SECRET_WORDS or last.endswith(_SECRET_ENDINGS) or tuple(words[-2:]) in _SECRET_PAIRS


def is_harmless(text: str) -> bool:
    """Whether the text has none of the parts of which every pattern needs one.

    The test for a rare character comes before that for a whole substring, since it is the cheaper one by far.
    """
    return not (
        "=" in text
        or (":" in text and ("://" in text or _NAMED.search(text)))
        or ("-" in text and ("sk-" in text or "-----BEGIN" in text))
        or ("_" in text and "gh" in text)
        or ("J" in text and "eyJ" in text)
        or ("K" in text and "AKIA" in text)
        or "earer " in text
    )


def redact_text(text: str) -> str:
    """The text with passwords in URLs, tokens, keys and ``password=...`` pairs replaced by a mark."""
    if is_harmless(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
