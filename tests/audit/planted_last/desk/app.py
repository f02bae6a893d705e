import asyncio
import importlib
import typing
from collections import OrderedDict
from collections.abc import Mapping

import desk.parts as parts
from desk.forge import Forge
from desk.parts import DeskAgent, DeskEmitter, Ticket
from desk.pipe import Pipe

PIPE: typing.Final = Pipe()  # fine
forge = Forge()  # fine
CODES: Mapping[str, int] = {"ok": 1}  # fine
last_ticket: Ticket | None = None  # defect: NS401
by_user: "OrderedDict[str, Ticket]" = OrderedDict()  # defect: NS401
T = typing.TypeVar("T")  # fine


class Desk:
    history: typing.ClassVar[list[Ticket]] = []  # defect: NS401
    limit = 3  # fine

    async def open(self, user_id, text):
        global last_ticket
        ticket = Ticket(text)
        ticket.tags.append("new")  # fine
        by_user[user_id] = ticket
        Desk.history.append(ticket)
        last_ticket = ticket
        local = {}
        local[user_id] = ticket  # fine
        return local

    async def engine(self, context):
        return getattr(parts, "DeskExecutionEngine")(context, None, [])  # defect: NS201

    async def helper(self):
        agent_type: type[DeskAgent] = DeskAgent
        return agent_type()  # defect: NS201

    async def emitter(self, user_id):
        if (made := DeskEmitter(user_id, PIPE)) is not None:  # defect: NS201
            return made
        return forge.build(user_id, PIPE)  # fine


def speed_up():
    module = importlib.import_module("asyncio")
    module.sleep = None  # defect: NS103
    object.__setattr__(asyncio, "gather", None)  # defect: NS103
    for name in ("sleep", "gather"):
        setattr(asyncio, name, None)  # defect: NS103


def speed_up_fine(clock, monkeypatch):
    clock.asyncio_sleep = None  # fine
    monkeypatch.setattr("desk.talk.Ticker.sleep", None)  # fine
    before = vars(asyncio)["sleep"]  # fine
    return before
