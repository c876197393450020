"""Images, sounds and files weigh what their vendors document."""

import struct
import zlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalog.model import IMAGE_RULES as NAMED
from sluice.quota.media import IMAGE_RULES, file_tokens, image_tokens, most_image_tokens, sound_tokens


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0" * 8


def jpeg(width: int, height: int) -> bytes:
    preview = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + b"\0" * 9
    return b"\xff\xd8" + preview + b"\xff\xc0" + struct.pack(">HBHH", 11, 8, height, width) + b"\0" * 8


def webp_extended(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\0\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0" + sizes


def webp_lossless(width: int, height: int) -> bytes:
    return b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little")


def webp_lossy(width: int, height: int) -> bytes:
    return b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)


@pytest.mark.parametrize("write", [png, gif, jpeg, webp_extended, webp_lossless, webp_lossy])
@pytest.mark.parametrize(
    ("rule", "width", "height", "detail", "count"),
    [
        # The documents' own examples.
        ("openai", 1024, 1024, "high", 765),
        ("openai", 2048, 4096, "high", 1105),
        ("openai", 4096, 8192, "low", 85),
        ("openai_4o_mini", 1024, 1024, "", 25_501),
        ("openai_patches", 1024, 1024, "", 2_520),
        ("gemini", 300, 300, "", 1_120),
        ("gemini", 3072, 1536, "", 2_064),
        ("claude", 1092, 1092, "", 1_590),
        ("claude", 200, 200, "", 54),
        ("llama4", 336, 336, "", 292),
        ("qwen", 280, 280, "", 100),
    ],
)
def test_an_image_weighs_what_is_documented(
    write: object, rule: str, width: int, height: int, detail: str, count: int
) -> None:
    assert callable(write)
    assert image_tokens(data_url(write(width, height)), detail, rule) == count


@pytest.mark.parametrize("rule", IMAGE_RULES)
@pytest.mark.parametrize(
    "url",
    ["https://example.com/a.png", "", "data:", "data:image/png;base64,", data_url(b"nonsense"), data_url(png(0, 9))],
)
def test_an_image_of_unknown_size_weighs_the_most_it_can(rule: str, url: str) -> None:
    assert image_tokens(url, "", rule) == most_image_tokens(rule) >= 85


@pytest.mark.parametrize("rule", IMAGE_RULES)
@given(width=st.integers(1, 60_000), height=st.integers(1, 60_000), detail=st.sampled_from(["", "low", "high", "auto"]))
def test_no_image_weighs_more_than_the_most(rule: str, width: int, height: int, detail: str) -> None:
    assert 0 < image_tokens(data_url(png(width, height)), detail, rule) <= most_image_tokens(rule)


@given(width=st.integers(1, 5_000), height=st.integers(1, 5_000))
def test_the_rule_for_unknown_models_is_the_most_of_the_usual(width: int, height: int) -> None:
    url = data_url(png(width, height))
    usual = [image_tokens(url, "", rule) for rule in ("openai", "gemini", "claude", "llama4")]
    assert image_tokens(url, "", "largest") == max(usual)


def test_the_catalogue_knows_the_same_rules() -> None:
    assert set(NAMED) == set(IMAGE_RULES)


def test_a_sound_weighs_by_its_length() -> None:
    rate, seconds = 48_000, 10
    wav = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate // 2, rate, 2, 16) + b"data\0\0\0\0"
    assert sound_tokens(b64encode(wav + b"\0" * rate * seconds).decode()) == pytest.approx(320, rel=0.01)
    # Of anything else nobody knows how long it is.
    assert sound_tokens(b64encode(b"\0" * 16_000).decode()) == pytest.approx(512, rel=0.01)
    # A rate that can't be makes it no shorter.
    assert sound_tokens(b64encode(wav[:28] + b"\0\0\0\0" + b"\0" * 16_000).decode()) >= 500


def test_a_file_weighs_by_its_pages_its_text_or_its_bytes() -> None:
    pdf = (
        b"%PDF-1.7\n"
        + b"<< /Type /Page >>\n<< /Type/Pages /Count 2 >>\n<< /Type /Page /Parent 1 0 R >>"
        + b"\0" * 90_000
    )
    assert file_tokens(data_url(pdf, "application/pdf"), "default") == 9_200
    assert file_tokens(data_url(b"%PDF-1.7\n" + b"\xff" * 991, "application/pdf"), "default") == 1_000
    assert file_tokens(b64encode(b"word " * 1_000).decode(), "default") <= 2_500
    assert file_tokens(b64encode(b"\xff" * 1_000).decode(), "default") == 1_000
    assert file_tokens("%%%", "default") >= 3


def test_a_page_that_a_file_only_claims_makes_it_no_heavier_than_its_bytes() -> None:
    pdf = b"%PDF-1.7\n" + b"/Type /Page\n" * 100
    assert file_tokens(b64encode(pdf).decode(), "default") == len(pdf)
