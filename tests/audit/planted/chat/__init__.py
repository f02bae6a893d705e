from chat.agents import ReportAgent, TriageAgent
from chat.engine import UserExecutionEngine as Engine
from chat.factory import ExecutionEngineFactory
from chat.sockets import ConnectionManager
