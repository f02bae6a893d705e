"""Login over real sockets: programs by a header, pages by a subprotocol or a cookie; and the refusal of other clients."""

import asyncio
import json
import os

import jwt
import pytest
from carriers import over_asgi, over_websockets
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from netra_sim import AgentWebSocketBridge, ExecutionEngineFactory
from netra_sim.server import (
    AgentService,
    AuthenticationError,
    AuthenticationUnavailableError,
    Handshake,
    KeySet,
    PublicKeys,
    ServerLimits,
    SharedSecrets,
    TokenAuthenticator,
    bearer_token,
)

PAGE = "https://app.example"
both = pytest.mark.parametrize("carrier", [over_websockets, over_asgi])
real_time = pytest.mark.real_time


def handshake(**headers):
    return Handshake(headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()))


@both
@real_time
@pytest.mark.parametrize("way", ["subprotocol", "cookie", "header"])
async def test_a_page_of_a_listed_origin_logs_in(carrier, way):
    async with carrier(origins=[None, PAGE]) as place:
        token = place.tokens.issue("alice")
        given = {
            "subprotocol": {"subprotocols": ["netra.v1", f"bearer.{token}"], "headers": {"Origin": PAGE}},
            "cookie": {"headers": {"Origin": PAGE, "Cookie": f"theme=dark; netra_token={token}; b@d=1"}},
            "header": {"headers": {"Origin": PAGE, "Authorization": f"Bearer {token}"}},
        }[way]
        client = await place.connect(**given)
        assert client.socket.subprotocol == ("netra.v1" if way == "subprotocol" else None)
        assert (await client.resume())["user_id"] == "alice"


@both
@real_time
@pytest.mark.parametrize(
    ("headers", "subprotocols", "code"),
    [
        ({}, ["netra.v1"], 4401),
        ({}, ["netra.v1", "bearer.x.y.z"], 4401),
        ({}, ["netra.v1", "bearer.{alice}", "bearer.{alice}"], 4401),
        ({"Authorization": "Bearer {alice}"}, ["netra.v1", "bearer.{alice}"], 4401),
        ({"Cookie": "netra_token=nonsense"}, None, 4401),
        ({"Cookie": "netra_token={alice}; netra_token={alice}"}, None, 4401),
        ({"Authorization": "Bearer {alice}", "Origin": "https://evil.example"}, None, 4403),
        ({"Authorization": "Bearer {alice}", "Origin": "null"}, None, 4403),
        ({"Authorization": "Bearer {alice}", "Origin": "http://app.example"}, None, 4403),
        ({"Authorization": "Bearer {alice}", "Origin": "https://app.example:444"}, None, 4403),
        ({"Authorization": "Bearer {alice}", "Origin": "https://app.example.evil.example"}, None, 4403),
        ({"Cookie": "netra_token={alice}", "Origin": "https://evil.example"}, ["netra.v1"], 4403),
    ],
)
async def test_a_refused_page_gets_a_close_code(carrier, headers, subprotocols, code):
    async with carrier(origins=[None, PAGE]) as place:
        alice = place.tokens.issue("alice")
        headers = {name: value.replace("{alice}", alice) for name, value in ({"Origin": PAGE} | headers).items()}
        offered = [one.replace("{alice}", alice) for one in subprotocols] if subprotocols else None
        client = await place.connect(headers=headers, subprotocols=offered)
        assert client.socket.subprotocol == ("netra.v1" if offered else None)
        assert await client.closed() == code
        assert place.bridge.metrics().live_connections == 0


@both
@real_time
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Nothing": "1"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer x.y.z"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer " + "x" * 8_000},
        {"Cookie": "netra_token={alice}"},  # without an origin, this could be a page of another site
        {"Authorization": "Token {alice}"},
    ],
)
async def test_a_refused_program_gets_an_http_status_before_the_handshake(carrier, headers):
    async with carrier() as place:
        alice = place.tokens.issue("alice")
        with pytest.raises(InvalidStatus) as refusal:
            await place.connect(headers={name: value.replace("{alice}", alice) for name, value in headers.items()})
        assert refusal.value.response.status_code == 401


@real_time
async def test_the_token_in_an_address_proves_nothing():
    async with over_websockets() as place:
        uri = f"{place.uri}/?token={place.tokens.issue('alice')}&access_token={place.tokens.issue('alice')}"
        with pytest.raises(InvalidStatus):
            await connect(uri)


class Slow:
    """An authenticator with a behaviour that the test sets."""

    def __init__(self, answer):
        self.answer = answer

    async def authenticate(self, handshake):
        return await self.answer()

    async def authenticate_token(self, token):
        return await self.answer()


async def _unavailable():
    raise AuthenticationUnavailableError("the key set cannot be fetched")


async def _broken():
    raise ZeroDivisionError


async def _hangs():
    await asyncio.Event().wait()


@real_time
@pytest.mark.parametrize("answer", [_unavailable, _broken, _hangs])
async def test_clients_must_try_later_while_proofs_cannot_be_checked(answer):
    async with over_websockets(origins=[None, PAGE], limits=ServerLimits(authentication_seconds=0.1)) as place:
        place.service._authenticator = Slow(answer)
        with pytest.raises(InvalidStatus) as refusal:
            await place.connect()
        assert refusal.value.response.status_code == 503
        assert refusal.value.response.headers["Retry-After"] == "1"
        assert await (await place.connect(headers={"Origin": PAGE})).closed() == 1013


def test_an_address_with_a_path_is_not_an_origin():
    for origin in ("https://app.example/page", "app.example", "https://*.example", "", "https://"):
        with pytest.raises(ValueError, match="scheme and a host"):
            _service(origins=[origin])
    _service(origins=[None, "HTTPS://App.Example:443/", "http://[::1]:8080"])


def _service(**options):
    bridge = AgentWebSocketBridge()
    return AgentService(bridge=bridge, execution_factory=ExecutionEngineFactory(websocket_bridge=bridge), **options)


def test_a_token_is_taken_from_one_place_only():
    assert bearer_token(handshake(authorization="bearer  t.o.k")) == "t.o.k"
    assert bearer_token(handshake(sec_websocket_protocol="netra.v1, bearer.t.o.k")) == "t.o.k"
    assert bearer_token(handshake(cookie="netra_token=t", origin=PAGE, sec_websocket_protocol="bearer.s")) == "s"
    for nobody in (handshake(), handshake(cookie="netra_token=t"), handshake(sec_websocket_protocol="bearer.")):
        with pytest.raises(AuthenticationError):
            bearer_token(nobody)


PRIVATE, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
PEM = PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
).decode()  # fmt: skip
CLAIMS = {"sub": "alice", "aud": "netra_sim", "iss": "https://id.example", "exp": 9_000_000_000}


def signed(key=PRIVATE, algorithm="RS256", kid="a", **claims):
    return jwt.encode(CLAIMS | claims, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


async def test_only_tokens_signed_by_the_provider_with_rs256_are_accepted():
    tokens = TokenAuthenticator(PublicKeys({"a": PEM}), issuer="https://id.example")
    assert (await tokens.authenticate_token(signed())).user_id == "alice"
    assert (await tokens.authenticate_token(signed(kid=None))).user_id == "alice"
    confused = jwt.api_jws.encode(json.dumps(CLAIMS).encode(), b"x" * 40, algorithm="HS256", headers={"kid": "a"})
    refused = [
        signed(OTHER),
        signed(kid="b"),
        signed(iss="https://evil.example"),
        signed(aud="else"),
        signed(exp=1),
        signed(nbf=8_999_999_999),
        signed(sub="registry"),
        signed(exp=1e300),
        signed(iat="x"),
        confused,
        jwt.encode(CLAIMS, None, algorithm="none"),
        "",
        "a.b",
        "..",
        "x" * 10_000,
    ]
    for token in refused:
        with pytest.raises(AuthenticationError):
            await tokens.authenticate_token(token)
    with pytest.raises(TypeError, match="only secrets sign"):
        tokens.issue("alice")


async def test_secrets_can_be_rotated_without_logging_users_out(tmp_path):
    old, new = "old " + "o" * 32, "new " + "n" * 32
    before = TokenAuthenticator(SharedSecrets.parse(old)).issue("alice")
    both_known = TokenAuthenticator(SharedSecrets.parse(f"# rotated\n{new}\n{old}\n"))
    assert (await both_known.authenticate_token(before)).user_id == "alice"
    after = TokenAuthenticator(SharedSecrets.parse(new))
    assert (await after.authenticate_token(both_known.issue("alice"))).user_id == "alice"
    with pytest.raises(AuthenticationError):
        await after.authenticate_token(before)


@pytest.mark.parametrize("text", ["", "# nothing", "short", "a b c", f"k {'x' * 32}\nk {'y' * 32}"])
def test_a_wrong_secret_file_is_refused(text):
    with pytest.raises(ValueError, match=r"secret|twice"):
        SharedSecrets.parse(text)


async def test_a_secret_file_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "secret"
    token = TokenAuthenticator(SharedSecrets.from_file(path)).issue("alice")
    if os.name == "posix":  # Windows protects a user's files by their folder
        assert path.stat().st_mode & 0o777 == 0o600
    again = TokenAuthenticator(SharedSecrets.from_file(path))
    assert (await again.authenticate_token(token)).user_id == "alice"


class Provider:
    """The key set of an identity provider, which can rotate its keys and be down."""

    def __init__(self):
        self.kids = {"a": PRIVATE}
        self.is_up = True
        self.fetches = 0

    def __call__(self, url):
        self.fetches += 1
        if not self.is_up:
            raise OSError("down")
        keys = [
            json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"}
            for kid, key in self.kids.items()
        ]
        return json.dumps({"keys": [{"kty": "EC", "kid": "z"}, *keys]})


@real_time
async def test_a_provider_may_rotate_its_keys_and_be_down_for_a_while():
    now, provider = [100.0], Provider()
    tokens = TokenAuthenticator(KeySet("https://id.example/keys", fetch=provider, clock=lambda: now[0]))
    await asyncio.gather(*(tokens.authenticate_token(signed()) for _ in range(20)))
    assert provider.fetches == 1
    for _ in range(5):  # invented key ids do not make the server fetch repeatedly
        with pytest.raises(AuthenticationError):
            await tokens.authenticate_token(signed(OTHER, kid="b"))
    assert provider.fetches == 1
    provider.kids = {"b": OTHER}
    now[0] += 11
    assert (await tokens.authenticate_token(signed(OTHER, kid="b"))).user_id == "alice"
    provider.is_up = False
    now[0] += 1000
    assert (await tokens.authenticate_token(signed(OTHER, kid="b"))).user_id == "alice"
    with pytest.raises(AuthenticationError):
        await tokens.authenticate_token(signed())


@real_time
@pytest.mark.parametrize(
    "body", [None, "", "[]", "{}", '{"keys": 7}', '{"keys": [7]}', '{"keys": [{"kty": "RSA", "n": 1}]}']
)
async def test_an_invalid_key_set_makes_authentication_unavailable(body):
    def fetch(url):
        if body is None:
            raise OSError("down")
        return body

    tokens = TokenAuthenticator(KeySet("https://id.example/keys", fetch=fetch))
    with pytest.raises(AuthenticationUnavailableError):
        await tokens.authenticate_token(signed())
