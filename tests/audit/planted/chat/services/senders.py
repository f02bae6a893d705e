class Sender:  # fine
    def send(self, text: str) -> None:
        print(text)


class _Entry:  # fine
    pass
