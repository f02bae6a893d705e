from desk.parts import DeskAgent, DeskEmitter, DeskExecutionEngine


class Forge:
    def build(self, context, pipe):
        return DeskExecutionEngine(context, DeskEmitter(context.user_id, pipe), [DeskAgent()])  # fine
