"""Words for names, numbers and moments. Pure."""

from datetime import datetime

_LARGE = 100


def title_of(name: str) -> str:
    """A series' name as a title has it: "deployment_frequency" is "Deployment Frequency"."""
    return " ".join(word[:1].upper() + word[1:] for word in words_of(name).split(" "))


def words_of(name: str) -> str:
    """A series' name as a sentence has it: "deployment frequency"."""
    return " ".join(name.replace("_", " ").replace(".", " ").split())


def sentence_start(words: str) -> str:
    """Words as a sentence begins with them."""
    return words[:1].upper() + words[1:]


def amount(value: float, unit: str = "") -> str:
    """A number as people read it."""
    if unit == "usd":
        return f"${value:,.2f}"
    size = abs(value)
    digits = 0 if size >= _LARGE or float(value).is_integer() else 1 if size >= 1 else 3
    said = f"{value:,.{digits}f}"
    return f"{said} {unit}" if unit else said


def percent(value: float) -> str:
    """A percentage, as the descriptions have it."""
    return f"{value:.1f}%"


def moment_of(start: datetime | None, interval: str) -> str:
    """A bucket as people name it."""
    if start is None:
        return "the last value"
    return f"{start:%Y-%m-%d %H:%M}" if interval == "hour" else f"{start:%Y-%m-%d}"
