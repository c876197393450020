"""AI configuration in the console: what agents do, and providers of a tenant's own."""

from playwright.sync_api import Browser

from tests.e2e.console.visit import Visit
from tests.fakes import FakeProcess


def test_what_somebody_else_changed_meanwhile_is_not_undone(admin: Visit, chromium: Browser, url: str) -> None:
    admin.expect(412)
    threshold, forecast = (
        "#agent_config-questionAnswering-confidenceThreshold",
        "#agent_config-dashboardAI-predictiveAnalytics",
    )
    page, save = admin.page, "[aria-label=Agents] .primary"
    admin.go("configuration?tenant=hostile")
    before, was_forecast = page.input_value(threshold), page.is_checked(forecast)
    with Visit(chromium, url) as other:
        other.page.evaluate("key => sessionStorage.setItem('sluice.key', key)", _key_of(admin))
        other.page.reload()
        other.page.wait_for_selector(".shell")
        other.go("configuration?tenant=hostile")
        other.page.click(forecast)
        other.page.click(save)
        other.page.wait_for_selector(".toast:has-text('Agents: saved')")
        assert other.problems == []
    page.fill(threshold, "55")
    page.click(save)
    page.wait_for_selector(".trouble:has-text('changed in the meantime')")
    page.click("button:has-text('Load it anew')")
    page.wait_for_selector(".trouble", state="detached")
    assert page.is_checked(forecast) is not was_forecast
    assert page.input_value(threshold) == before


def test_a_provider_is_edited_without_its_key_and_deleted(admin: Visit, fake_provider: FakeProcess) -> None:
    admin.expect(400)
    page = admin.page
    admin.go("configuration?tab=providers&tenant=hostile")
    page.click("text=Add a provider")
    page.select_option("#i-kind", "custom_gateway")
    page.select_option("#i-subtype", "embedding")
    page.fill("#i-name", "Gateway")
    page.fill("#i-url", fake_provider.openai_url)
    page.fill("#i-api_key", "sk-0123456789abcdef")
    page.fill("#i-models", "somebody-else-s")
    page.click("dialog >> text=Save and test")
    page.wait_for_selector(".trouble:has-text('dimensions')")
    page.fill("#i-dimensions", "8")
    page.click("dialog >> text=Save and test")
    page.wait_for_selector(".why:has-text('not among them')")
    assert admin.findings() == []
    page.click("[aria-label='Edit Gateway']")
    page.click("summary")
    page.fill("#i-requests_per_minute", "30")
    page.uncheck("#i-active")
    page.click("dialog >> text=Save >> nth=0")
    page.wait_for_selector(".deployment:has-text('30 requests a minute'):has-text('switched off')")
    page.click("[aria-label='Delete Gateway']")
    page.click("text=Delete for good")
    page.wait_for_selector("text=Bring a provider with a key of its own")


def test_a_form_keeps_what_is_typed_while_the_screen_is_drawn_anew(admin: Visit) -> None:
    page = admin.page
    admin.go("keys?tenant=hostile")
    page.click("tbody button.name:has-text('manager')")
    page.fill("#k-rpm", "7")
    page.click("text=Revoke…")
    page.wait_for_selector("text=Revoke for good")
    assert page.input_value("#k-rpm") == "7"


def _key_of(visit: Visit) -> str:
    return str(visit.page.evaluate("sessionStorage.getItem('sluice.key')"))
