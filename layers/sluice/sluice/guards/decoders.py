"""Texts within a text: what is spelt in leetspeak, look-alike or spaced letters, or is encoded, is also read in clear.

Each decoder has a cheap pattern that runs along with the rules' own; only where it occurs is anything decoded, and
only so much.
"""

import base64
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote

import re2

from sluice.guards.automata import silent_options
from sluice.guards.normalization import encode, fold
from sluice.loading.dataclass import dataclass

MOST_BYTES = 16_384
"""How much of a text each decoder reads."""

_MARGIN_BYTES, _BYTES_TO_BEGIN_WITH = 400, 256

_LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁһкмтвнгѵԛԝАВЕКМНОРСТХІЈЅαεορυχικντΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijsdhkmtbnrvqwabekmhopctxijsaeopyxikvtabezhikmnoptyx",
)
_LEET = str.maketrans("0134579@$!|", "oieastgasil")
_ROT13 = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "nopqrstuvwxyzabcdefghijklmNOPQRSTUVWXYZABCDEFGHIJKLM"
)
_MORSE_LETTERS = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.."
)
_MORSE = dict(zip(_MORSE_LETTERS.split(), "abcdefghijklmnopqrstuvwxyz", strict=True))


@dataclass(frozen=True, slots=True)
class Decoder:
    """A way to hide a text. `read` gives in clear what `pattern` matched, with what is around if it `reads_around`."""

    name: str
    pattern: str
    read: Callable[[str], str]
    reads_around: bool = False

    def hidden(self, text: str) -> Iterator[str]:
        """The texts hidden in a text, as far as MOST_BYTES of it go."""
        encoded = encode(text)
        pattern, margin = _compiled(self.pattern), _MARGIN_BYTES if self.reads_around else 0
        position, left = 0, MOST_BYTES
        while left > 0 and (match := pattern.search(encoded, position)) is not None:
            begin, end = max(position, match.start() - margin), min(match.end() + margin, match.start() + left)
            yield self.read(encoded[begin:end].decode("utf-8", "ignore"))
            left -= max(end - begin, _BYTES_TO_BEGIN_WITH)
            position = max(end, match.end())


@cache
def _compiled(pattern: str) -> Any:
    return re2.compile(encode(pattern), silent_options())


def _readable(content: bytes) -> str:
    # An image or a checksum decodes too, but not to text.
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return text if all(character.isprintable() or character.isspace() for character in text) else ""


def _from_leet(text: str) -> str:
    return text.translate(_LEET)


def _from_look_alikes(text: str) -> str:
    return fold(text.translate(_LOOK_ALIKES))


def _from_reversed(text: str) -> str:
    return text[::-1]


def _from_rot13(text: str) -> str:
    return text.translate(_ROT13)


def _from_base64(text: str) -> str:
    digits = text.rstrip("=").replace("-", "+").replace("_", "/")
    return _readable(base64.b64decode(digits[: len(digits) - (len(digits) % 4 == 1)] + "=" * (-len(digits) % 4)))


def _from_base32(text: str) -> str:
    digits = text.rstrip("=")
    return _readable(base64.b32decode(digits[: len(digits) // 8 * 8]))


def _from_hex(text: str) -> str:
    digits = "".join(character for character in text.replace("0x", "").replace("\\x", "") if character.isalnum())
    return _readable(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _from_escapes(text: str) -> str:
    return "".join(chr(int(code, 16)) for code in text.split("\\u")[1:])


def _from_binary(text: str) -> str:
    bits = "".join(text.split())
    return _readable(bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits) - 7, 8)))


def _from_morse(text: str) -> str:
    words = text.replace("\n", " / ").replace("  ", " / ").split("/")
    return " ".join("".join(_MORSE.get(letter, "") for letter in word.split()) for word in words)


def _from_spaced(text: str) -> str:
    # Two spaces part words, if the writer was that kind; otherwise the letters run together.
    return " ".join("".join(character for character in word if character.isalnum()) for word in text.split("  "))


def _joined(text: str) -> str:
    joined: bytes = _compiled(_SPACED).sub(lambda match: encode(_from_spaced(match.group().decode())), encode(text))
    return joined.decode()


_SPACED = r"\b[A-Za-z](?:[ .*_-]{1,2}[A-Za-z]\b){4,}"

DECODERS = (
    Decoder("leet", r"[A-Za-z][013457@$]{1,2}[A-Za-z]{1,12}[013457@$]", _from_leet, reads_around=True),
    Decoder(
        "look-alikes",
        r"[A-Za-z][\x{0370}-\x{03ff}\x{0400}-\x{052f}]|[\x{0370}-\x{03ff}\x{0400}-\x{052f}][A-Za-z]",
        _from_look_alikes,
        reads_around=True,
    ),
    Decoder("spaced", _SPACED, _joined, reads_around=True),
    Decoder("reversed", r"(?i)snoitcurtsni|suoiverp|tpmorp metsys|erongi|sedulerp", _from_reversed, reads_around=True),
    Decoder("rot13", r"(?i)vafgehpgvba|cerivbhf|flfgrz cebzcg|vtaber|erfgevpgvbaf", _from_rot13, reads_around=True),
    Decoder("base64", r"[A-Za-z0-9+/_-]{24,}={0,2}", _from_base64),
    Decoder("base32", r"\b[A-Z2-7]{32,}={0,6}", _from_base32),
    Decoder("hex", r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[ ,]?){16,}", _from_hex),
    Decoder("escapes", r"(?:\\u[0-9a-fA-F]{4}){4,}", _from_escapes),
    Decoder("binary", r"(?:[01]{8}\s?){6,}", _from_binary),
    Decoder("morse", r"(?:[.-]{1,5}[ /\n]{1,3}){12,}", _from_morse),
    Decoder("percent", r"(?:%[0-9a-fA-F]{2}[^%\s]{0,16}){3,}", unquote, reads_around=True),
)
