from dataclasses import dataclass


class BaseAgent:
    async def run(self, session):
        raise NotImplementedError


class TriageAgent(BaseAgent):
    async def run(self, session):
        return "triage"


class Reporter(BaseAgent):
    """An agent by its base, not by its name."""

    async def run(self, session):
        return "report"


class ReportAgent(BaseAgent):
    @staticmethod
    def create():
        return ReportAgent()  # fine


@dataclass(frozen=True)
class UserAgent:
    """The browser's, from its header."""

    text: str


class EstateAgent:
    """Sells houses."""

    def sell(self, house):
        return house.price


@dataclass(frozen=True)
class RemoteAgent:
    """What is known of another site's agent."""

    url: str

    async def card(self, session):
        return await session.get(self.url)
