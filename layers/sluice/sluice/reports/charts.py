"""Charts of the page, as SVG and HTML without scripts. Pure.

Bars stretch with the page while text does not, so that a chart can be read on a phone: what is said of it is HTML.
"""

from collections.abc import Sequence
from html import escape

from sluice.loading.dataclass import dataclass

_HEIGHT = 100
_GAP = 0.2


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it is of, its value, and that value in words. `label` is below it, where there is room."""

    of: str
    value: float
    words: str
    label: str = ""
    is_expected: bool = False


def bar_chart(bars: Sequence[Bar], *, says: str, unit: str, head: str) -> str:
    """Bars over time, with a table of the same numbers.

    `says` is for who does not see it; `head` names what bars are of, `unit` what they count.
    """
    most = max((bar.value for bar in bars), default=0)
    top = max(bars, key=lambda bar: bar.value).words if most else "none"
    drawn = "".join(_bar(number, bar, most) for number, bar in enumerate(bars))
    labels = "".join(f"<span>{escape(bar.label)}</span>" for bar in bars)
    rows = "".join(
        f'<tr{" class=expected" if bar.is_expected else ""}><th scope="row">{escape(bar.of)}</th>'
        f"<td>{escape(bar.words)}{' (expected)' if bar.is_expected else ''}</td></tr>"
        for bar in bars
    )
    return (
        f'<figure><p class="top">most: {escape(top)}</p>'
        f'<svg class="bars" viewBox="0 0 {len(bars)} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(says)}">{drawn}'
        f'<line class="axis" x1="0" y1="{_HEIGHT}" x2="{len(bars)}" y2="{_HEIGHT}"/></svg>'
        f'<p class="labels" aria-hidden="true">{labels}</p>'
        f"<details><summary>As a table</summary><table><thead><tr><th scope=col>{escape(head)}</th>"
        f"<th scope=col>{escape(unit)}</th></tr></thead><tbody>{rows}</tbody></table></details></figure>"
    )


def quota_bar(percentage: float, level: str) -> str:
    """How much of a limit is used. The words beside it say the same."""
    width = min(100.0, max(0.0, percentage))
    return (
        '<svg class="quota" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="free" width="100" height="8"/>'
        f'<rect class="{level}" width="{width:.1f}" height="8"/></svg>'
    )


def _bar(number: int, bar: Bar, most: float) -> str:
    height = _HEIGHT * bar.value / most if most else 0.0
    # What is something is seen.
    height = max(height, 1.0) if bar.value else 0.0
    name = "expected" if bar.is_expected else "used"
    return (
        f'<rect class="{name}" x="{number + _GAP / 2:.2f}" y="{_HEIGHT - height:.2f}" width="{1 - _GAP:.2f}" '
        f'height="{height:.2f}"><title>{escape(bar.of)}: {escape(bar.words)}</title></rect>'
    )
