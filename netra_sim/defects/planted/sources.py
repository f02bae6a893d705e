"""For each rule of the audit: a small source tree with the defect that the rule finds, and the same tree without it.

The trees are texts, so that nothing imports them. Lines that end with ``# planted`` are only in the tree with the defect,
and lines that end with ``# clean`` only in the tree without it.
"""

from operator import attrgetter

import msgspec

from netra_sim.registry import Registry

_PLANTED, _CLEAN = "# planted", "# clean"


class PlantedSource(msgspec.Struct, frozen=True):
    """A source tree with one defect.

    Attributes:
        rule: the name of the rule that must find it.
        defect: what is wrong, in a sentence.
        files: texts with both kinds of lines, by file name.
    """

    rule: str
    defect: str
    files: dict[str, str]

    def planted(self) -> dict[str, str]:
        """The files with the defect."""
        return self._without(_CLEAN)

    def clean(self) -> dict[str, str]:
        """The files without the defect."""
        return self._without(_PLANTED)

    def _without(self, mark: str) -> dict[str, str]:
        return {
            name: "\n".join(line for line in text.strip().splitlines() if not line.endswith(mark)) + "\n"
            for name, text in self.files.items()
        }


_IMPLEMENTATION = """
class Answers:
    def __init__(self):
        self.kept = []

    def keep(self, answer):
        self.kept.append(answer)
"""

_OWN = (
    PlantedSource(
        "raw-asyncio-in-streaming",
        "a stream waits by asyncio.sleep, without the Windows-safe layer",
        {
            "stream.py": """
import asyncio
from netra_sim import windows_safe_sleep

async def stream(words):
    for word in words:
        await asyncio.sleep(0.1)  # planted
        await windows_safe_sleep(0.1)  # clean
        yield word
"""
        },
    ),
    PlantedSource(
        "nested-wait-for",
        "a wait_for waits for another one",
        {
            "waits.py": """
import asyncio

async def answer(model):
    return await asyncio.wait_for(model(), 3.0)  # planted
    return await model()  # clean

async def ask(model):
    return await asyncio.wait_for(answer(model), 5.0)
"""
        },
    ),
    PlantedSource(
        "patched-asyncio",
        "asyncio.sleep is replaced for the whole process",
        {
            "patches.py": """
import asyncio

async def quick(delay):
    pass

asyncio.sleep = quick  # planted
"""
        },
    ),
    PlantedSource(
        "engine-outside-factory",
        "a route makes an engine without the factory",
        {
            "routes.py": """
from netra_sim.factory import UserExecutionEngine

async def answer(factory, context):
    engine = UserExecutionEngine(context)  # planted
    return await engine.execute_agent_pipeline()  # planted
    async with factory.user_execution_scope(context) as engine:  # clean
        return await engine.execute_agent_pipeline()  # clean
""",
            "my_factory.py": """
from netra_sim.factory import UserExecutionEngine

def make(context):
    return UserExecutionEngine(context)
""",
        },
    ),
    PlantedSource(
        "send-outside-bridge",
        "a route writes to a WebSocket without the bridge",
        {
            "routes.py": """
from websockets.asyncio.server import ServerConnection

async def greet(socket: ServerConnection):
    await socket.send("hello")  # planted
    return None
""",
            "my_bridge.py": """
from websockets.asyncio.server import ServerConnection

async def write(socket: ServerConnection, frame):
    await socket.send(frame)
""",
        },
    ),
    PlantedSource(
        "swallowed-send-failure",
        "a send that fails counts as sent",
        {
            "my_bridge.py": """
from websockets.asyncio.server import ServerConnection

async def write(socket: ServerConnection, frame):
    try:
        await socket.send(frame)
    except Exception:
        return True  # planted
        raise  # clean
    return True
"""
        },
    ),
    PlantedSource(
        "ignored-send-result",
        "a send says whether it has sent, and its caller does not look",
        {
            "my_bridge.py": """
from websockets.asyncio.server import ServerConnection

class Line:
    def __init__(self, socket: ServerConnection):
        self.socket = socket

    async def send_event(self, frame) -> bool:
        try:
            await self.socket.send(frame)
        except OSError:
            return False
        return True

async def greet(line: Line) -> bool:
    await line.send_event("hello")  # planted
    return True  # planted
    return await line.send_event("hello")  # clean
"""
        },
    ),
    PlantedSource(
        "module-state",
        "a module on the path of requests keeps what all users share",
        {
            "my_bridge.py": """
from websockets.asyncio.server import ServerConnection

kept = {}  # planted
NAMES = ("alice", "bob")

async def write(socket: ServerConnection, user_id, frame):
    kept[user_id] = frame  # planted
    await socket.send(frame)
"""
        },
    ),
    PlantedSource(
        "competing-implementations",
        "one class is implemented twice",
        {
            "answers.py": _IMPLEMENTATION,
            "more_answers.py": "\n".join(f"{line}  # planted" for line in _IMPLEMENTATION.strip().splitlines()),
        },
    ),
)

PLANTED_SOURCES: Registry[PlantedSource] = Registry(
    "netra_sim.planted_sources", _OWN, kind=PlantedSource, name_of=attrgetter("rule")
)
"""All planted sources by the name of their rule, those of other packages included."""
