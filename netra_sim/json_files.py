"""JSON files that people read too; an earlier one is replaced only when the new one is complete."""

from pathlib import Path

import msgspec

from netra_sim.files import replacing


def save_json(path: Path, content: object) -> None:
    """Write anything that msgspec encodes, indented.

    Raises:
        OSError: the file cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(content), indent=1)
    with replacing(path) as beside:
        beside.write_bytes(text + b"\n")
