"""`python -m tests.serve_moto PORT`: moto's server on loopback, which does one request after the other.

moto evaluates a condition and writes in two steps that another thread can come between, so that of two conditional
writes both succeed where only one may. There moto is wrong: DynamoDB evaluates a condition and writes in one step
("Condition expressions" and "Atomic counters" in its developer guide), for which taking requests in turn stands here.
"""

import sys
from collections.abc import Iterable
from threading import Lock
from typing import TYPE_CHECKING

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_application = DomainDispatcherApplication(create_backend_app)
_turn = Lock()


def serve_in_turn(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """One request."""
    with _turn:
        return list(_application(environ, start_response))


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), serve_in_turn, threaded=True)
