import json


def shout(text, times, *, end):  # fine
    return json.dumps([text] * times) + end
