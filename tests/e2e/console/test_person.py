"""The console as a new user goes through it, from the first key to an answer out of a document."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import PRICED_MODEL
from tests.e2e.console.visit import Visit
from tests.fakes import FakeProcess
from tools.stack import RunningStack


def test_a_person_goes_from_the_first_key_to_an_answer_out_of_a_document(
    chromium: Browser, stack: RunningStack, url: str, fake_provider: FakeProcess, tmp_path: Path
) -> None:
    name = f"class-{time.time_ns()}"
    with Visit(chromium, url, expects={429}) as visit:
        visit.sign_in(stack.stack.admin_key)
        _make_a_tenant(visit, name)
        key = _make_a_key(visit)
        _add_a_provider(visit, name, fake_provider.openai_url)
        _ask_until_the_budget_is_used_up(visit, key)
        _see_what_it_cost(visit, name)
        _raise_the_budget(visit, name)
        _ask_again(visit)
        _search_a_document(visit, tmp_path)
        _ask_a_question(visit)
        assert visit.problems == []


def _make_a_tenant(visit: Visit, name: str) -> None:
    visit.go("keys")
    page = visit.page
    page.click("text=Make a tenant")
    page.fill("#t-name", f"Chemistry, {name}")
    page.fill("#t-id", name)
    page.fill("#t-budget", "5")
    page.click("dialog .primary")
    page.wait_for_selector(f".quota:has-text('Chemistry, {name}')")
    page.wait_for_selector(".section:has-text('There is no key yet')")


def _make_a_key(visit: Visit) -> str:
    page = visit.page
    page.click(".page-aside >> text=Make a key")
    page.fill("#k-name", "lab-1")
    page.click("dialog .primary")
    page.wait_for_selector("dialog:has-text('shown this once')")
    key = page.inner_text("dialog .copy code >> nth=0")
    assert key.startswith("sl-")
    page.click("text=I have stored it")
    assert key not in page.content()
    page.wait_for_selector("tbody >> text=lab-1")
    return key


def _add_a_provider(visit: Visit, name: str, base_url: str) -> None:
    visit.go(f"configuration?tab=providers&tenant={name}")
    page = visit.page
    page.click("text=Add a provider")
    page.select_option("#i-kind", "openai_compatible")
    page.fill("#i-name", "Our own")
    page.fill("#i-url", base_url)
    page.fill("#i-api_key", "sk-own-0123456789wxyz")
    page.fill("#i-models", "own-model")
    page.click("text=Save and test")
    page.wait_for_selector(".why:has-text('It answers')")
    assert "...wxyz" in visit.text()
    assert "sk-own" not in page.content()


def _ask_until_the_budget_is_used_up(visit: Visit, key: str) -> None:
    visit.go("playground")
    page = visit.page
    page.fill("#other", key)
    page.wait_for_selector("#m0 option[value=own-model]", state="attached")
    page.select_option("#m0", PRICED_MODEL)
    page.uncheck("#streamed")
    for number in range(20):
        page.fill("#ask", f"What is water, {number}?")
        page.click(".compose .primary")
        page.wait_for_selector(f".pane >> nth={number} >> .text, .trouble")
        page.wait_for_selector(".compose .primary:has-text('Ask')")
        if page.query_selector(".trouble"):
            break
    else:
        pytest.fail("the budget did not run out")
    assert "insufficient_quota" in visit.text()
    assert "$0." in page.inner_text(".pane >> nth=0 >> footer")
    assert f"{PRICED_MODEL} was asked for, and answered." in visit.text()


def _see_what_it_cost(visit: Visit, name: str) -> None:
    visit.go(f"usage?tenant={name}")
    assert PRICED_MODEL in visit.text()
    visit.go(f"activity?tenant={name}&show=refused")
    assert "left" in visit.text()


def _raise_the_budget(visit: Visit, name: str) -> None:
    visit.go(f"keys?tenant={name}")
    page = visit.page
    page.click("text=Edit budget")
    page.click("text=More in this month alone")
    page.fill("#b", "5")
    page.wait_for_selector("dialog:has-text('are left until the month ends')")
    page.click("dialog .primary")
    page.wait_for_selector(".quota:has-text('of $10.00')")


def _ask_again(visit: Visit) -> None:
    visit.go("playground")
    page = visit.page
    # The key that asked is kept until the page is left.
    page.select_option("#m0", PRICED_MODEL)
    page.fill("#ask", "What is salt?")
    page.click(".compose .primary")
    page.wait_for_selector(".pane footer:has-text('Cost')")
    assert "salt" in page.inner_text(".pane .text")


def _search_a_document(visit: Visit, folder: Path) -> None:
    page, document = visit.page, folder / "handbook.md"
    document.write_text("# Handbook\n\nParental leave is 14 weeks.\n")
    visit.go("ask")
    page.click("button:has-text('Make a vector store')")
    page.fill("#s-name", "Handbook")
    # It is free: without a price a tenant that has a budget may not use a model.
    page.wait_for_selector("#s-model option[value='potion-base-8M']", state="attached")
    page.select_option("#s-model", "potion-base-8M")
    page.click("dialog .primary")
    page.set_input_files("#files", document)
    page.click(".primary:text-is('Add')")
    page.wait_for_selector(".toast:has-text('found as soon as it is read')")
    for _ in range(20):
        page.fill("#find", "How long is parental leave?")
        page.press("#find", "Enter")
        page.wait_for_selector("h2:text-is('Found')")
        if page.query_selector(".found"):
            break
        page.wait_for_timeout(500)
    expect(page.locator(".found").first).to_contain_text("Parental leave is 14 weeks.")
    page.click("summary:has-text('Filters')")
    page.fill("#kind", "commit")
    page.press("#find", "Enter")
    page.wait_for_selector("text=Nothing was found.")
    assert "kind=commit" in page.url


def _ask_a_question(visit: Visit) -> None:
    page = visit.page
    page.fill("#question", "How much of our budget is left?")
    page.press("#question", "Enter")
    page.wait_for_selector(".section:has-text('Answer') >> text=computed from Sluice")
    assert "$" in page.inner_text(".answer")
    page.fill("#question", "How long is parental leave?")
    page.press("#question", "Enter")
    page.wait_for_selector(".section:has-text('Answer') .sources:has-text('handbook.md')")
