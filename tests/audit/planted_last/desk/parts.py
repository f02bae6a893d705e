from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from desk.pipe import Pipe


class DeskExecutionEngine:
    def __init__(self, context, emitter: DeskEmitter, agents):
        self.context, self.emitter, self.agents = context, emitter, agents

    async def run(self):
        for agent in self.agents:
            await agent.run(self.emitter)


class DeskEmitter:
    def __init__(self, user_id: str, pipe: Pipe) -> None:
        self.user_id = user_id
        self.pipe = pipe

    async def agent_thinking(self, text: str) -> bool:
        return await self.pipe.push(self.user_id, text)

    async def agent_completed(self, text: str) -> bool:
        sent = await self.pipe.push(self.user_id, text)
        return bool(sent)


class DeskAgent:
    async def run(self, emitter: DeskEmitter):
        await asyncio.sleep(1)  # defect: NS101
        if not await emitter.agent_thinking("hm"):  # fine
            raise ConnectionError

    def __repr__(self):
        return "DeskAgent()"  # fine


@dataclass
class Ticket:
    text: str
    tags: list = field(default_factory=list)  # fine
