"""What of a request was said before: clients may send a conversation's history though Sluice keeps it. Pure.

A client that brings answers along either sends what was said, as OpenAI's API without conversations has it, or examples
for the model. The former is known by an answer or a question of an earlier turn among what it brings: then the model is
to see just what was sent, in the client's order and as it edited it, and what follows the last answer is new.
"""

from collections.abc import Sequence

from sluice.chat import Message
from sluice.conversations.conversation import Turn
from sluice.loading.dataclass import dataclass

type _Key = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Said:
    """`new` is what a turn adds, and `past` what may be put in front of the request, oldest first."""

    new: tuple[Message, ...]
    past: tuple[Message, ...]


def told_apart(asked: Sequence[Message], turns: Sequence[Turn]) -> Said:
    """Tell what is new of `asked` from what the earlier `turns` have already. Neither has a system prompt in front."""
    past = tuple(message for turn in turns for message in turn.messages)
    brought = asked[: _end_of_answers(asked)]
    if not brought:
        return Said(tuple(asked), past)
    answers = {_key(turn.messages[-1]) for turn in turns if turn.messages}
    questions = {_key(message) for turn in turns for message in _question(turn)}
    if _are_known(brought, answers | questions):
        return Said(tuple(asked[_beginning_of_new(asked, answers, questions) :]), ())
    examples = {_key(message) for message in brought}
    shown = {_key(message) for turn in turns for message in _examples(turn)}
    others = tuple(
        each for turn in turns for each in turn.messages if each not in _examples(turn) or _key(each) not in examples
    )
    return Said(tuple(asked[len(brought) :] if examples <= shown else asked), others)


def brings_answers(asked: Sequence[Message]) -> bool:
    """Whether anything in it may have been said before."""
    return _end_of_answers(asked) > 0


def _beginning_of_new(asked: Sequence[Message], answers: set[_Key], questions: set[_Key]) -> int:
    """Where what is new begins: after the last that is known, and the answer to it if that is not.

    The question at the end is new, though it may have been asked before.
    """
    end = len(asked)
    while end and _is_answer(asked[end - 1]):
        end -= 1
    last_question = _end_of_answers(asked[:end])
    keys = [_key(message) for message in asked]
    known = [index for index, key in enumerate(keys) if key in answers or (key in questions and index < last_question)]
    beginning = known[-1] + 1 if known else last_question
    while beginning < last_question and _is_answer(asked[beginning]):
        beginning += 1
    return beginning


def _question(turn: Turn) -> Sequence[Message]:
    asked = turn.messages[:-1]
    return asked[_end_of_answers(asked) :]


def _examples(turn: Turn) -> Sequence[Message]:
    asked = turn.messages[:-1]
    return asked[: _end_of_answers(asked)]


def _end_of_answers(messages: Sequence[Message]) -> int:
    """The place after the last answer, 0 if there is none."""
    return max((index + 1 for index, message in enumerate(messages) if _is_answer(message)), default=0)


def _is_answer(message: Message) -> bool:
    return message.role == "assistant"


def _are_known(brought: Sequence[Message], known: set[_Key]) -> bool:
    return any(_key(message) in known and _key(message)[1:] != ("", ()) for message in brought)


def _key(message: Message) -> _Key:
    """What makes a message the same one, whatever form its client gave it."""
    calls = (message.model_extra or {}).get("tool_calls")
    ids = tuple(str(call.get("id")) for call in calls if isinstance(call, dict)) if isinstance(calls, list) else ()
    return message.role, message.text.strip(), ids
