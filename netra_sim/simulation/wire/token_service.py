"""`TokenService`: issues and checks the tokens of simulated users; its faults are those of the handshake."""

import asyncio

from netra_sim.bridge import AuthenticatedUser
from netra_sim.randomness import key, uniform
from netra_sim.recording import CONTEXT_MARK
from netra_sim.server import AuthenticationUnavailableError, Handshake, TokenAuthenticator
from netra_sim.simulation.faults import HandshakeRace, LateAuthentication
from netra_sim.simulation.wire.environment import WireEnvironment

LIFETIME = 1e8
"""Seconds for which a token is valid: longer than a simulation, with its jumps of the clock."""


class TokenService:
    """An `Authenticator` with signed tokens and the virtual wall clock.

    It answers so late that a handshake takes as long as the scenario says. The way over the network comes on top.

    Args:
        environment: the simulation.
        tokens: checks the signatures.
    """

    def __init__(self, environment: WireEnvironment, tokens: TokenAuthenticator) -> None:
        self._environment = environment
        self._tokens = tokens
        self._handshakes: dict[str, int] = {}

    async def authenticate(self, handshake: Handshake) -> AuthenticatedUser:
        """See `netra_sim.server.Authenticator.authenticate`."""
        user = await self._tokens.authenticate(handshake)
        # This runs in the task that serves the connection, so that all that the server does for this user has the mark.
        CONTEXT_MARK.set(user.user_id)
        await asyncio.sleep(self._seconds(user))
        if self._environment.faults.on(LateAuthentication, user.user_id):
            self._environment.turn_away(user.user_id, "no token service")
            raise AuthenticationUnavailableError("the token service does not answer")
        return user

    async def authenticate_token(self, token: str) -> AuthenticatedUser:
        """See `netra_sim.server.Authenticator.authenticate_token`."""
        return await self._tokens.authenticate_token(token)

    def _seconds(self, user: AuthenticatedUser) -> float:
        """How long the answer takes."""
        environment, user_id = self._environment, user.user_id
        number = self._handshakes[user_id] = self._handshakes.get(user_id, 0) + 1
        drawn = environment.scenario.network.handshake.draw(
            uniform(key(environment.seed, "handshake", user_id), number)
        )
        races = environment.faults.on(HandshakeRace, user_id)
        return drawn + sum(race.delay for race in races)
