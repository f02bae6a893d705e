class Notices:  # defect: NS501
    def __init__(self, bridge):
        self.bridge = bridge


def remember(user, when):  # fine
    return (user, when)


def greeting(language):  # defect: NS501
    return {"de": "hallo"}[language]
