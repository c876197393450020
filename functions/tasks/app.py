"""Tasks, insights, the operations assistant and interview questions, behind API Gateway."""

import sluice.loading.starting as starting
from sluice.api import insights, task_versions, tasks
from sluice.api.compat import questions, teaching
from sluice.api.compat.genai import answers, prompts, sessions, status
from sluice.api.rest import lambda_handler
from sluice.composition import App

ROUTES = (
    *tasks.ROUTES,
    *task_versions.ROUTES,
    *insights.ROUTES,
    *answers.ROUTES,
    *sessions.ROUTES,
    *prompts.ROUTES,
    *status.ROUTES,
    *questions.ROUTES,
    *teaching.ROUTES,
)

handler = starting.started(lambda_handler(ROUTES, App.from_environment()))
