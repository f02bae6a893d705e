"""pydantic-ai's own adapter for AG-UI, around an agent with an OpenAI-style model."""

import os

from fastapi import FastAPI, Request, Response
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.ui.ag_ui import AGUIAdapter

provider = OpenAIProvider(base_url=os.environ["MODEL_URL"], api_key="none")
agent = Agent(OpenAIChatModel("small", provider=provider))
app = FastAPI()


@app.post("/agent")
async def run(request: Request) -> Response:
    """Carry out one run of the agent."""
    return await AGUIAdapter.dispatch_request(request, agent=agent)
