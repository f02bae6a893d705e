"""An HTTP service that answers with what it was asked: the stand-in for a tool's back end."""

from functools import partial

import msgspec

from netra_sim.distributions import Constant, Distribution
from netra_sim.recording import all_marks
from netra_sim.services.conditions import Conditions
from netra_sim.services.draws import Draws
from netra_sim.services.http import JSON, Exchange, Headers, retry_after, serve_http
from netra_sim.services.listening import Handler
from netra_sim.services.service import HttpService, Record


class Echo(HttpService, frozen=True, kw_only=True, tag="http"):
    """Answers each request, after a while, with its method, target, headers and body as JSON.

    The first mark in the target or the body names the user and the run. Each answer is a unit of work for them.

    Attributes:
        delay: the seconds that an answer takes.
    """

    delay: Distribution = Constant(0.01)

    def handler(self, conditions: Conditions, seed: int, record: Record) -> Handler:
        """What serves each connection."""
        return partial(serve_http, _Answers(self, conditions, seed, record))


class _Answers:
    """Answers the requests of all connections of one echo service."""

    def __init__(self, settings: Echo, conditions: Conditions, seed: int, record: Record) -> None:
        self._settings = settings
        self._conditions = conditions
        self._draws = Draws(seed)
        self._record = record

    async def __call__(self, exchange: Exchange) -> None:
        request, conditions = exchange.request, self._conditions
        body = request.body.decode(errors="replace")
        marks = all_marks(f"{request.target}\n{body}")
        user_id, run_id = marks[0] if marks else ("", "")
        draw = self._draws.of_request(user_id, run_id)
        if conditions.rate_limited:
            await self._refuse(exchange, 429, "too many requests", retry_after(self._settings.retry_after))
            return
        if draw("error") < conditions.error_share:
            await self._refuse(exchange, conditions.error_status, "the service failed")
            return
        await conditions.wait(self._settings.delay.draw(draw("delay")))
        if exchange.is_gone:
            return
        if draw("cut") < conditions.cut_share:
            exchange.cut()
            return
        self._record(user_id, run_id, 0, False)
        answer = {"method": request.method, "target": request.target, "headers": request.headers, "body": body}
        await exchange.respond(200, msgspec.json.encode(answer), JSON)

    async def _refuse(self, exchange: Exchange, status: int, reason: str, headers: Headers = ()) -> None:
        error = {"error": self._conditions.error(reason)}
        await exchange.respond(status, msgspec.json.encode(error), [*JSON, *headers])
