from dataclasses import dataclass


class CartExecutionEngine:
    def __init__(self, context):
        self.context = context


class MailWorker:
    async def work(self):
        return 1


@dataclass
class Order:
    user: str
