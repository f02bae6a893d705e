"""`ClientSettings`: what a scenario says of its clients, whatever their protocol; imports nothing that speaks one."""

from typing import Annotated

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Events = Annotated[int, msgspec.Meta(ge=1)]


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """How the users of a scenario talk to the system; a subclass is a `ClientProtocol`.

    Attributes:
        leave_share: the share of runs that the user leaves in the middle, as by a closed tab.
        leave_after: the number of events of such a run after which the user leaves.
        foreign_threads: the share of users who name the thread of another user in all their requests. What comes back to
            them with the mark of the other user is a leak.
    """

    leave_share: Share = 0.0
    leave_after: Events = 3
    foreign_threads: Share = 0.0

    @property
    def name(self) -> str:
        """The kind of the protocol, as in scenario files."""
        return str(self.__struct_config__.tag)
