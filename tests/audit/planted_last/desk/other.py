from desk.parts import Ticket as _Ticket


class Ticket(_Ticket):  # fine
    pass


class Forge:  # defect: NS501
    def smelt(self):
        return 1


async def look_up(word):
    return {"a": 1}[word]


def shout(text):  # fine
    return text.upper() + "!"
