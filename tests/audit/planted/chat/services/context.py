class UserContext:
    def __init__(self, user_id, thread_id):
        self.user_id = user_id
        self.thread_id = thread_id


def thread_of(run_id, separator="_"):
    """The thread that a run belongs to."""
    parts = run_id.split(separator)
    if len(parts) < 3:
        return None
    found = [part for part in parts if part.startswith("thread")]
    if not found:
        return None
    return separator.join([found[0], parts[-1]])


def get_manager(name):
    return {"a": 1}.get(name)


def label(user):
    return user.name.title()


class Base:
    async def close(self):
        return None


def main():  # fine
    print("context")
