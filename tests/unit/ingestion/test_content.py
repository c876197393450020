import itertools
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sluice.ingestion.change import Base, Change, Comment, moment
from sluice.ingestion.content import Content, from_json, merged, to_json

ID = "github:acme/app#1"


def base(at: str, title: str = "A title") -> Base:
    return Base(at=at, title=title, url="", leading=(("Title", title),), trailing=(("Labels", "a"),))


def comment(comment_id: str, at: str, text: str = "a word") -> Comment:
    return Comment(id=comment_id, label="Comment", text=text, created=at, at=at)


def change(**parts: object) -> Change:
    return Change(document_id=ID, kind="issue", **parts)  # type: ignore[arg-type]  # what a test gives


def after(*changes: Change) -> Content:
    found = None
    for number, each in enumerate(changes, 1):
        found = merged(found, each, number)
    assert found is not None
    return found


CHANGES = [
    change(base=base("t1", "first")),
    change(base=base("t3", "third"), comments=(comment("1", "t3"),)),
    change(comments=(comment("1", "t4", "changed"),)),
    change(comments=(comment("2", "t2"),)),
    change(removed_comments=("2",)),
]


def test_events_in_any_order_end_the_same() -> None:
    texts = {after(*order).text() for order in itertools.permutations(CHANGES)}
    assert texts == {"Title: third | Comment: changed | Labels: a"}


def test_a_deletion_in_any_order_ends_the_same() -> None:
    deleted = change(deleted_at="t5")
    for order in itertools.permutations([*CHANGES[:4], deleted]):
        found = after(*order)
        assert found.is_deleted
        assert found.text() == ""


def test_what_is_written_after_a_deletion_is_there_again() -> None:
    found = after(change(base=base("t1")), change(deleted_at="t2"), change(base=base("t3", "again")))
    assert not found.is_deleted
    assert found.text() == "Title: again | Labels: a"


def test_nothing_of_what_was_deleted_is_kept() -> None:
    found = after(*CHANGES, change(deleted_at="t9"))
    assert "changed" not in json.dumps(to_json(found))


def test_the_same_again_changes_nothing() -> None:
    once = after(*CHANGES)
    for each in CHANGES:
        assert merged(once, each, 99) is once


def test_versions_rise_with_each_change_though_the_clock_goes_back() -> None:
    first = merged(None, CHANGES[0], 1_000)
    second = merged(first, CHANGES[1], 5)
    assert (first.version, second.version) == (f"{1_000:015d}", f"{1_001:015d}")


def test_a_comment_without_words_takes_the_former_words_away() -> None:
    found = after(change(base=base("t1"), comments=(comment("1", "t1"),)), change(comments=(comment("1", "t2", ""),)))
    assert "Comment" not in found.text()
    assert "back" in merged(found, change(comments=(comment("1", "t3", "back"),)), 9).text()


def test_the_latest_three_comments_are_shown_and_one_more_when_one_goes() -> None:
    five = tuple(comment(str(number), f"t{number}", f"c{number}") for number in range(1, 6))
    found = after(change(base=base("t1"), comments=five))
    assert "Comment: c3 | Comment: c4 | Comment: c5" in found.text()
    assert "Comment: c2 | Comment: c3 | Comment: c4" in merged(found, change(removed_comments=("5",)), 9).text()


def test_what_is_kept_is_bounded() -> None:
    many = tuple(comment(str(number), f"t{number:05d}", "x" * 4_000) for number in range(1_000))
    gone = change(removed_comments=tuple(str(number) for number in range(2_000)))
    found = after(change(base=base("t1"), comments=many), gone)
    assert len(found.comments) <= 10
    assert len(found.removed) <= 200


TEXTS = st.text(max_size=8)
COMMENTS = st.builds(
    Comment,
    id=st.sampled_from("abc"),
    label=st.sampled_from(["Comment", "Review"]),
    text=TEXTS,
    created=TEXTS,
    at=TEXTS,
)


@given(st.lists(COMMENTS, max_size=5), st.none() | TEXTS, TEXTS)
def test_a_content_is_read_as_it_was_written(comments: list[Comment], deleted_at: str | None, title: str) -> None:
    found = after(change(base=base("t1", title), comments=tuple(comments), deleted_at=deleted_at))
    again = from_json(json.loads(json.dumps(to_json(found))))
    assert replace(again, comments=dict(again.comments)) == found


def test_moments_of_all_forms_sort_as_text() -> None:
    assert moment("2026-11-26T10:00:00.123+0100") == "2026-11-26T09:00:00.123Z"
    assert moment("2026-11-26T09:00:00Z") == "2026-11-26T09:00:00.000Z"
    assert moment("2026-11-26T10:00:00+01:00") == "2026-11-26T09:00:00.000Z"
    assert moment(1_795_687_200_000) == "2026-11-26T10:00:00.000Z" == moment("2026-11-26 10:00:00")


@given(st.one_of(st.text(max_size=40), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers())))
def test_any_value_is_a_moment_or_none(value: object) -> None:
    found = moment(value)
    assert found is None or len(found) == len("2026-11-26T09:00:00.000Z")
