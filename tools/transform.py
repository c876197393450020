"""Prints a template as CloudFormation gets it from SAM's transform, as JSON: `python transform.py < template.json`.

The interpreter of .tools/sam runs it: SAM's translator is installed only there.
"""

import json
import logging
import os
import sys

from samtranslator.parser.parser import Parser  # type: ignore[import-not-found]  # installed only in .tools/sam
from samtranslator.translator.translator import Translator  # type: ignore[import-not-found]  # likewise


def main() -> None:
    """Transform standard input to standard output."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    logging.disable()
    template = json.load(sys.stdin)
    parameters = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    json.dump(Translator({}, Parser()).translate(template, parameters), sys.stdout)


if __name__ == "__main__":
    main()
