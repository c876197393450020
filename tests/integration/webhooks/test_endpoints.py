"""Webhook endpoints by the API."""

import json

import pytest

from sluice.webhooks.endpoint import MOST_ENDPOINTS
from tests.conftest import Aws
from tests.integration.webhooks.conftest import Webhooks
from tests.tenants import key_id

URL = "http://127.0.0.1:9/hook?token=in-the-url"


def test_a_secret_is_shown_once_and_kept_nowhere(
    webhooks: Webhooks, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    made = webhooks.create(URL)
    secret = made["signing_secret"]
    assert secret.startswith("whsec_")
    rotated = webhooks.keys.send(f"POST /v1/webhook_endpoints/{made['id']}/rotate_secret", {}).body["signing_secret"]
    assert rotated != secret
    shown = webhooks.get(made["id"])
    assert "signing_secret" not in shown
    assert shown["signing_secret_hint"] == f"whsec_...{rotated[-4:]}"
    webhooks.keys.send(f"DELETE /v1/webhook_endpoints/{made['id']}")
    stored = json.dumps([aws.items("DIRECTORY_TABLE")])
    printed = capsys.readouterr()
    for each in (secret, rotated):
        assert each.removeprefix("whsec_") not in stored + printed.out + printed.err
    assert "in-the-url" not in stored + printed.out + printed.err


def test_endpoints_are_made_listed_shown_and_deleted(webhooks: Webhooks) -> None:
    ids = [webhooks.create(f"http://127.0.0.1:{9000 + number}/")["id"] for number in range(3)]
    listed = webhooks.keys.send("GET /v1/webhook_endpoints", query={"limit": "2"}).body
    assert listed["has_more"]
    rest = webhooks.keys.send("GET /v1/webhook_endpoints", query={"after": listed["last_id"]}).body
    assert sorted(each["id"] for each in listed["data"] + rest["data"]) == sorted(ids)
    assert not rest["has_more"]
    deleted = webhooks.keys.send(f"DELETE /v1/webhook_endpoints/{ids[0]}").body
    assert deleted == {"id": ids[0], "object": "webhook_endpoint.deleted", "deleted": True}
    for route in (
        f"GET /v1/webhook_endpoints/{ids[0]}",
        f"DELETE /v1/webhook_endpoints/{ids[0]}",
        "GET /v1/webhook_endpoints/x",
    ):
        assert webhooks.keys.send(route).status == 404
    rotate = webhooks.keys.send(f"POST /v1/webhook_endpoints/{ids[0]}/rotate_secret", {})
    assert rotate.status == 404
    assert len(webhooks.keys.send("GET /v1/webhook_endpoints").body["data"]) == 2


def test_an_endpoint_is_its_tenant_s_alone_and_not_for_callers(webhooks: Webhooks) -> None:
    made = webhooks.create(URL)
    webhooks.batches.tenant("other")
    stranger = webhooks.batches.key("other", role="operator")
    for route, body in (
        ("GET /v1/webhook_endpoints/{}", None),
        ("DELETE /v1/webhook_endpoints/{}", None),
        ("POST /v1/webhook_endpoints/{}/rotate_secret", {}),
    ):
        assert webhooks.keys.send(route.format(made["id"]), body, api_key=stranger).status == 404
    assert webhooks.keys.send("GET /v1/webhook_endpoints", api_key=stranger).body["data"] == []
    assert webhooks.keys.send("GET /v1/webhook_endpoints", api_key=webhooks.batches.api_key).status == 403


def test_a_tenant_has_so_many_endpoints_at_most(webhooks: Webhooks) -> None:
    for _ in range(MOST_ENDPOINTS):
        webhooks.create(URL)
    body = {"name": "One more", "url": URL, "event_types": ["batch.completed"]}
    assert webhooks.keys.send("POST /v1/webhook_endpoints", body).status == 409


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "https://10.0.0.1/", "https://[fd00::1]/", "https://169.254.169.254/latest"]
)
def test_an_endpoint_off_the_public_internet_is_refused(webhooks: Webhooks, url: str) -> None:
    body = {"name": "A receiver", "url": url, "event_types": ["batch.completed"]}
    refused = webhooks.keys.send("POST /v1/webhook_endpoints", body)
    assert (refused.status, refused.error["param"]) == (400, "url")


def test_without_the_setting_this_machine_is_refused(webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENANTS_REACH_LOOPBACK")
    webhooks.keys.restart()
    body = {"name": "A receiver", "url": URL, "event_types": ["batch.completed"]}
    assert webhooks.keys.send("POST /v1/webhook_endpoints", body).status == 400


def test_events_that_there_are_none_of_are_refused(webhooks: Webhooks) -> None:
    for types in ([], ["response.completed"], ["batch.completed", "nonsense"]):
        body = {"name": "A receiver", "url": URL, "event_types": types}
        assert webhooks.keys.send("POST /v1/webhook_endpoints", body).status == 400


def test_what_is_done_to_endpoints_is_recorded(webhooks: Webhooks) -> None:
    made = webhooks.create(URL)
    webhooks.keys.send(
        f"POST /v1/webhook_endpoints/{made['id']}/rotate_secret", {"keep_old_secret_active_for_24_hours": True}
    )
    webhooks.keys.send(f"DELETE /v1/webhook_endpoints/{made['id']}")
    records = webhooks.keys.send("GET /v1/audit", query={"tenant": "acme"}).body["data"]
    found = {each["action"]: each for each in records if each["target"] == made["id"]}
    assert found.keys() == {"webhook.created", "webhook.rotated", "webhook.deleted"}
    assert {each["actor"]["key"] for each in found.values()} == {key_id(webhooks.keys.api_key)}
    assert found["webhook.created"]["changes"]["host"] == {"before": None, "after": "127.0.0.1:9"}
    assert found["webhook.deleted"]["changes"]["host"] == {"before": "127.0.0.1:9", "after": None}


def test_a_deleted_tenant_s_endpoints_are_deleted(webhooks: Webhooks, aws: Aws) -> None:
    webhooks.create(URL)
    assert webhooks.keys.send("DELETE /v1/tenants/acme", api_key=aws.admin_key).status == 200
    assert not [item for item in aws.items("DIRECTORY_TABLE") if item["owner"]["S"].startswith("webhooks#")]
