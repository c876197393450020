"""Features that a tenant may turn off, and the routes that each of them is."""

from sluice.api.route import Route
from sluice.tenants.choices import check_enabled
from sluice.tenants.tenant import Tenant

FEATURE_OF_TAG = {
    "Batches": "batches",
    "Conversations": "conversations",
    "Embeddings": "embeddings",
    "Files": "files",
    "Ingestion": "ingestion",
    "Insights": "insights",
    "Interviews": "tasks",
    "Moderations": "moderations",
    "Operations assistant": "tasks",
    "Questions": "questions",
    "Tasks": "tasks",
    "Teaching": "tasks",
    "Vector stores": "vector_stores",
}
"""By the tags of routes. What has no feature can't be turned off."""


def check_feature(route: Route, tenant: Tenant) -> None:
    """Refuse a route whose feature the tenant turned off. Raises FeatureDisabledError."""
    feature = FEATURE_OF_TAG.get(route.tag)
    if feature is not None and tenant.choices:
        check_enabled(feature, tenant)
