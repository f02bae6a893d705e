from chat.emitter import UserWebSocketEmitter


class UserExecutionEngine:
    def __init__(self, context, emitter: UserWebSocketEmitter):
        self.context = context
        self.emitter = emitter

    @classmethod
    def from_legacy(cls, context, emitter):
        return cls(context, emitter)  # fine

    async def execute(self):
        return await self.context.work()


class SearchEngine:
    def find(self, words):
        return sorted(words)


class UnknownAgent(Exception):
    """No agent of that name."""
