class UserWebSocketEmitter:
    def __init__(self, user_id, bridge):
        self.user_id = user_id
        self._bridge = bridge

    async def notify_agent_started(self, name) -> bool:
        return await self._bridge.publish(self.user_id, {"type": "agent_started", "name": name})

    async def emit_progress(self, text):
        await self._bridge.publish(self.user_id, text)


class MetricsEmitter:
    """Counts; no user is addressed."""

    def __init__(self, prefix):
        self.prefix = prefix

    def gauge(self, name, value):
        return f"{self.prefix}.{name} {value}"
