"""Secrets and signatures of webhooks, as those who receive them verify them."""

import json
import time

import openai
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from sluice.webhooks.endpoint import Event, EventType
from sluice.webhooks.signing import endpoint_secret, signed_headers

EVENT = Event(id="evt_1", type=EventType.BATCH_COMPLETED, created_at=1_767_225_600, subject="batch_1")


def secret(salt: str = "a", tenant: str = "acme") -> str:
    return endpoint_secret("the stack's own", tenant, "we_1", salt)


def test_openai_s_sdk_takes_what_is_sent() -> None:
    body = EVENT.body()
    headers = signed_headers(EVENT.id, int(time.time()), body, [secret()])
    client = openai.OpenAI(api_key="none", webhook_secret=secret())
    event = client.webhooks.unwrap(body, headers)
    assert event.type == "batch.completed"
    assert (event.id, event.created_at, event.data.id) == ("evt_1", 1_767_225_600, "batch_1")
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body.replace(b"batch_1", b"batch_2"), headers)


def test_the_standard_s_own_library_takes_what_is_sent() -> None:
    body = EVENT.body()
    headers = signed_headers(EVENT.id, int(time.time()), body, [secret()])
    assert Webhook(secret()).verify(body, headers) == json.loads(body)
    for changed in ({**headers, "webhook-id": "evt_2"}, {**headers, "webhook-timestamp": str(int(time.time()) - 9)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret()).verify(body, changed)


def test_while_a_secret_is_replaced_both_verify() -> None:
    body = EVENT.body()
    headers = signed_headers(EVENT.id, int(time.time()), body, [secret("new"), secret("old")])
    assert len(headers["webhook-signature"].split()) == 2
    for each in (secret("new"), secret("old")):
        Webhook(each).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret("other")).verify(body, headers)


def test_a_secret_is_an_endpoint_s_own_and_the_same_each_time() -> None:
    assert secret() == secret()
    others = {
        secret("b"),
        secret(tenant="other"),
        endpoint_secret("another stack's", "acme", "we_1", "a"),
        endpoint_secret("the stack's own", "acme", "we_2", "a"),
    }
    assert secret() not in others
    assert len(others) == 4
