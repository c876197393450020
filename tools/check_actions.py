"""Compares statements of policies with what IAM has: a list of statements in, a list of findings out, both JSON.

The interpreter of .tools/checkov runs it: policy_sentry, whose data is AWS's service authorization reference, is
installed only there. A resource of a statement is named by its kind, as in _ARN_ENDS.
"""

import json
import logging
import sys
from typing import Any

from policy_sentry.querying.actions import get_action_data  # type: ignore[import-not-found]  # only in .tools/checkov

_ARN_ENDS = {
    "table": ":table/${TableName}",
    "index": "/index/${IndexName}",
    "secret": ":secret:${SecretId}",
    "bucket": ":s3:::${BucketName}",
    "object": "/${ObjectName}",
    "queue": ":${QueueName}",
    "bus": ":event-bus/${EventBusName}",
    "function": ":function:${FunctionName}",
    "parameter": ":parameter/${ParameterNameWithoutLeadingSlash}",
}
# In AWS's service authorization reference by now, and not yet in policy_sentry's copy of it.
_NEWER = {"dynamodb:SearchVectors"}


def _findings(statement: dict[str, Any]) -> list[str]:
    found = []
    for action in statement["actions"]:
        service, name = action.split(":")
        known = (get_action_data(service, name) or {}).get(service, [])
        if known and action in _NEWER:
            found.append(f"{action} need not be in _NEWER any more")
        if action in _NEWER:
            continue
        if not known:
            found.append(f"IAM has no action {action}")
            continue
        formats = [each["resource_arn_format"] for each in known]
        found += [
            f"{action} cannot be allowed on one {kind}"
            for kind in statement["kinds"]
            if not any(arn.endswith(_ARN_ENDS[kind]) for arn in formats)
        ]
    return found


def main() -> None:
    """Check what standard input has."""
    logging.disable()
    statements = json.load(sys.stdin)
    json.dump([finding for statement in statements for finding in _findings(statement)], sys.stdout)


if __name__ == "__main__":
    main()
