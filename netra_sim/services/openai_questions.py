"""Reads the questions that clients of OpenAI's protocols ask: as much of them as the stand-in answers to."""

from typing import Annotated

import msgspec

from netra_sim.recording import all_marks

_Limit = Annotated[int, msgspec.Meta(ge=1)] | None


class _Part(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    role: str | None = None
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "\n".join(part.text or "" for part in self.content)


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Chat(msgspec.Struct):
    model: str
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _Limit = None
    max_completion_tokens: _Limit = None


class _Responses(msgspec.Struct):
    model: str
    input: str | list[_Message]
    stream: bool | None = None
    max_output_tokens: _Limit = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for.

    Attributes:
        model: the name of the model.
        marks: the user and the run of each mark in the last user message.
        prompt_tokens: how long all messages are: four characters are a token.
        stream: whether the answer is streamed.
        most_tokens: the limit of the answer, if there is one.
        include_usage: whether a streamed chat completion ends with its usage.
    """

    model: str
    marks: list[tuple[str, str]]
    prompt_tokens: int
    stream: bool
    most_tokens: int | None
    include_usage: bool = False

    @property
    def user_id(self) -> str:
        """The user whom the first mark names, or ""."""
        return self.marks[0][0] if self.marks else ""

    @property
    def run_id(self) -> str:
        """The run that the first mark names, or ""."""
        return self.marks[0][1] if self.marks else ""


def chat_question(body: bytes) -> Question:
    """The question of a request for a chat completion.

    Raises:
        msgspec.MsgspecError: the body is no JSON, or not of the form that the API documents.
    """
    asked = msgspec.json.decode(body, type=_Chat)
    return Question(
        model=asked.model,
        marks=_last_marks(asked.messages),
        prompt_tokens=_length(asked.messages),
        stream=bool(asked.stream),
        most_tokens=asked.max_completion_tokens or asked.max_tokens,
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
    )


def responses_question(body: bytes) -> Question:
    """The question of a request for a response.

    Raises:
        msgspec.MsgspecError: the body is no JSON, or not of the form that the API documents.
    """
    asked = msgspec.json.decode(body, type=_Responses)
    messages = [_Message("user", asked.input)] if isinstance(asked.input, str) else asked.input
    return Question(
        model=asked.model,
        marks=_last_marks(messages),
        prompt_tokens=_length(messages),
        stream=bool(asked.stream),
        most_tokens=asked.max_output_tokens,
    )


def _last_marks(messages: list[_Message]) -> list[tuple[str, str]]:
    return all_marks(next((one.text for one in reversed(messages) if one.role == "user"), ""))


def _length(messages: list[_Message]) -> int:
    return 1 + sum(len(one.text) for one in messages) // 4
