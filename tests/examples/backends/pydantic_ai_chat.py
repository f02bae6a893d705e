"""pydantic-ai's own adapter for AG-UI: with a function for a model, and with its OpenAI provider."""

import asyncio
import os

from fastapi import FastAPI, Request, Response
from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.ui.ag_ui import AGUIAdapter


async def answer(messages, info):
    question = messages[-1].parts[-1].content
    for number in range(10):
        yield f"#{number}; {question} "
        await asyncio.sleep(0.02)


app = FastAPI()
function_agent = Agent(FunctionModel(stream_function=answer))


@app.post("/function")
async def with_a_function(request: Request) -> Response:
    return await AGUIAdapter.dispatch_request(request, agent=function_agent)


provider = OpenAIProvider(base_url=os.environ.get("MODEL_URL", "http://model/v1"), api_key="none")
openai_agent = Agent(OpenAIChatModel("m", provider=provider))


@app.post("/openai")
async def with_openai(request: Request) -> Response:
    return await AGUIAdapter.dispatch_request(request, agent=openai_agent)
