from starlette.websockets import WebSocket


class ConnectionManager:
    def __init__(self):
        self.active: list[WebSocket] = []

    async def connect(self, websocket: WebSocket):
        await websocket.accept()
        self.active.append(websocket)

    async def broadcast(self, text: str):
        for connection in self.active:
            await connection.send_text(text)  # defect: NS202

    async def send_personal(self, text: str, websocket: WebSocket):
        await websocket.send_text(text)  # defect: NS202
