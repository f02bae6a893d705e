"""A script that nobody imports, and that serves nobody."""

results = []  # fine


def collect(value):
    results.append(value)
