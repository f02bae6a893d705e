import abc
import asyncio
import copy
from unittest.mock import patch

from shop import kinds
from shop.kinds import CartExecutionEngine, MailWorker, Order


class Pool:
    def __init__(self):
        self.engine_class = kinds.CartExecutionEngine
        self.factory = None

    def start(self, context):
        return self.engine_class(context)  # defect: NS201

    def start_properly(self, context):
        return self.factory.create_engine(context)  # fine


def workers(count):
    return [MailWorker() for _ in range(count)]  # defect: NS201


class SpecialEngine(CartExecutionEngine):
    def __init__(self, context):
        super().__init__(context)  # fine


def special(context):
    return SpecialEngine(context)  # defect: NS201


def order(user):
    return Order(user)  # fine


def twin(order):
    return copy.copy(order)  # fine


def engine_type():
    return CartExecutionEngine  # fine


class Slow:
    def __enter__(self):
        self.before = asyncio.sleep
        asyncio.sleep = self.sleep  # defect: NS103

    def __exit__(self, *error):
        asyncio.sleep = self.before  # defect: NS103

    async def sleep(self, seconds):
        await self.before(0)


def with_fake_sleep(work):
    with patch("shop.live.asyncio.wait_for", None):  # defect: NS103
        return work()


def with_fake_feed(work):
    with patch("shop.live.TIMEOUT", 1), patch.dict("os.environ", {"A": "1"}):  # fine
        return work()


def configure(loop):
    loop.set_debug(True)  # fine
    loop.time = lambda: 0.0  # fine
