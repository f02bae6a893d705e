"""LangGraph's own adapter for AG-UI, around a graph of one node with a model that repeats the question."""

import asyncio

from ag_ui_langgraph import LangGraphAgent, add_langgraph_fastapi_endpoint
from fastapi import FastAPI
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph


class Repeating(BaseChatModel):
    @property
    def _llm_type(self):
        return "repeating"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessageChunk(content=messages[-1].content))])

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for number in range(10):
            await asyncio.sleep(0.02)
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"#{number}; {messages[-1].content} "))


async def reply(state: MessagesState):
    return {"messages": [await Repeating().ainvoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("reply", reply)
graph.add_edge(START, "reply")
graph.add_edge("reply", END)

app = FastAPI()
add_langgraph_fastapi_endpoint(
    app, LangGraphAgent(name="chat", graph=graph.compile(checkpointer=MemorySaver())), "/agent"
)
