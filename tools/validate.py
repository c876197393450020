"""Checks template.yaml as it is written and as six regions would get it. `python -m tools.validate`.

- cfn-lint with the serverless rules on the template, and without them on what its transforms make of it with all that
  is optional, in four regions of AWS, one of China and one of GovCloud;
- checkov on what is made, but for what tools/checkov_allowed.toml allows, which must not allow more than it finds;
- IAM's own list of actions and the resources they can be allowed on, on every statement of the functions' roles.
"""

import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools import template
from tools.processes import ROOT
from tools.template import Run

_SAM = ROOT / ".tools" / "sam" / "bin"
_CHECKOV = ROOT / ".tools" / "checkov" / "bin"
_KINDS = {
    "AWS::DynamoDB::Table": "table",
    "AWS::SecretsManager::Secret": "secret",
    "AWS::S3::Bucket": "bucket",
    "AWS::SQS::Queue": "queue",
    "AWS::Events::EventBus": "bus",
    "AWS::Lambda::Alias": "function",
}
_ALLOWED = Path(__file__).parent / "checkov_allowed.toml"
REGIONS = [["us-east-1", "eu-central-1", "ap-southeast-2", "sa-east-1"], ["cn-north-1"], ["us-gov-west-1"]]
# What is optional and works in every region.
_OPTIONAL = {
    "ChatReservedConcurrency": "5",
    "DeploymentPreference": "Canary10Percent5Minutes",
    "AddressRequestsPerFiveMinutes": "500",
    "DomainName": "llm.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d",
    "HostedZoneId": "Z0123456789ABC",
    "MaxReadRequestUnits": "50",
    "MaxWriteRequestUnits": "50",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:on-call",
    "AlertEmail": "on-call@example.com",
    "BedrockModelArns": "arn:aws:bedrock:eu-central-1::foundation-model/amazon.nova-lite-v1:0",
    "JwtIssuer": "https://login.example.com",
    "JwtAudience": "llm",
    "JwtDefaultTenant": "school",
}
_IN_AWS = {"SnapStart": "true"}
_ELSEWHERE = {"ResponseStreaming": "false"}


def lint_source() -> list[str]:
    """What cfn-lint and the serverless rules have against the template as it is written."""
    command: list[str | Path] = [
        _SAM / "cfn-lint",
        "--append-rules",
        "cfn_lint_serverless.rules",
        "--template",
        template.TEMPLATE,
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return (result.stdout + result.stderr).splitlines() if result.returncode else []


def lint_transformed() -> list[str]:
    """What cfn-lint has against what the transforms make, in six regions."""
    runs = [Run(_OPTIONAL | (_IN_AWS if regions == REGIONS[0] else _ELSEWHERE), regions[0]) for regions in REGIONS]
    asked = [
        {"template": _without_what_is_decided(made), "regions": regions}
        for made, regions in zip(template.transform(template.read(), runs), REGIONS, strict=True)
    ]
    findings: list[str] = _ask(_SAM / "python", "lint_transformed.py", asked)
    return findings


def _without_what_is_decided(made: dict[str, Any]) -> dict[str, Any]:
    """Without parameters whose values stand in their places, and mappings that were read: nothing uses them anymore."""
    used = {"Architecture"}
    parameters = {name: parameter for name, parameter in made["Parameters"].items() if name in used}
    rest = {name: section for name, section in made.items() if name not in {"Mappings", "Rules"}}
    return rest | {"Parameters": parameters}


def _without_repeated_permissions(made: dict[str, Any]) -> dict[str, Any]:
    """With one permission of each function and principal: SAM makes one for each route, and checkov takes its time."""
    kept, seen = {}, set()
    for name, resource in made["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Permission":
            said = json.dumps([resource["Properties"][each] for each in ("FunctionName", "Principal")])
            if said in seen:
                continue
            seen.add(said)
        kept[name] = resource
    return made | {"Resources": kept}


def check_security() -> list[str]:
    """What checkov has against what is made with everything optional, and what is allowed in vain."""
    [made] = template.transform(template.read(), [Run(_OPTIONAL | _IN_AWS)])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "template.json"
        path.write_text(json.dumps(_without_repeated_permissions(made)))
        command: list[str | Path] = [
            _CHECKOV / "checkov",
            "--file",
            path,
            "--framework",
            "cloudformation",
            "--output",
            "json",
        ]
        command += ["--compact", "--quiet", "--skip-download"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    failed = json.loads(result.stdout)["results"]["failed_checks"]
    found = {(each["check_id"], each["resource"].rpartition(".")[2]): each["check_name"] for each in failed}
    allowed = tomllib.loads(_ALLOWED.read_text())["allowed"]
    return list(_compare(found, allowed))


def _compare(found: dict[tuple[str, str], str], allowed: Sequence[dict[str, Any]]) -> Iterator[str]:
    used = set()
    for (check, resource), name in found.items():
        entries = [
            index
            for index, entry in enumerate(allowed)
            if entry["check"] == check and any(fnmatch(resource, pattern) for pattern in entry["on"])
        ]
        used.update(entries)
        if not entries:
            yield f"{check} {resource}: {name}"
    for index, entry in enumerate(allowed):
        if index not in used:
            yield f"{_ALLOWED.name} allows {entry['check']} on {entry['on']}, which checkov has nothing against"


def check_actions() -> list[str]:
    """Which statements of roles IAM does not know."""
    [made] = template.transform(template.read(), [Run()])
    roles = [each for each in made["Resources"].values() if each["Type"] == "AWS::IAM::Role"]
    asked = [
        {
            "actions": _listed(statement["Action"]),
            "kinds": [_kind(resource, made["Resources"]) for resource in _listed(statement["Resource"])],
        }
        for role in roles
        for policy in role["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    findings: list[str] = _ask(_CHECKOV / "python", "check_actions.py", asked)
    return findings


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _kind(resource: dict[str, Any], resources: dict[str, Any]) -> str:
    if "Fn::Sub" in resource:  # "${Table.Arn}/index/name", "arn:...:parameter/...", or "${Bucket.Arn}/*"
        text = resource["Fn::Sub"]
        return "index" if "/index/" in text else "parameter" if ":parameter/" in text else "object"
    name = resource.get("Ref") or resource["Fn::GetAtt"][0]
    return _KINDS[resources[name]["Type"]]


def _ask(python: Path, script: str, asked: object) -> Any:
    command = [python, Path(__file__).parent / script]
    result = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{script} failed:\n{result.stderr}")
    return json.loads(result.stdout)


CHECKS: dict[str, Callable[[], list[str]]] = {
    "cfn-lint on template.yaml": lint_source,
    "cfn-lint on what six regions get": lint_transformed,
    "checkov": check_security,
    "actions of the roles": check_actions,
}


def _timed(check: Callable[[], list[str]]) -> tuple[list[str], float]:
    started = time.monotonic()
    return check(), time.monotonic() - started


def main() -> None:
    """Run all checks, and end with 1 if one has a finding."""
    with ThreadPoolExecutor(2) as pool:
        results = {name: pool.submit(_timed, check) for name, check in CHECKS.items()}
    findings = 0
    for name, result in results.items():
        found, seconds = result.result()
        findings += len(found)
        print(f"{name}: {f'{len(found)} findings' if found else 'nothing'} ({seconds:.1f} s)")
        print("".join(f"  {finding}\n" for finding in found), end="")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
