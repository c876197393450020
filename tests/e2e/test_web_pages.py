"""What a web page in a real browser reaches of the local stack: nothing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, Response

from tests.e2e.conftest import ATTACKER
from tools.stack import RunningStack

# Each returns what the page was able to read, or that it was not. URL and path are its arguments.
READ = "async (url) => { try { return await (await fetch(url)).text() } catch (error) { return String(error) } }"
SECRETS = """async (url) => {
  const headers = {"x-amz-target": "secretsmanager.ListSecrets", "content-type": "application/x-amz-json-1.1"}
  try { return await (await fetch(url, {method: "POST", headers, body: "{}"})).text() }
  catch (error) { return String(error) }
}"""
SEND_BLINDLY = """async (url) => {
  const answer = await fetch(url, {method: "POST", mode: "no-cors", body: "{}"})
  return answer.type
}"""
SUBMIT = """(url) => {
  const form = document.createElement("form")
  form.method = "POST"; form.action = url
  document.body.append(form)
  form.submit()
}"""
EMBED = """(url) => Promise.all(["img", "iframe", "script"].map((tag) => new Promise((resolve) => {
  const element = document.createElement(tag)
  element.onload = () => resolve(tag === "iframe" ? "loaded, and not readable" : "loaded")
  element.onerror = () => resolve("refused")
  element.src = url
  document.body.append(element)
})))"""
FROM_A_SANDBOX = """(url) => new Promise((resolve) => {
  addEventListener("message", (event) => resolve(event.data))
  const frame = document.createElement("iframe")
  frame.sandbox = "allow-scripts"
  frame.srcdoc = `<script>
    fetch("${url}").then((answer) => answer.text()).catch(String).then((text) => parent.postMessage(text, "*"))
  </script>`
  document.body.append(frame)
})"""
WEBSOCKET = """(url) => new Promise((resolve) => {
  const socket = new WebSocket(url.replace("http:", "ws:"))
  socket.onopen = () => resolve("open")
  socket.onerror = () => resolve("refused")
})"""
UNREADABLE = "TypeError: Failed to fetch"


class AttackersServer(BaseHTTPRequestHandler):
    """Serves an empty page, and lets any page read it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("access-control-allow-origin", "*")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a page</title><body>a page</body>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def attackers_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), AttackersServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Visit:
    """A page of the attacker's, and what the local stack answered to it."""

    def __init__(self, page: Page, stack: RunningStack) -> None:
        self.page = page
        self.aws_url = stack.ministack.endpoint_url
        self.door_url = stack.stack.base_url.removesuffix("/v1")
        self.responses: list[Response] = []
        page.on("response", self._note)

    def _note(self, response: Response) -> None:
        self.responses.append(response)

    def statuses(self, port: int) -> list[int]:
        """What was answered on a port, but for what the browser threw away because the page may not have it."""
        return [response.status for response in self.responses if f":{port}/" in response.url]


@pytest.fixture(params=["localhost", ATTACKER])
def visit(
    request: pytest.FixtureRequest, chromium: Browser, stack: RunningStack, attackers_port: int
) -> Iterator[Visit]:
    """A visit to a page of another port of this machine, or of another name."""
    page = chromium.new_page()
    page.goto(f"http://{request.param}:{attackers_port}/")
    yield Visit(page, stack)
    page.close()


def test_a_page_can_read_what_lets_it(visit: Visit, attackers_port: int) -> None:
    assert "a page" in visit.page.evaluate(READ, f"http://127.0.0.1:{attackers_port}/")


@pytest.mark.parametrize("path", ["/", "/_ministack/health", "/sluice-artifacts", "/health"])
def test_a_page_can_t_read_from_ministack(path: str, visit: Visit) -> None:
    assert visit.page.evaluate(READ, visit.aws_url + path) == UNREADABLE
    assert visit.page.evaluate(FROM_A_SANDBOX, visit.aws_url + path) == UNREADABLE


def test_a_page_can_t_read_secrets(visit: Visit) -> None:
    assert visit.page.evaluate(SECRETS, f"{visit.aws_url}/") == UNREADABLE


def test_a_page_can_t_change_what_it_can_t_read(visit: Visit, stack: RunningStack) -> None:
    assert visit.page.evaluate(SEND_BLINDLY, f"{visit.aws_url}/_ministack/reset") == "opaque"
    assert set(visit.page.evaluate(EMBED, f"{visit.aws_url}/_ministack/health")) <= {
        "refused",
        "loaded, and not readable",
    }
    with visit.page.expect_navigation():
        visit.page.evaluate(SUBMIT, f"{visit.aws_url}/_ministack/reset")
    assert "MiniStack's gate refuses the request" in visit.page.content()
    assert visit.statuses(stack.ministack.port) == [403] * 3, "sent blindly, in the frame, and as a form"
    secrets = stack.ministack.aws.session().client("secretsmanager", endpoint_url=visit.aws_url)
    assert secrets.list_secrets()["SecretList"]


def test_a_page_can_t_open_a_websocket(visit: Visit) -> None:
    assert visit.page.evaluate(WEBSOCKET, visit.aws_url) == "refused"
    assert visit.page.evaluate(WEBSOCKET, visit.door_url) == "refused"


def test_a_page_whose_name_leads_here_is_told_from_a_program(chromium: Browser, stack: RunningStack) -> None:
    aws_port, door_port = stack.ministack.port, int(stack.stack.base_url.split(":")[2].split("/")[0])
    page = chromium.new_page()
    visit = Visit(page, stack)
    page.goto(f"http://{ATTACKER}:{aws_port}/")
    assert "it is addressed to another host" in page.evaluate(READ, "/_ministack/health"), "it may read: it is its own"
    assert "it is addressed to another host" in page.evaluate(SECRETS, "/")
    assert visit.statuses(aws_port) == [403] * 3
    page.goto(f"http://{ATTACKER}:{door_port}/v1/models")
    assert "foreign_host" in page.evaluate(READ, "/openapi.json")
    assert visit.statuses(door_port) == [403] * 2
    page.close()


def test_a_page_can_t_read_from_the_front_door(visit: Visit) -> None:
    for path in ("/v1/models", "/v1/keys", "/openapi.json"):
        assert visit.page.evaluate(READ, visit.door_url + path) == UNREADABLE
