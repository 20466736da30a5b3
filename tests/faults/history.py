"""What clients asked and were told: the material of checker.py."""

import dataclasses
import http.client
import json
import math
import threading
import time


@dataclasses.dataclass
class Op:
    """One request. Of a command that was repeated until somebody answered (same id, same effect) it is all attempts together:
    from the first question to the first answer. Times are those of one machine's monotonic clock."""

    client: str
    kind: str  # what the key is of: order, customer, payment, ride, rating
    key: str
    name: str  # create, get, cancel, …
    args: dict
    start: float
    end: float = math.inf
    status: int | None = None  # None: nobody knows whether it happened
    value: dict | None = None  # the answer's body

    @property
    def known(self):
        return self.status is not None

    def __str__(self):
        end = "…" if self.end == math.inf else f"{self.end:.3f}"
        return f"{self.start:.3f}-{end} {self.client}: {self.name} {self.key} {self.args or ''} -> {self.status} {self.value or ''}"


# Statuses after which nobody knows whether the request did anything.
UNKNOWN = {502, 503, 504}


class History:
    """Any thread adds to it."""

    def __init__(self):
        self.ops, self.lock = [], threading.Lock()

    def add(self, op):
        with self.lock:
            self.ops.append(op)

    def take(self):
        """What there is, which the next call does not have any more."""
        with self.lock:
            ops, self.ops = self.ops, []
        return ops

    def ask(self, op, request, until=None):
        """Calls request(), which returns an answer or fails, and notes the outcome. With `until` again and again, until somebody knows
        or `until` (of time.monotonic()) is over: for what is safe to repeat. Returns op."""
        while True:
            status, value = attempt(request)
            if status is not None:
                op.end, op.status, op.value = time.monotonic(), status, value
            if op.known or until is None or time.monotonic() > until:
                self.add(op)
                return op
            time.sleep(0.05)


def attempt(request):
    """Status and body; (None, None) where nobody knows."""
    try:
        answer = request()
        if answer.status in UNKNOWN:
            return None, None
        return answer.status, json.loads(answer.body) if answer.body else None
    except (OSError, http.client.HTTPException):
        return None, None
