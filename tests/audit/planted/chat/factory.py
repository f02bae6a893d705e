from chat.agents import TriageAgent
from chat.emitter import UserWebSocketEmitter
from chat.engine import UserExecutionEngine


class ExecutionEngineFactory:
    def __init__(self, websocket_bridge, pipeline=None):
        self.bridge = websocket_bridge
        self.pipeline = pipeline or (lambda context: [[TriageAgent()]])  # fine

    def make(self, context):
        emitter = UserWebSocketEmitter(context.user_id, self.bridge)  # fine
        return UserExecutionEngine(context, emitter)  # fine
