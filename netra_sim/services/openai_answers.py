"""Answers in the forms of OpenAI's API: chat completions and responses, whole or as server-sent events.

The forms are those of OpenAI's API reference ("Chat Completions", "Responses", "Streaming events"). Times in them are 0: the
service has no wall clock. Ids come from the draws of the request.
"""

from typing import Any, Protocol

import msgspec

from netra_sim.services.openai_questions import Question

_encode = msgspec.json.encode


class Answer(Protocol):
    """An answer in the making: a stream sends `head`, what `token` returns for each token, and `tail`; or it is `whole`."""

    def head(self) -> bytes:
        """What a stream sends before the first token."""

    def token(self, text: str, /) -> bytes:
        """Append a token; what a stream sends for it."""

    def tail(self, *, is_complete: bool) -> bytes:
        """What a stream sends after the last token; the answer is not complete if the limit of tokens ended it."""

    def whole(self, *, is_complete: bool) -> bytes:
        """The answer as one JSON object."""


class ChatAnswer:
    """A chat completion.

    Args:
        question: what was asked.
        number: in [0, 1), which makes the id.
    """

    def __init__(self, question: Question, number: float, /) -> None:
        self._question = question
        self._id = f"chatcmpl-{_hex(number)}"
        self._texts: list[str] = []

    def head(self) -> bytes:
        """The chunk that names the role."""
        return self._chunk({"role": "assistant", "content": ""})

    def token(self, text: str, /) -> bytes:
        """The chunk of one token."""
        self._texts.append(text)
        return self._chunk({"content": text})

    def tail(self, *, is_complete: bool) -> bytes:
        """The chunk with the reason of the end, the usage if it was asked for, and ``[DONE]``."""
        end = self._chunk({}, _finish(is_complete))
        if self._question.include_usage:
            end += _event(self._object("chat.completion.chunk", [], usage=self._usage()))
        return end + b"data: [DONE]\n\n"

    def whole(self, *, is_complete: bool) -> bytes:
        """The completion as one object."""
        message = {"role": "assistant", "content": "".join(self._texts), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(is_complete)}
        return _encode(self._object("chat.completion", [choice], usage=self._usage()))

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event(self._object("chat.completion.chunk", [choice]))

    def _object(self, kind: str, choices: list[Any], **more: Any) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": 0, "model": self._question.model, "choices": choices, **more}

    def _usage(self) -> dict[str, int]:
        prompt, completion = self._question.prompt_tokens, len(self._texts)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class ResponsesAnswer:
    """A response with one message of one text.

    Args:
        question: what was asked.
        number: in [0, 1), which makes the ids.
    """

    def __init__(self, question: Question, number: float, /) -> None:
        self._question = question
        self._id = _hex(number)
        self._texts: list[str] = []
        self._sequence = 0

    def head(self) -> bytes:
        """The events that open the response, its message and the message's text."""
        return (
            self._event("response.created", response=self._response("in_progress"))
            + self._event("response.in_progress", response=self._response("in_progress"))
            + self._event("response.output_item.added", output_index=0, item=self._message("in_progress"))
            + self._event("response.content_part.added", **self._place(), part=_text(""))
        )

    def token(self, text: str, /) -> bytes:
        """The delta of one token."""
        self._texts.append(text)
        return self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def tail(self, *, is_complete: bool) -> bytes:
        """The events that close the text, the message and the response."""
        status = _status(is_complete)
        text = "".join(self._texts)
        return (
            self._event("response.output_text.done", **self._place(), text=text, logprobs=[])
            + self._event("response.content_part.done", **self._place(), part=_text(text))
            + self._event("response.output_item.done", output_index=0, item=self._message(status))
            + self._event(f"response.{status}", response=self._response(status))
        )

    def whole(self, *, is_complete: bool) -> bytes:
        """The response as one object."""
        return _encode(self._response(_status(is_complete)))

    def _event(self, kind: str, **fields: Any) -> bytes:
        event = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return f"event: {kind}\n".encode() + _event(event)

    def _place(self) -> dict[str, Any]:
        return {"item_id": f"msg_{self._id}", "output_index": 0, "content_index": 0}

    def _message(self, status: str) -> dict[str, Any]:
        content = [] if status == "in_progress" else [_text("".join(self._texts))]
        return {"id": f"msg_{self._id}", "type": "message", "role": "assistant", "status": status, "content": content}

    def _response(self, status: str) -> dict[str, Any]:
        has_ended = status != "in_progress"
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": 0,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": None,
            "metadata": {},
            "model": self._question.model,
            "output": [self._message(status)] if has_ended else [],
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": self._usage() if has_ended else None,
        }

    def _usage(self) -> dict[str, Any]:
        prompt, completion = self._question.prompt_tokens, len(self._texts)
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + completion,
        }


def models(name: str) -> bytes:
    """The list of models, which has one."""
    model = {"id": name, "object": "model", "created": 0, "owned_by": "netra_sim"}
    return _encode({"object": "list", "data": [model]})


def error(status: int, message: str) -> bytes:
    """The body of an answer that reports an error."""
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    return _encode({"error": {"message": message, "type": kind, "param": None, "code": None}})


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + _encode(data) + b"\n\n"


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _finish(is_complete: bool) -> str:
    return "stop" if is_complete else "length"


def _status(is_complete: bool) -> str:
    return "completed" if is_complete else "incomplete"


def _hex(number: float) -> str:
    return f"{int(number * 2**53):014x}"
