"""What another team adds to netra-sim: one object of each kind, named in `pyproject.toml`.

Each kind has a module, which imports only what it needs: netra-sim imports it when it first needs that kind.
"""
