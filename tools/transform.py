"""Prints what a template becomes in CloudFormation.

For each line of input, `{"template": ..., "runs": [...]}`, a line of output: `{"results": [...]}` or `{"error": ...}`.

The interpreter of .tools/sam runs it: SAM's translator and SAM CLI's own language extensions are installed only there.
`tools.template.Run` says what a run is.
"""

import copy
import json
import logging
import os
import sys
from typing import Any

from samcli.lib.cfn_language_extensions.api import create_default_pipeline  # type: ignore[import-not-found]  # as above
from samcli.lib.cfn_language_extensions.exceptions import InvalidTemplateException  # type: ignore[import-not-found]
from samcli.lib.cfn_language_extensions.models import (  # type: ignore[import-not-found]  # likewise
    ResolutionMode,
    TemplateProcessingContext,
)
from samtranslator.model.exceptions import InvalidDocumentException  # type: ignore[import-not-found]  # likewise
from samtranslator.parser.parser import Parser  # type: ignore[import-not-found]  # likewise
from samtranslator.translator.translator import Translator  # type: ignore[import-not-found]  # likewise

_SAM_TRANSFORM = "AWS::Serverless-2016-10-31"
_SUB = "Fn::Sub"
# SAM takes what begins like a function for one, and the language extensions leave alone what they don't know.
_IF = "Fn::If"
_OPAQUE_IF = "Fn::OpaqueIf"
_NO_VALUE = {"Ref": "AWS::NoValue"}
_OPAQUE_NO_VALUE = {"Fn::OpaqueNoValue": ""}


def _opaque(value: Any) -> Any:
    """Hide each Fn::If, and the nothing that is often a branch of it, from the language extensions."""
    if isinstance(value, list):
        return [_opaque(item) for item in value]
    if isinstance(value, dict):
        if value == _NO_VALUE:
            return _OPAQUE_NO_VALUE
        return {_OPAQUE_IF if key == _IF else key: _opaque(inner) for key, inner in value.items()}
    return value


def _with_subs(value: Any) -> Any:
    """Give back the Fn::Sub that SAM CLI takes from a text of which something is left to substitute.

    The template has "${" nowhere else.
    """
    if isinstance(value, str):
        return {_SUB: value} if "${" in value else value
    if isinstance(value, list):
        return [_with_subs(item) for item in value]
    if isinstance(value, dict):
        return {key: inner if key == _SUB else _with_subs(inner) for key, inner in value.items()}
    return value


def _that_exist(section: dict[str, Any], conditions: dict[str, bool]) -> dict[str, Any]:
    """The resources or outputs whose condition is true, without their condition."""
    return {
        name: {key: value for key, value in entry.items() if key != "Condition"}
        for name, entry in section.items()
        if conditions.get(entry.get("Condition"), True)
    }


def _transformed(template: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    os.environ["AWS_DEFAULT_REGION"] = run["region"]
    defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    # CloudFormation's parameters are text, also those of type Number.
    parameters = {name: str(value) for name, value in {**defaults, **run["parameters"]}.items()}
    source = _opaque(template) if run["keeps_conditions"] else copy.deepcopy(template)
    context = TemplateProcessingContext(
        fragment=source, parameter_values=parameters, resolution_mode=ResolutionMode.PARTIAL
    )
    expanded: dict[str, Any] = create_default_pipeline(context).process_template(context)
    for section in ("Resources", "Outputs"):
        expanded[section] = _with_subs(expanded[section])
        if not run["keeps_conditions"]:
            expanded[section] = _that_exist(expanded[section], context.resolved_conditions)
    if not run["keeps_conditions"]:
        del expanded["Conditions"]
    expanded["Transform"] = _SAM_TRANSFORM
    return Translator({}, Parser()).translate(expanded, parameters) if run["with_sam"] else expanded


def main() -> None:
    """Transform what standard input asks for until it ends."""
    logging.disable()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer: dict[str, object] = {"results": [_transformed(asked["template"], run) for run in asked["runs"]]}
        except (InvalidTemplateException, InvalidDocumentException) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
