from fastapi import WebSocket


class AgentWebSocketBridge:
    def __init__(self):
        self.sockets: dict[str, WebSocket] = {}

    async def publish(self, user_id: str, message) -> bool:
        socket = self.sockets.get(user_id)
        if socket is None:
            return False
        await socket.send_json(message)  # fine
        return True

    async def notify_tool_executing(self, user_id, tool) -> bool:
        try:
            await self.sockets[user_id].send_json({"type": "tool_executing", "tool": tool})  # fine
        except Exception:  # fine
            return False
        return True

    async def close_all(self, message):
        for socket in self.sockets.values():
            try:
                await socket.send_json(message)
            except:  # defect: NS301
                pass
