"""A factory with a race: two awaits lie between checking the limit and taking a place (incident F1)."""

import asyncio
from contextlib import asynccontextmanager

from netra_sim import ExecutionEngineFactory
from netra_sim.exceptions import EngineLimitError
from netra_sim.factory import EngineLimits


class RacyFactory(ExecutionEngineFactory):
    def __init__(self, *, limits, **options):
        super().__init__(limits=EngineLimits(engines_per_user=1_000), **options)
        self.limit = limits.engines_per_user

    @asynccontextmanager
    async def user_execution_scope(self, context):
        live = sum(engine.context.user_id == context.user_id for engine in self.engines)
        if live >= self.limit:
            raise EngineLimitError(context.user_id, live, self.limit)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        async with super().user_execution_scope(context) as engine:
            yield engine
