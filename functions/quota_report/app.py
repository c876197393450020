"""Alerts of limits that run out, and reports of the days that have ended: every hour, by EventBridge."""

from sluice.api.schedule import schedule_handler
from sluice.composition import App

handler = schedule_handler(App.from_environment())
