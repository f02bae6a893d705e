from collections.abc import AsyncIterator
from typing import Dict

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK


class Pipe:
    def __init__(self) -> None:
        self.open: Dict[str, ServerConnection] = {}

    async def push(self, user_id: str, text: str) -> bool:
        try:
            await self.open[user_id].send(text)  # fine
        except (ConnectionClosedError, ConnectionClosedOK):  # fine
            return False
        except Exception as error:  # fine
            raise RuntimeError(user_id) from error
        return True

    async def shout(self, text: str) -> None:
        for user_id, peer in self.open.items():
            try:
                await peer.send(text)
            except Exception:  # defect: NS301
                print("could not send to", user_id)

    async def listen(self, peer: ServerConnection) -> AsyncIterator[str]:
        async for message in peer:
            yield message
