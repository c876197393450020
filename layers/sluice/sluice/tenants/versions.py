"""Versions of what people change: entity tags as HTTP has them. Pure.

Source: RFC 9110, sections 8.8.3 and 13.1.1.
"""

import re

from sluice.errors import InvalidRequestError, PreconditionFailedError

_TAG = re.compile(r'\s*(W/)?"([!#-~]*)"\s*')
_ANY = "*"
_MOST_CHARACTERS = 1_024


def entity_tag(version: int) -> str:
    """A version as the header `etag` has it."""
    return f'"{version}"'


def check_version(if_match: str, version: int) -> None:
    """Refuse a change of anything but what the caller saw. Raises PreconditionFailedError, InvalidRequestError.

    Without `if_match` the caller does not ask for that. Comparison is strong: a weak tag never matches.
    """
    if not if_match:
        return
    if if_match.strip() == _ANY:
        # "There is one": what nobody has changed yet has no version.
        if version:
            return
        raise PreconditionFailedError("if-match: there is nothing yet that could be replaced.")
    if len(if_match) > _MOST_CHARACTERS:
        raise InvalidRequestError(f"if-match: should have at most {_MOST_CHARACTERS} characters.", param="if-match")
    tags = [_TAG.fullmatch(each) for each in if_match.split(",")]
    if not all(tags):
        raise InvalidRequestError('if-match: should be like "3", with the quotation marks.', param="if-match")
    if str(version) not in {each[2] for each in tags if each and not each[1]}:
        raise PreconditionFailedError(
            f"This was changed in the meantime: it has version {version} now. Look at it and try again."
        )
