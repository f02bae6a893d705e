"""Log formatters that add the fields of ``extra`` (ids of runs, users and connections) and redact secrets."""

import datetime
import json
import logging

from netra_sim.bridge import redact_text

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: ``time``, ``level``, ``logger``, ``message``, the ``extra`` fields, ``error``.

    Secrets are redacted, as in events.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps({name: _clean(value) for name, value in line.items()}, ensure_ascii=True)


class TextFormatter(logging.Formatter):
    """Formats a record as text for people, with the ``extra`` fields, without secrets and control characters."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name in `logging`
        """See `logging.Formatter.formatMessage`."""
        extra = "".join(f" {name}={value!r}" for name, value in vars(record).items() if name not in _STANDARD)
        text = redact_text(super().formatMessage(record) + extra)
        return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _clean(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact_text(value if isinstance(value, str) else repr(value))
