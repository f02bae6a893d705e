"""The stand-in for a model service: it makes tokens in time, and sends them in the form that the request asks for."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

import msgspec

from netra_sim.distributions import Distribution, LogNormal
from netra_sim.recording import mark
from netra_sim.services.conditions import Conditions
from netra_sim.services.draws import Draw, Draws
from netra_sim.services.http import JSON, Exchange, Headers, retry_after, serve_http
from netra_sim.services.listening import Handler
from netra_sim.services.openai_answers import Answer, ChatAnswer, ResponsesAnswer, error, models
from netra_sim.services.openai_questions import Question, chat_question, responses_question
from netra_sim.services.service import HttpService, Record
from netra_sim.services.slots import Slots

Tokens = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Places = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Model(HttpService, frozen=True, kw_only=True, tag="model"):
    """A model service that speaks OpenAI's protocols: chat completions, responses, and the list of models.

    Its answer to a question is ``#0; ``, ``#1; `` and so on, one number a token. In front of each number stand the marks of
    the last user message, so that an answer or a part of it shows whose it is, and a lost or repeated token its number.
    The first mark names the user and the run, for whom each token is recorded as a unit of work at the moment it is made.
    The service makes no further token when its client is gone, and has only one answer for each request (``n = 1``). It
    calls no tools, and ignores settings such as the temperature, but not the limit of tokens.

    Attributes:
        first_token: the seconds until the first token.
        per_token: the seconds from one token to the next.
        tokens: how many an answer has: a number, or a distribution whose draws are rounded.
        slots: how many answers it gives at the same time; unset for any number.
        queue: how many requests may wait for a slot. One that finds the queue full is refused with 429.
        model: the name in the list of models; a request may name any other.
    """

    first_token: Distribution = LogNormal(0.4, 0.4)
    per_token: Distribution = LogNormal(0.02, 0.3)
    tokens: Tokens | Distribution = 40
    slots: Places | msgspec.UnsetType = msgspec.UNSET
    queue: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    model: str = "stand-in"

    def handler(self, conditions: Conditions, seed: int, record: Record) -> Handler:
        """What serves each connection."""
        return partial(serve_http, _Completions(self, conditions, seed, record))


class _Completions:
    """Answers the requests of all connections of one model service."""

    def __init__(self, settings: Model, conditions: Conditions, seed: int, record: Record) -> None:
        self._settings = settings
        self._conditions = conditions
        self._draws = Draws(seed)
        self._record = record
        self._slots = Slots(sys.maxsize if settings.slots is msgspec.UNSET else settings.slots, settings.queue)

    async def __call__(self, exchange: Exchange) -> None:
        request = exchange.request
        expected = "GET" if request.path == "/v1/models" else "POST"
        if request.path != "/v1/models" and request.path not in _ENDPOINTS:
            await self._refuse(exchange, 404, f"no such path: {request.path}")
        elif request.method != expected:
            await self._refuse(exchange, 405, f"{request.path} takes {expected}", [("allow", expected)])
        elif expected == "GET":
            await exchange.respond(200, models(self._settings.model), JSON)
        else:
            read, form = _ENDPOINTS[request.path]
            try:
                question = read(request.body)
            except msgspec.MsgspecError as problem:
                await self._refuse(exchange, 400, str(problem))
            else:
                await self._serve(exchange, question, form)

    async def _serve(self, exchange: Exchange, question: Question, form: Callable[[Question, float], Answer]) -> None:
        draw = self._draws.of_request(question.user_id, question.run_id)
        too_many = retry_after(self._settings.retry_after)
        if self._conditions.rate_limited:
            await self._refuse(exchange, 429, "the rate limit is reached", too_many)
        elif draw("error") < self._conditions.error_share:
            await self._refuse(exchange, self._conditions.error_status, "the model service failed")
        elif self._slots.is_full:
            await self._refuse(exchange, 429, "all slots are taken, and the queue is full", too_many)
        else:
            async with self._slots:
                await self._generate(exchange, question, form(question, draw("id")), draw)

    async def _generate(self, exchange: Exchange, question: Question, answer: Answer, draw: Draw) -> None:
        wanted = self._tokens(draw)
        count = wanted if question.most_tokens is None else min(wanted, question.most_tokens)
        cut_at = min(count - 1, 1 + int(draw("cut at") * (count - 1)))
        marks = "".join(mark(user_id, run_id) for user_id, run_id in question.marks)
        for number in range(count):
            await self._conditions.wait(self._seconds(number, draw))
            if exchange.is_gone:
                return
            if number == cut_at and draw("cut") < self._conditions.cut_share:
                exchange.cut()
                return
            self._record(question.user_id, question.run_id, number, number == count - 1)
            if question.stream and number == 0:
                await exchange.start(200, _EVENTS)
                await exchange.send(answer.head())
            piece = answer.token(f"{marks}#{number}; ")
            if question.stream:
                await exchange.send(piece)
        if question.stream:
            await exchange.send(answer.tail(is_complete=count == wanted))
            await exchange.finish()
        else:
            await exchange.respond(200, answer.whole(is_complete=count == wanted), JSON)

    def _tokens(self, draw: Draw) -> int:
        tokens = self._settings.tokens
        return tokens if isinstance(tokens, int) else max(1, round(tokens.draw(draw("tokens"))))

    def _seconds(self, number: int, draw: Draw) -> float:
        if number == 0:
            return self._settings.first_token.draw(draw("first token"))
        return self._settings.per_token.draw(draw("token", number))

    async def _refuse(self, exchange: Exchange, status: int, reason: str, headers: Headers = ()) -> None:
        told = self._conditions.error(reason) if status >= 429 else reason
        await exchange.respond(status, error(status, told), [*JSON, *headers])


_ENDPOINTS: dict[str, tuple[Callable[[bytes], Question], Callable[[Question, float], Answer]]] = {
    "/v1/chat/completions": (chat_question, ChatAnswer),
    "/v1/responses": (responses_question, ResponsesAnswer),
}
_EVENTS = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
