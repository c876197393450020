"""What of a conversation is remembered."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.chat import Message
from sluice.conversations.window import WindowLimits, remembered, split_system
from sluice.quota.estimate import message_tokens
from tests.examples import examples


def said(role: str, content: Any = "", **more: Any) -> Message:
    return Message.model_validate({"role": role, "content": content, **more})


def called(*ids: str, content: str | None = None) -> Message:
    calls = [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids]
    return said("assistant", content, tool_calls=calls)


def result(call: str, content: str = "42") -> Message:
    return said("tool", content, tool_call_id=call)


def exchanges(count: int, text: str = "words") -> list[Message]:
    return [
        message
        for number in range(count)
        for message in (said("user", f"{text} {number}?"), said("assistant", f"{text} {number}."))
    ]


def tokens(messages: Sequence[Message]) -> int:
    return sum(map(message_tokens, messages))


ASKED = (said("user", "And now?"),)
LIMITS = WindowLimits()


def test_the_newest_exchanges_are_remembered_whole() -> None:
    history = exchanges(30)
    # Ten messages would begin with an answer: the question beside it makes an eleventh.
    assert remembered(history, ASKED, LIMITS) == tuple(history[-8:])
    assert remembered(history, (*ASKED, said("assistant", "So"), *ASKED), LIMITS) == tuple(history[-6:])
    assert remembered(history, ASKED, WindowLimits(messages=11)) == tuple(history[-10:])


def test_a_short_conversation_is_remembered_whole() -> None:
    history = exchanges(4)
    assert remembered(history, ASKED, LIMITS) == tuple(history)
    assert remembered([], ASKED, LIMITS) == ()


def test_what_is_asked_now_takes_its_tokens_from_what_is_remembered() -> None:
    history = exchanges(4, "word " * 500)
    long = (said("user", "word " * 1000),)
    assert remembered(history, ASKED, LIMITS) == tuple(history[-6:])
    assert remembered(history, long, LIMITS) == tuple(history[-4:])
    assert remembered(history, (said("user", "word " * 10_000),), LIMITS) == ()


def test_the_longest_text_of_the_newest_exchange_is_cut_and_its_end_kept() -> None:
    history = [*exchanges(3), said("user", "Tell me all."), said("assistant", "word " * 9_000 + "The End.")]
    question, answer = remembered(history, ASKED, LIMITS)
    assert question == history[-2]
    assert answer.text.startswith("… word")
    assert answer.text.endswith("The End.")
    assert 3900 < tokens([question, answer, *ASKED]) <= 4000


def test_what_a_user_says_in_several_messages_is_one_question() -> None:
    history = [*exchanges(3), said("user", "Look."), said("user", "And listen."), said("assistant", "Yes.")]
    assert remembered(history, ASKED, WindowLimits(messages=4)) == tuple(history[-3:])
    assert remembered(history, ASKED, WindowLimits(messages=7)) == tuple(history[-5:])
    assert remembered(history, ASKED, WindowLimits(messages=3)) == tuple(history[-2:])


def test_scraps_are_not_worth_remembering() -> None:
    history = [said("user", "ask " * 900), said("assistant", "say " * 900)]
    asked = tokens(ASKED)
    assert remembered(history, ASKED, WindowLimits(tokens=asked + 20)) == ()
    (answer,) = remembered(history, ASKED, WindowLimits(tokens=asked + 30))
    assert answer.text == "… " + "say " * 20
    assert len(remembered(history, ASKED, WindowLimits(tokens=asked + 60))) == 2


def test_two_long_texts_are_cut_to_the_same_length() -> None:
    history = [said("user", "ask " * 9_000), said("assistant", "say " * 9_000)]
    question, answer = remembered(history, ASKED, LIMITS)
    assert abs(len(question.text) - len(answer.text)) <= 24
    assert 3900 < tokens([question, answer, *ASKED]) <= 4000


def test_the_text_parts_of_a_message_are_cut_from_its_beginning_and_pictures_stay() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "a " * 9_000}, picture, {"type": "text", "text": "b " * 2_000}]
    history = [said("user", parts), said("assistant", "Yes.")]
    kept, _ = remembered(history, ASKED, LIMITS)
    assert isinstance(kept.content, list)
    assert [part.type for part in kept.content] == ["text", "image_url", "text"]
    assert kept.content[0].text is not None
    assert kept.content[0].text.startswith("… a")
    assert kept.content[2].model_dump(exclude_unset=True) == parts[2]
    assert tokens([kept, *history[1:], *ASKED]) <= 4000


def test_a_text_that_is_not_ascii_is_cut_by_what_it_costs() -> None:
    history = [said("user", "?"), said("assistant", "字" * 9_000)]
    _, answer = remembered(history, ASKED, LIMITS)
    assert 3900 < len(answer.text) < 4000
    assert tokens([history[0], answer, *ASKED]) <= 4000


def test_a_result_is_remembered_with_its_call_and_never_cut_from_it() -> None:
    chain = [message for number in range(5) for message in (called(f"c{number}"), result(f"c{number}"))]
    history = [said("user", "Look it up."), *chain, said("assistant", "Done.")]
    # Nine messages would begin with a result.
    assert remembered(history, ASKED, LIMITS) == tuple(history[-9:])
    assert remembered(history, ASKED, WindowLimits(messages=9)) == tuple(history[-7:])


def test_long_results_are_cut_but_arguments_of_calls_are_not() -> None:
    call = said("assistant", None, tool_calls=[{"id": "c", "function": {"name": "f", "arguments": "x" * 4000}}])
    history = [said("user", "Look."), call, result("c", "r " * 20_000), said("assistant", "Done.")]
    kept = remembered(history, ASKED, LIMITS)
    assert kept[:2] == tuple(history[:2])
    assert kept[2].text.startswith("… r")
    assert tokens([*kept, *ASKED]) <= 4000
    without_room = remembered(history, ASKED, WindowLimits(tokens=500))
    assert without_room == (history[-1],)


def test_the_call_whose_result_comes_now_is_always_there() -> None:
    history = [*exchanges(8), said("user", "Look."), called("a", "b")]
    asked = (result("a"), result("b"))
    assert remembered(history, asked, LIMITS) == tuple(history[-8:])
    assert remembered(history, (result("a", "r " * 20_000), result("b")), LIMITS) == (history[-1],)
    assert remembered([*history, result("a")], (result("b"),), LIMITS)[-2:] == (history[-1], result("a"))


def test_calls_that_nobody_answered_and_results_that_nobody_called_for_are_left_out() -> None:
    history = [said("user", "Look."), called("a", "b"), result("a"), said("user", "Never mind."), result("z")]
    assert remembered(history, ASKED, LIMITS) == (history[0], history[3])
    legacy = [
        said("user", "Look."),
        said("assistant", None, function_call={"name": "f", "arguments": "{}"}),
        said("function", "42", name="f"),
    ]
    assert remembered(legacy, ASKED, LIMITS) == tuple(legacy)
    assert remembered([legacy[0], legacy[2]], ASKED, LIMITS) == (legacy[0],)


def test_the_system_prompt_is_what_leads() -> None:
    messages = [said("system", "a"), said("developer", "b"), said("user", "c"), said("system", "d")]
    assert split_system(messages) == (tuple(messages[:2]), tuple(messages[2:]))
    assert split_system(messages[:2]) == (tuple(messages[:2]), ())


def test_a_small_model_leaves_less_room() -> None:
    assert LIMITS.for_model(131_072, (), None) == LIMITS
    assert LIMITS.for_model(2048, (), None) == WindowLimits(10, 1024)
    assert LIMITS.for_model(2048, (), 36).tokens == 1500
    system = (said("system", "s" * 400),)
    assert LIMITS.for_model(2048, system, 36).tokens == 1500 - tokens(system)
    assert remembered(exchanges(2), ASKED, LIMITS.for_model(2048, (), 5000)) == ()


TEXTS = st.one_of(
    st.text(max_size=40), st.text(st.sampled_from("ab c字é\ud83d"), max_size=300), st.just("lorem ipsum " * 400)
)
CONTENTS = st.one_of(
    st.none(),
    TEXTS,
    st.lists(
        st.one_of(
            TEXTS.map(lambda text: {"type": "text", "text": text}),
            st.just({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
        ),
        min_size=1,
        max_size=3,
    ),
)
CALL_IDS = st.sampled_from(["a", "b", "c"])
MESSAGES = st.one_of(
    st.builds(said, st.sampled_from(["user", "assistant", "user", "assistant", "system"]), CONTENTS),
    st.lists(CALL_IDS, min_size=1, max_size=2, unique=True).map(lambda ids: called(*ids)),
    st.builds(result, CALL_IDS, TEXTS),
)
HISTORIES = st.lists(MESSAGES, max_size=14)
SOME_LIMITS = st.builds(WindowLimits, st.integers(1, 12), st.integers(-50, 3000))


def calls(message: Message) -> set[str]:
    return {call["id"] for call in (message.model_extra or {}).get("tool_calls") or []}


def call_of(message: Message) -> str:
    return str((message.model_extra or {})["tool_call_id"])


def well_formed(history: Sequence[Message]) -> list[Message]:
    """An obvious reading of which calls and results belong together: try every run that follows a call."""
    kept: list[Message] = []
    for position, message in enumerate(history):
        if message.role == "tool":
            continue
        run = []
        for later in history[position + 1 :]:
            if later.role != "tool":
                break
            run.append(later)
        answers = [each for each in run if call_of(each) in calls(message)]
        if {call_of(each) for each in answers} == calls(message):
            kept += [message, *answers]
    return kept


@settings(max_examples=examples(300))
@given(HISTORIES, SOME_LIMITS)
def test_what_is_remembered_is_within_the_limits_and_the_end_of_what_was_said(
    history: list[Message], limits: WindowLimits
) -> None:
    kept = remembered(history, ASKED, limits)
    if kept:
        assert len(kept) + len(ASKED) <= limits.messages
        assert tokens([*kept, *ASKED]) <= limits.tokens
    source = well_formed(history)
    for message, original in zip(kept, source[len(source) - len(kept) :], strict=True):
        assert message.role == original.role
        assert message.model_extra == original.model_extra
        if message != original:
            assert message.text.startswith("… ") or message.text == "" or isinstance(message.content, list)
        if message != original and isinstance(message.content, str):
            assert original.text.endswith(message.text.removeprefix("… "))


@settings(max_examples=examples(300))
@given(HISTORIES, SOME_LIMITS)
def test_remembering_what_is_remembered_changes_nothing(history: list[Message], limits: WindowLimits) -> None:
    once = remembered(history, ASKED, limits)
    assert remembered(once, ASKED, limits) == once


@settings(max_examples=examples(300))
@given(HISTORIES, SOME_LIMITS, st.lists(st.builds(result, CALL_IDS, TEXTS), max_size=2))
def test_every_result_has_its_call_in_front_and_every_call_its_results(
    history: list[Message], limits: WindowLimits, results: list[Message]
) -> None:
    asked = (*results, *ASKED)
    kept = remembered(history, asked, limits)
    open_calls: set[str] = set()
    for message in kept:
        if message.role == "tool":
            assert call_of(message) in open_calls
        else:
            open_calls = calls(message)
    whole = [*kept, *asked]
    for position, message in enumerate(kept):
        following = {call_of(each) for each in whole[position + 1 :] if each.role == "tool"}
        is_pending = position + 1 + len([each for each in kept[position + 1 :] if each.role == "tool"]) == len(kept)
        assert calls(message) <= following or (is_pending and calls(message) & {call_of(each) for each in results})


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=12), SOME_LIMITS)
def test_whole_exchanges_begin_with_a_user(sizes: list[int], limits: WindowLimits) -> None:
    history = [said("user" if at % 2 == 0 else "assistant", "x" * size) for at, size in enumerate(sizes)]
    kept = remembered(history, ASKED, limits)
    assert not kept or kept[0].role == "user" or limits.messages <= 2 or len(kept) == 1
