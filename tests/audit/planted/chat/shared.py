import asyncio
import logging
import re
from collections import defaultdict
from contextvars import ContextVar
from enum import Enum
from functools import lru_cache
from types import MappingProxyType

import chat.cached as cached
from chat.bridge import AgentWebSocketBridge
from fastapi import WebSocket

log = logging.getLogger(__name__)  # fine
WORD = re.compile(r"\w+")  # fine
CURRENT: ContextVar[str] = ContextVar("current")  # fine
KINDS = {"agent_started": 1, "agent_completed": 2}  # fine
LIMITS = MappingProxyType({"engines": 2})  # fine
NAMES = ["alice", "bob"]  # fine
__all__ = ["serve"]  # fine

sessions: dict[str, str] = {}  # defect: NS401
waiting = defaultdict(list)  # defect: NS401
bridge = AgentWebSocketBridge()  # defect: NS401
events = asyncio.Queue()  # defect: NS401
current_user = None  # defect: NS401
seen = set()  # defect: NS401
HANDLERS = {}  # fine


def handler(function):
    HANDLERS[function.__name__] = function
    return function


@handler
async def serve(websocket: WebSocket):
    global current_user
    current_user = await websocket.receive_text()
    sessions[current_user] = "open"
    waiting[current_user].append(1)
    seen.add(current_user)
    cached.recent.append(current_user)


class Color(Enum):
    RED = 1  # fine


class Hub:
    _instance = None  # defect: NS401
    sockets = {}  # defect: NS401
    kinds = ("a", "b")  # fine
    limits = {"a": 1}  # fine

    def __new__(cls):
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def add(self, user_id, socket):
        self.sockets[user_id] = socket


class Room:
    members = []  # fine

    def __init__(self):
        self.members = []

    def join(self, user_id):
        self.members.append(user_id)


class Formatter:
    def __init__(self, pattern):
        self.pattern = pattern

    def write(self, value):
        return self.pattern % value


PLAIN = Formatter("%s")  # fine


@lru_cache(maxsize=None)
def get_room():  # defect: NS401
    return Room()


@lru_cache
def words_of(text):  # fine
    return tuple(WORD.findall(text))
