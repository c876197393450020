"""What a request is sent as, on a real socket, and how its answer's headers are read."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sluice import __version__
from sluice.providers.plain_http import Headers, request


class _Echo(BaseHTTPRequestHandler):
    """Answers with the request's path, and keeps all of it."""

    seen: tuple[str, str, dict[str, list[str]], bytes]

    def do_POST(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): self.headers.get_all(name) or [] for name in self.headers}
        type(self).seen = (self.command, self.path, headers, body)
        self.send_response(200)
        self.send_header("Set-Cookie", "secret=1")
        self.send_header("X-Twice", "a")
        self.send_header("x-twice", "b")
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    do_GET = do_POST  # noqa: N815 -- the name that the base class looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_request_is_sent_as_it_is_with_its_host_and_length_and_no_cookie_of_an_earlier_answer(port: int) -> None:
    for _ in range(2):
        answer = request("POST", f"http://127.0.0.1:{port}/v1/chat?a=b", {"authorization": "Bearer k"}, b"{}", 5)
        assert (answer.status_code, b"".join(answer.iter_raw())) == (200, b"/v1/chat?a=b")
    method, path, headers, body = _Echo.seen
    assert (method, path, body) == ("POST", "/v1/chat?a=b", b"{}")
    assert headers == {
        "host": [f"127.0.0.1:{port}"],
        "accept": ["*/*"],
        "user-agent": [f"sluice/{__version__}"],
        "authorization": ["Bearer k"],
        "content-length": ["2"],
    }


def test_a_path_that_is_no_url_is_written_as_one_and_what_is_written_so_already_is_left(port: int) -> None:
    answer = request("GET", f"http://127.0.0.1:{port}/models/a b/é%2Fc:d", {}, b"", 5)
    assert b"".join(answer.iter_raw()) == b"/models/a%20b/%C3%A9%2Fc:d"
    assert "content-length" not in _Echo.seen[2]


def test_headers_are_found_in_whatever_case_and_those_of_one_name_are_joined(port: int) -> None:
    answer = request("GET", f"http://127.0.0.1:{port}/", {}, b"", 5)
    answer.close()
    answer.close()
    assert answer.headers["X-TWICE"] == answer.headers.get("x-twice") == "a, b"
    assert "set-cookie" in answer.headers
    assert "x-thrice" not in answer.headers


def test_headers_that_are_no_utf_8_are_read_all_the_same() -> None:
    headers = Headers([(b"X-Name", "é".encode()), (b"x-other", b"\xe9")])
    assert dict(headers) == {"x-name": "é", "x-other": "\ufffd"}
