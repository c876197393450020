"""Works on vector stores: by messages of a queue, and every hour by EventBridge."""

from sluice.api.store_messages import store_handler
from sluice.composition import App

handler = store_handler(App.from_environment())
