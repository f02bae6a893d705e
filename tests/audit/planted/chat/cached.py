from chat import deep

recent = []  # defect: NS401
first = [1, 2, 3]  # fine


def first_of(name):
    return deep.look_up(name) or first[0]
