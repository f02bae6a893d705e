"""The client protocol ``sse-json``: each request is one HTTP request, answered by server-sent events that hold JSON."""

from typing import Any, Literal

import msgspec

from netra_sim.clients.http import HttpRequest
from netra_sim.clients.journal import ENDED, Journal
from netra_sim.clients.json_events import JsonProtocol
from netra_sim.clients.protocol import Request, Session, SystemAddress
from netra_sim.clients.server_sent_events import ServerSentEvent
from netra_sim.clients.streaming import StreamSession
from netra_sim.clients.templates import fill, fill_path, values_of

DONE = "[DONE]"
"""The data of the event that ends a stream of OpenAI's API."""

_QUESTION = {"message": "{text}", "thread_id": "{thread}", "run_id": "{run}"}


class SseJson(JsonProtocol, frozen=True, tag="sse-json"):
    """Server-sent events with JSON in their data, such as those of OpenAI's API.

    The texts of ``path``, ``headers`` and ``body`` may hold the marks ``{text}``, ``{user}``, ``{number}`` (the last number
    in the user's id), ``{thread}`` and ``{run}``. An event without a ``type`` has the type on its ``event:`` line, and one
    without a ``run`` belongs to the run of the request. The data ``[DONE]`` ends a run.

    Attributes:
        path: of the URL.
        method: of HTTP.
        headers: of every request, such as ``Authorization = "Bearer {user}"``.
        body: of a POST request: a table is sent as JSON, a text as it is.
        end_of_body: whether the end of the response ends the run; else a response without an end event was cut off.
    """

    path: str = "/"
    method: Literal["GET", "POST"] = "POST"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: Any = msgspec.field(default_factory=lambda: dict(_QUESTION))
    end_of_body: bool = False

    def session(self, target: SystemAddress, user_id: str, journal: Journal, seed: int = 0) -> Session:
        """See `ClientProtocol.session`."""

        def begin(request: Request, thread: str) -> "_Exchange":
            values = values_of(user_id, thread=thread, run=request.run_id, text=request.text)
            return _Exchange(self, journal, request.run_id, self._request(target, values))

        return StreamSession(self, target, journal, seed, begin)

    def _request(self, target: SystemAddress, values: dict[str, str]) -> HttpRequest:
        headers = {"accept": "text/event-stream"}
        body = b""
        if self.method == "POST":
            filled = fill(self.body, values)
            is_text = isinstance(filled, str)
            body = filled.encode() if is_text else msgspec.json.encode(filled)
            headers["content-type"] = "text/plain; charset=utf-8" if is_text else "application/json"
        headers |= {name.lower(): fill(value, values) for name, value in self.headers.items()}
        return HttpRequest(self.method, target.path + fill_path(self.path, values), headers, body)


class _Exchange:
    """One request and its events; see `netra_sim.clients.streaming.Exchange`."""

    def __init__(self, protocol: SseJson, journal: Journal, run_id: str, request: HttpRequest) -> None:
        self.request = request
        self.has_ended = False
        self._protocol = protocol
        self._journal = journal
        self._run_id = run_id

    def read(self, connection_id: str, event: ServerSentEvent) -> None:
        """Record an event; data that is not JSON counts as a text."""
        try:
            message = msgspec.json.decode(event.data)
        except msgspec.DecodeError:
            message = event.data
        found = self._protocol.event(message, event.name)
        end = ENDED if event.data == DONE else found.end
        run_id = found.run_id or self._run_id
        if end and run_id == self._run_id and not self.has_ended:
            self._end(connection_id, end, event.raw, found.details)
        else:
            kind = DONE if event.data == DONE else found.kind
            self._journal.received(connection_id, run_id, kind, event.raw, **found.details)

    def finish(self, connection_id: str, rest: bytes) -> None:
        """Record the end of the body, and what came after the last event, such as a body that is no event stream."""
        if self._protocol.end_of_body and not self.has_ended:
            self._end(connection_id, ENDED, rest, {})
        elif rest:
            self._journal.received_control(connection_id, "rest of the body", rest, self._run_id)

    def _end(self, connection_id: str, how: str, data: bytes, details: dict[str, Any]) -> None:
        self._journal.received(connection_id, self._run_id, how, data, **details)
        if how == ENDED and self._protocol.content:
            self._journal.answered(self._run_id)
        self.has_ended = True
