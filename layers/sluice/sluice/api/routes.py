"""All routes of the API. Functions import their own: this is for what speaks of all of them."""

from sluice.api import (
    audit,
    batches,
    budgets,
    chat,
    conversations,
    description,
    files,
    keys,
    models,
    oversight,
    providers,
    requests,
    task_versions,
    tasks,
    tenants,
    usage,
    usage_groups,
)
from sluice.api.compat import dashboard, groq, llm, questions, teaching
from sluice.api.compat.genai import answers, prompts, sessions, status
from sluice.api.route import Route

ROUTES: tuple[Route, ...] = (
    *chat.ROUTES,
    *models.ROUTES,
    *llm.ROUTES,
    *description.ROUTES,
    *conversations.ROUTES,
    *oversight.ROUTES,
    *tasks.ROUTES,
    *task_versions.ROUTES,
    *answers.ROUTES,
    *sessions.ROUTES,
    *prompts.ROUTES,
    *status.ROUTES,
    *questions.ROUTES,
    *teaching.ROUTES,
    *files.ROUTES,
    *batches.ROUTES,
    *usage.ROUTES,
    *usage_groups.ROUTES,
    *dashboard.ROUTES,
    *groq.ROUTES,
    *providers.ROUTES,
    *requests.ROUTES,
    *tenants.ROUTES,
    *budgets.ROUTES,
    *keys.ROUTES,
    *audit.ROUTES,
)
