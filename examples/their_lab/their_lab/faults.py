"""A fault."""

from typing import Annotated

from msgspec import Meta

from netra_sim.simulation.faults import Message, MessageFault


class DoubleClick(MessageFault, frozen=True, tag="double-click"):
    """Users click ``clicks`` times, and each click is a request."""

    clicks: Annotated[int, Meta(ge=2, le=10)] = 2

    def mangle(self, message: Message) -> list[Message]:
        """Send the request once for each click."""
        again = [message | {"request_id": f"{message['request_id']}-{click}"} for click in range(2, self.clicks + 1)]
        return [message, *again]
