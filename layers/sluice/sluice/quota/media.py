"""How many tokens images, sounds and files have, by what each vendor documents. Pure.

What is not told by the data itself (an image behind a URL, a file that the provider keeps) counts as the most that its
rule allows, or by its decoded bytes.
"""

import math
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import Any

from sluice.loading.dataclass import dataclass
from sluice.quota.tokens import most_tokens, tokens

type Size = tuple[int, int]
"""Width and height in pixels."""

# As much of an image's beginning as its size is looked for in: JPEG may have a preview in front.
_HEAD_CHARACTERS = 400_000
# Gemini 32 (https://ai.google.dev/gemini-api/docs/audio), OpenAI 10.
_TOKENS_PER_SECOND_OF_SOUND = 32
# Of compressed speech, at the lowest rate in use.
_FEWEST_BYTES_PER_SECOND = 1_000
# A page is read as text and as an image: "each page typically uses 1,500-3,000 tokens" beside the image's
# (https://docs.anthropic.com/en/docs/build-with-claude/pdf-support); Gemini and OpenAI take less.
_TOKENS_PER_PAGE = 4_600
_PDF_PAGE = re.compile(rb"/Type\s{0,8}/Page(?![s\w])")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?[^,]{0,256},")


@dataclass(frozen=True, slots=True)
class ImageRule:
    """How an image's tokens are counted from its size and detail, and the most that they can be."""

    of: Callable[[int, int, str], float]
    most: int


def _fitted(width: int, height: int, longest: int, shortest: int) -> Size:
    """The size once it is scaled down into a square of `longest`, and then to `shortest` at its shorter side."""
    scale = min(1.0, longest / max(width, height))
    scale = min(scale, shortest / min(width, height))
    return math.ceil(width * scale), math.ceil(height * scale)


def _tiles(base: int, per_tile: int) -> ImageRule:
    """OpenAI, tiles of 512 pixels: https://platform.openai.com/docs/guides/images-vision#calculating-costs."""

    def of(width: int, height: int, detail: str) -> float:
        if detail == "low":
            return base
        width, height = _fitted(width, height, 2048, 768)
        return base + per_tile * math.ceil(width / 512) * math.ceil(height / 512)

    return ImageRule(of, base + 8 * per_tile)


def _patches(side: int, most_patches: int, factor: float) -> ImageRule:
    """Squares of `side` pixels, as OpenAI's newer models and Qwen count them."""

    def of(width: int, height: int, _: str) -> float:
        return factor * min(most_patches, math.ceil(width / side) * math.ceil(height / side))

    return ImageRule(of, math.ceil(factor * most_patches))


def _gemini(width: int, height: int, _: str) -> float:
    """258 for each tile of 768 pixels: https://ai.google.dev/gemini-api/docs/image-understanding.

    Gemini 3 takes 1,120 for an image at its usual resolution.
    """
    if max(width, height) <= 384:
        return 1_120
    return max(1_120, 258 * math.ceil(width / 768) * math.ceil(height / 768))


def _claude(width: int, height: int, _: str) -> float:
    """(width x height) / 750, scaled down to 1,568 pixels: https://docs.anthropic.com/en/docs/build-with-claude/vision."""
    scale = min(1.0, 1_568 / max(width, height))
    return width * height * scale * scale / 750


def _llama4(width: int, height: int, _: str) -> float:
    """144 for each of at most 16 tiles of 336 pixels, and for the whole (Meta's image processor for Llama 4)."""
    return 145 * (min(16, math.ceil(width / 336) * math.ceil(height / 336)) + 1) + 2


_KNOWN = {
    "openai": _tiles(85, 170),
    "openai_o": _tiles(75, 150),
    "openai_4o_mini": _tiles(2_833, 5_667),
    "openai_patches": _patches(32, 1_536, 2.46),
    "qwen": _patches(28, 16_384, 1.0),
    "gemini": ImageRule(_gemini, 258 * 16),
    "claude": ImageRule(_claude, 3_279),
    "llama4": ImageRule(_llama4, 2_467),
}
# For a model nobody has said anything of: the most of the rules that are in wide use.
_USUAL = ("openai", "gemini", "claude", "llama4")
_KNOWN["largest"] = ImageRule(
    lambda width, height, detail: max(_KNOWN[name].of(width, height, detail) for name in _USUAL),
    max(_KNOWN[name].most for name in _USUAL),
)
IMAGE_RULES = tuple(_KNOWN)


def image_tokens(url: str, detail: str, rule: str) -> int:
    """Tokens of an image at `url`, which may be the image itself (`data:`)."""
    known = _KNOWN[rule]
    size = _size(_head(url)) if url.startswith("data:") else None
    if size is None:
        return known.most
    return min(math.ceil(known.of(*size, detail)), known.most)


def most_image_tokens(rule: str) -> int:
    """The most tokens that an image can have."""
    return _KNOWN[rule].most


def sound_tokens(data: str) -> int:
    """Tokens of a sound in base64: by its length if it is a WAV, else by its bytes."""
    count = decoded_bytes(data)
    head = _head(data)
    rate = 0
    if head[:4] == b"RIFF" and head[8:16] == b"WAVEfmt " and len(head) >= 32:
        rate = int.from_bytes(head[28:32], "little")
    return math.ceil(count / max(rate, _FEWEST_BYTES_PER_SECOND) * _TOKENS_PER_SECOND_OF_SOUND)


def file_tokens(data: str, family: str) -> int:
    """Tokens of a file in base64: by the pages that a PDF shows, by its text if it is one, else by its bytes."""
    content = _decoded(data)
    if content is None:
        return most_tokens(data)
    if content.startswith(b"%PDF"):
        pages = len(_PDF_PAGE.findall(content))
        return min(pages * _TOKENS_PER_PAGE, len(content)) if pages else len(content)
    try:
        return tokens(content.decode(), family)
    except UnicodeDecodeError:
        return len(content)


def decoded_bytes(data: str) -> int:
    """How many bytes base64 stands for, a data URL's header aside."""
    return len(_payload(data)) * 3 // 4 + 3


def _payload(data: str) -> str:
    header = _DATA_URL.match(data)
    return data[header.end() :] if header else data


def _head(data: str) -> bytes:
    payload = _payload(data)[:_HEAD_CHARACTERS]
    return _from_base64(payload[: len(payload) // 4 * 4]) or b""


def _decoded(data: str) -> bytes | None:
    return _from_base64(_payload(data))


def _from_base64(text: str) -> bytes | None:
    text = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (Base64Error, ValueError):
        return None


def _size(head: bytes) -> Size | None:
    """The size that an image says it has: PNG, GIF, WebP, JPEG."""
    size: Size | None = None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        size = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    elif head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        size = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        size = _webp_size(head)
    elif head.startswith(b"\xff\xd8"):
        size = _jpeg_size(head)
    return size if size is not None and min(size) > 0 else None


def _webp_size(head: bytes) -> Size | None:
    kind = head[12:16]
    if kind == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8 " and len(head) >= 30:
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    if kind == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _jpeg_size(head: bytes) -> Size | None:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(head[at + 7 : at + 9]), int.from_bytes(head[at + 5 : at + 7])
        at += 2 + max(int.from_bytes(head[at + 2 : at + 4]), 2)
    return None


def url_of(value: Any) -> tuple[str, str]:
    """The URL and the detail of an image part, however it is written."""
    if isinstance(value, dict):
        url, detail = value.get("url"), value.get("detail")
        return (url if isinstance(url, str) else ""), (detail if isinstance(detail, str) else "")
    return (value if isinstance(value, str) else ""), ""
