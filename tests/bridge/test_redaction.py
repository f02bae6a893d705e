"""Redaction finds secrets in all places, leaves other values alone, and is not slow for any text."""

import collections
import json
import re
import sys
import time
import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.bridge import AgentWebSocketBridge, AuthenticatedUser, BridgeLimits, MemoryTransport
from netra_sim.bridge.secrets import is_harmless, redact_text
from netra_sim.simulation import run_virtual

MARK = "[redacted]"
BASIC = "Basic Ym9iOlMzQ1JFVA=="  # bob:S3CRET
SECRET = "S3CRET"


async def carry(payloads, **limits):
    bridge = AgentWebSocketBridge(limits=BridgeLimits(**limits))
    await bridge.ensure_integration()
    transport = MemoryTransport()
    bridge.connect(AuthenticatedUser("alice"), transport)
    emitter = bridge.open_run(user_id="alice", thread_id="t", run_id="r")
    emitter.agent_started("agent")
    for payload in payloads:
        emitter.agent_thinking(payload)
    await bridge.shutdown()
    return [json.loads(frame)["reasoning"] for frame in transport.frames[2:]]


def carried(payload, **limits):
    # Twice, because the names remembered from the first value must not let the second one through.
    first, second = run_virtual(carry([payload, payload], **limits))
    assert first == second
    return first


class Login(typing.NamedTuple):
    user: str
    password: str


Header = collections.namedtuple("Header", "name value")


class Name(str):
    pass


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        (("Authorization", SECRET), ["Authorization", MARK]),
        ([["X-Api-Key", SECRET], ["Accept", "*/*"]], [["X-Api-Key", MARK], ["Accept", "*/*"]]),
        ({"headers": [("cookie", SECRET), ("host", "a")]}, {"headers": [["cookie", MARK], ["host", "a"]]}),
        ([{"request": {"headers": [["Cookie", SECRET]]}}], [{"request": {"headers": [["Cookie", MARK]]}}]),
        ([[Name("password"), Name(SECRET)]], [["password", MARK]]),
        ({"form": [["password", ["a", SECRET]]]}, {"form": [["password", MARK]]}),
        ({"password": SECRET}.items(), [["password", MARK]]),
        ([{"name": "Authorization", "value": SECRET}], [{"name": "Authorization", "value": MARK}]),
        ([{"key": "password", "value": SECRET}], [{"key": "password", "value": MARK}]),
        ({"Key": "db_password", "Value": SECRET}, {"Key": "db_password", "Value": MARK}),
        ({"value": SECRET, "name": "API_KEY"}, {"value": MARK, "name": "API_KEY"}),
        ({"headerName": "Cookie", "headerValue": SECRET}, {"headerName": "Cookie", "headerValue": MARK}),
        (Header("token", SECRET), {"name": "token", "value": MARK}),
        (Login("bob", SECRET), {"user": "bob", "password": MARK}),
        ({"logins": [Login("bob", SECRET)]}, {"logins": [{"user": "bob", "password": MARK}]}),
        (np.array([("bob", SECRET)], dtype=[("user", "U8"), ("password", "U8")]), [{"user": "bob", "password": MARK}]),
        (f"password={SECRET}".encode(), MARK),
        (bytearray(b'{"token": ["S3CRET"]}'), MARK),
        (memoryview(b"-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----\n"), MARK),
        (b"\xff\x00 Authorization: " + BASIC.encode(), MARK),
        ([(b"x-token", SECRET.encode())], [["eC10b2tlbg==", MARK]]),
        (f"Authorization: {BASIC}", f"Authorization: Basic {MARK}"),
        (f"use {BASIC} here", f"use Basic {MARK} here"),
        ("basic Ym9iOlMzQ1JFVA", f"basic {MARK}"),
        ("BASIC Ym9iOlMzQ1JFVA==", f"BASIC {MARK}"),
        (f"BEARER {SECRET}{SECRET}", f"BEARER {MARK}"),
        (f"authorization: ApiKey {SECRET}", f"authorization: ApiKey {MARK}"),
        (f"Cookie: sid={SECRET}; theme=dark\r\nHost: a", f"Cookie: {MARK}\r\nHost: a"),
        ('{"password": "hun\\"S3CRET"}', f'{{"password": "{MARK}"}}'),
        ('{"password": "a\\\\", "b": "c"}', f'{{"password": "{MARK}", "b": "c"}}'),
        ('{"password": ["a", "S3CRET"]}', f'{{"password": "{MARK}"}}'),
        ('{"token": {"a": ["}", "S3CRET"]}, "b": 1}', f'{{"token": "{MARK}", "b": 1}}'),
        ('[["X-Api-Key", "S3CRET"]]', f'[["X-Api-Key", "{MARK}"]]'),
        ('[{"name": "Cookie", "value": "S3CRET"}]', f'[{{"name": "Cookie", "value": "{MARK}"}}]'),
        ('{"pass\\u0077ord": "S3CRET", "key": 1}', f'{{"password": "{MARK}", "key": 1}}'),
        ('got {"clientSecret": "hun\\"S3CRET", "n": 1} back', f'got {{"clientSecret": "{MARK}", "n": 1}} back'),
        ('got {"password": ["a", "S3CRET"]} back', f'got {{"password": "{MARK}"}} back'),
        ('cut off: {"password": "S3CR', f'cut off: {{"password": "{MARK}'),
        ('cut off: {"password": ["a", "S3CR', f'cut off: {{"password": "{MARK}"'),
        (r"password='it\'s S3CRET'", f"password='{MARK}'"),
        ("{'password': b'S3CRET', 'n': 1}", f"{{'password': b'{MARK}', 'n': 1}}"),
        ('"password" => "S3CRET"', f'"password" => "{MARK}"'),
        (f"token=Bearer {SECRET}{SECRET}", f"token={MARK} {MARK}"),
        (f"x-eyJhbGciOiJI.eyJzdWIiOiJi.{SECRET} y..z", f"x-{MARK} y..z"),
    ],
)  # fmt: skip
def test_a_secret_is_replaced_and_its_surroundings_stay(payload, sent):
    assert carried(payload) == sent


@pytest.mark.parametrize(
    "payload",
    [
        ["services", "prices"],
        [["inference", "storage"], ["host", "a"]],
        [["token", 17], ["password", 3]],  # counts of these words
        ["password", None],
        ["password", "token", "key"],
        {"key": "primary", "value": "x"},
        {"name": "author", "value": "Ann"},
        {"name": "token", "value": None},
        {"value": "just a value"},
        {"message": "password", "value": 5},
        "Basic knowledge of basic authentication is assumed.",
        "basic understanding",
        "Authorization: see the docs",
        "authorization: required for administrators",
        "cookie: none",
        'a text with ["brackets"], and a token',
        '{"next_page_token": "abc", "max_tokens": 3, "author": "x"}',
        'see {"token": null, "password": false, "n": 1e400}',
        '{"key": 1.0, "token_count":   2}',
        "[1, 2] and the key",
        "a..b...c eyJ.eyJ.x",
    ],
)
def test_a_value_that_only_looks_like_a_secret_stays_unchanged(payload):
    assert carried(payload) == payload


@pytest.mark.parametrize(("data", "sent"), [(b"hello", "aGVsbG8="), (b"\x00\xff", "AP8="), (b"", "")])
def test_bytes_without_a_secret_are_base64(data, sent):
    assert carried(data) == sent


INNOCENT = st.text(st.sampled_from("ab \"'\\{}[]:,=é1\n"), max_size=8)
AROUND = st.sampled_from(["{}", "got {} back", 'x: "y" {}', "{} 'z'"])


@given(INNOCENT, INNOCENT, st.integers(0, 5), AROUND, st.sampled_from(["password", "apiKey", "X-Token", "Set-Cookie"]))
def test_json_in_json_hides_no_secret_at_any_depth(before, after, depth, around, name):
    value = {name: before + SECRET + after, "other": before}
    for level in range(depth):
        value = {"inner": json.dumps(value, ensure_ascii=level % 2 == 0), "after": after}
    (sent,) = run_virtual(carry([around.replace("{}", json.dumps(value))]))
    assert SECRET not in sent


@st.composite
def spelled(draw, words):
    """A word in which each letter may be any character that a pattern takes for it when it ignores case."""
    return "".join(draw(st.sampled_from(SAME_LETTERS.get(letter, letter))) for letter in draw(st.sampled_from(words)))


LETTERS = re.findall("[a-z]", "".join(map(chr, range(sys.maxunicode + 1))), re.IGNORECASE)
SAME_LETTERS = {
    letter: [one for one in LETTERS if re.match(letter, one, re.IGNORECASE)] for letter in "abcdefghijklmnopqrstuvwxyz"
}
NAMES = [
    "key",
    "token",
    "secret",
    "passw",
    "passphrase",
    "pwd",
    "authori",
    "credential",
    "cookie",
    "jwt",
    "bearer",
    "connection",
]
FORMS = [
    "password", "api_key", "token", "authorization", "set-cookie", "client_secret", "bearer abcdefgh12345",
    "basic Ym9iOlMzQ1JFVA==", "session key", "connection string", "db-credentials", "jwt",
]  # fmt: skip
VALUES = st.sampled_from([
    "https://a:", "sk-a1a1a1a1a1a1a1a1a1", "AKIAA1A1A1A1A1A1A1A1", "ghp_a1a1a1a1a1a1a1a1a1a1a1a1",
    "eyJhbGciOiJI.eyJzdWIiOiIx.x", "digest a1b2c3d4", "-----BEGIN PRIVATE KEY-----", "S3CRET-S3CRET", "session=S3CRET",
])  # fmt: skip
PIECES = (
    spelled(FORMS)
    | VALUES
    | st.sampled_from(['"', "'", ":", ": ", "[", "@host", " ", ", ", "\\", "\n"])
    | st.text(max_size=3)
)


@given(st.lists(PIECES, max_size=7).map("".join))
def test_no_pattern_finds_a_secret_in_a_text_that_is_harmless(text):
    if is_harmless(text):
        seen = "=\n" + text  # the sign of equality makes it a text that all patterns search
        assert redact_text(seen) == seen


@given(spelled(NAMES), st.text(max_size=5), st.text(max_size=5))
def test_a_name_is_seen_in_every_spelling_that_the_patterns_accept(name, before, after):
    assert not is_harmless(f"{before}{name}:{after}")
    assert not is_harmless(f"[{before}{name}{after}")


@given(st.text(alphabet=st.characters(exclude_characters="=[-_JK")))
def test_a_text_with_a_colon_and_no_name_of_a_secret_is_harmless(text):
    sought = re.compile("|".join([*NAMES, "earer ", "asic ", "://"]), re.IGNORECASE)
    # Harmless texts may look like names after folding, such as those with a sharp s; they are searched in vain.
    assert is_harmless(text + ":") or sought.search(text) or sought.search(text.casefold())


@given(INNOCENT, INNOCENT, st.sampled_from([[SECRET], ["a", SECRET], {"a": SECRET}, [{"b": [SECRET]}]]))
def test_lists_and_objects_under_a_secret_name_are_replaced_as_a_whole(before, after, secret):
    text = json.dumps({"x": before, "password": secret, "y": after})
    for payload in (text, f"got {text} back", repr({"x": 1, "password": secret, "y": 2})):
        (sent,) = run_virtual(carry([payload]))
        assert SECRET not in sent


@pytest.mark.parametrize(
    "attack",
    [
        lambda n: "a_" * n + "=",
        lambda n: "a" * n + "://",
        lambda n: "a-" * n + ":",
        lambda n: "://" * n,
        lambda n: "a.a.a://x:y" * n,
        lambda n: "token" * n + ":",
        lambda n: "token" + " " * n + ":",
        lambda n: 'token="' * n,
        lambda n: "token:[" * n,
        lambda n: "password='" + "\\'" * n,
        lambda n: "\\" * n + "token:",
        lambda n: '\\"' * n + "token:",
        lambda n: '"a": ' * n + "token:",
        lambda n: "authorization:" * n,
        lambda n: "cookie:" * n,
        lambda n: "bearer " * n,
        lambda n: "basic " * n,
        lambda n: "eyJ-" * n,
        lambda n: "eyJaaaaaaaa." * n,
        lambda n: "-----BEGIN " * n,
        lambda n: "-----BEGIN " + "PRIVATE KEY " * n,
        lambda n: "sk-" * n,
        lambda n: "[" * n + "token:",
        lambda n: json.dumps([{"token": 1, "k": "v"}] * (n // 8)),
        lambda n: json.dumps([json.dumps({"password": "x"})] * (n // 16)),
        lambda n: ("password=x " * n).encode(),
        lambda n: [["token", "x"]] * n,
        lambda n: [{"name": "a", "value": "x"}] * n,
        lambda n: {f"value{number}": "x" for number in range(n)},
    ],
)
def test_eight_times_the_text_takes_about_eight_times_as_long(attack):
    """A ratio does not depend on the machine; quadratic code would have a ratio of 64."""

    # Windows counts CPU time in steps of 16 ms.
    clock = time.perf_counter if sys.platform == "win32" else time.process_time

    def seconds(payload):
        best = float("inf")
        for _ in range(3):
            began = clock()
            run_virtual(carry([payload], event_bytes=10**8, replay_bytes=10**8, replay_total_bytes=10**9))
            best = min(best, clock() - began)
        return best

    assert seconds(attack(16_000)) < 24 * seconds(attack(2_000))
