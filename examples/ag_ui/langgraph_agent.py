"""LangGraph's own adapter for AG-UI, around a graph of one node that asks an OpenAI-style model."""

import os
from collections.abc import AsyncIterator
from typing import Any

from ag_ui_langgraph import LangGraphAgent, add_langgraph_fastapi_endpoint
from fastapi import FastAPI
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from openai import AsyncOpenAI

client = AsyncOpenAI(base_url=os.environ["MODEL_URL"], api_key="none")


class SmallModel(BaseChatModel):
    """The model as LangChain sees it."""

    @property
    def _llm_type(self) -> str:
        return "small"

    def _generate(self, messages: list[BaseMessage], *args: Any, **named: Any) -> ChatResult:
        raise NotImplementedError("this model only streams")

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **named: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        asked = [{"role": "user", "content": messages[-1].content}]
        async for chunk in await client.chat.completions.create(model="small", messages=asked, stream=True):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                yield ChatGenerationChunk(message=AIMessageChunk(content=text))


async def reply(state: MessagesState) -> dict[str, list[BaseMessage]]:
    """Answer the last message."""
    return {"messages": [await SmallModel().ainvoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("reply", reply)
graph.add_edge(START, "reply")
graph.add_edge("reply", END)

app = FastAPI()
agent = LangGraphAgent(name="small", graph=graph.compile(checkpointer=MemorySaver()))
add_langgraph_fastapi_endpoint(app, agent, "/agent")
