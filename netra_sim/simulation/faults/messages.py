"""Faults of what clients send."""

from typing import Annotated

import msgspec

from netra_sim.simulation.faults.base import Fault, Message


class MessageFault(Fault, frozen=True):
    """A fault of what clients send."""

    def mangle(self, message: Message) -> list[Message]:
        """What is sent instead."""
        raise NotImplementedError


class DuplicateMessage(MessageFault, frozen=True, tag="duplicate-message"):
    """Requests reach the server twice: they are carried out once, and the copy is refused.

    Incidents: S11.
    """

    def mangle(self, message: Message) -> list[Message]:
        """Send it twice."""
        return [message, message]


class UnknownMessageType(MessageFault, frozen=True, tag="unknown-message-type"):
    """Clients of another version send a type that the server does not know: they are told, instead of waiting.

    Incidents: B12.
    """

    def mangle(self, message: Message) -> list[Message]:
        """Send another type."""
        return [message | {"type": "execute_agent_v2"}]


class IdCollision(MessageFault, frozen=True, tag="id-collision"):
    """A client's ids are not unique: the second request of that id is refused, and takes nothing from the first.

    Incidents: B10, F1, S7.
    """

    def mangle(self, message: Message) -> list[Message]:
        """Use the first request's id again."""
        return [message | {"request_id": "1"}]


class EngineLimitReached(MessageFault, frozen=True, tag="engine-limit-reached"):
    """Impatient users press the button ``times`` times: beyond the limit they are refused, and nobody else is.

    Incidents: F1, F10.
    """

    times: Annotated[int, msgspec.Meta(ge=2, le=50)] = 5

    def mangle(self, message: Message) -> list[Message]:
        """Send it so often, each time as a request of its own."""
        again = [message | {"request_id": f"{message['request_id']}-{number}"} for number in range(2, self.times + 1)]
        return [message, *again]
