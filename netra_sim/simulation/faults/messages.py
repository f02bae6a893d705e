"""Faults of the messages that clients send."""

from typing import Annotated

import msgspec

from netra_sim.simulation.faults.base import Fault, Message


class MessageFault(Fault, frozen=True):
    """A fault of the messages that clients send."""

    def mangle(self, message: Message) -> list[Message]:
        """The messages that the client sends instead of this one."""
        raise NotImplementedError


class DuplicateMessage(MessageFault, frozen=True, tag="duplicate-message"):
    """Requests reach the server twice: they are carried out once, and the copy is refused.

    Incidents: S11.
    """

    def mangle(self, message: Message) -> list[Message]:
        """Send the message twice."""
        return [message, message]


class UnknownMessageType(MessageFault, frozen=True, tag="unknown-message-type"):
    """Clients of another version send a type that the server does not know: they get an error instead of waiting.

    Incidents: B12.
    """

    def mangle(self, message: Message) -> list[Message]:
        """Send another type."""
        return [message | {"type": "execute_agent_v2"}]


class IdCollision(MessageFault, frozen=True, tag="id-collision"):
    """A client's ids are not unique: the second request with an id is refused, and does not affect the first.

    Incidents: B10, F1, S7.
    """

    def mangle(self, message: Message) -> list[Message]:
        """Reuse the id of the first request."""
        return [message | {"request_id": "1"}]


class EngineLimitReached(MessageFault, frozen=True, tag="engine-limit-reached"):
    """Impatient users press the button ``times`` times: only their requests beyond the limit are refused.

    Incidents: F1, F10.
    """

    times: Annotated[int, msgspec.Meta(ge=2, le=50)] = 5

    def mangle(self, message: Message) -> list[Message]:
        """Send the message ``times`` times, each with another request id."""
        again = [message | {"request_id": f"{message['request_id']}-{number}"} for number in range(2, self.times + 1)]
        return [message, *again]
