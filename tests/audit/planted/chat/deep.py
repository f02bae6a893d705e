found = {}  # defect: NS401


def look_up(name):
    return found.setdefault(name, name.upper())
