"""The built layers: small, compiled, and enough to run the functions."""

import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import httpx
import pytest

from tools import deployment
from tools.processes import ROOT, ChildProcess, free_port, is_listening
from tools.stack import RunningStack

BUILD = deployment.LOCAL / "build"
LAYERS = [BUILD / "DependenciesLayer" / "python", BUILD / "SluiceLayer" / "python"]
LAYERS_BUDGET_BYTES = 60 * 10**6
JWT_LAYER = BUILD / "JwtLayer" / "python"
JWT_LAYER_BUDGET_BYTES = 20 * 10**6
EMBEDDING_LAYER = BUILD / "EmbeddingLayer" / "python"
EMBEDDING_LAYER_BUDGET_BYTES = 8 * 10**6

pytestmark = pytest.mark.usefixtures("stack")


def _bytes(layer: Path) -> int:
    return sum(path.stat().st_size for path in layer.rglob("*") if path.is_file())


def test_both_layers_together_are_within_their_budget() -> None:
    assert sum(map(_bytes, LAYERS)) <= LAYERS_BUDGET_BYTES


def test_what_verifies_logins_is_within_its_own_budget_and_in_no_other_layer() -> None:
    assert _bytes(JWT_LAYER) <= JWT_LAYER_BUDGET_BYTES
    assert (JWT_LAYER / "jwt").is_dir()
    assert not [layer for layer in LAYERS if (layer / "jwt").exists() or (layer / "cryptography").exists()]


def test_the_embedding_model_is_within_its_own_budget_with_its_license_and_without_code() -> None:
    assert _bytes(EMBEDDING_LAYER) <= EMBEDDING_LAYER_BUDGET_BYTES
    assert {path.suffix for path in EMBEDDING_LAYER.rglob("*") if path.is_file()} == {".int8", ".txt"}
    assert (EMBEDDING_LAYER / "potion_base_8m" / "LICENSE.txt").is_file()


@pytest.mark.parametrize("layer", [*LAYERS, JWT_LAYER], ids=lambda layer: layer.parent.name)
def test_every_module_of_a_layer_is_compiled(layer: Path) -> None:
    modules = list(layer.rglob("*.py"))
    cached = [path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc" for path in modules]
    assert modules
    assert [str(path) for path in cached if not path.exists()] == []
    # PEP 552: 0b01 in the flags is "hash-based, unchecked".
    assert {path.read_bytes()[4:8] for path in cached} == {b"\x01\0\0\0"}


def test_the_layers_bring_neither_the_aws_sdk_nor_machine_paths() -> None:
    assert not [layer / name for layer in LAYERS for name in ("boto3", "botocore") if (layer / name).exists()]
    compiled = (LAYERS[1] / "sluice" / "__pycache__" / f"errors.{sys.implementation.cache_tag}.pyc").read_bytes()
    assert compiled.find(b"/opt/python/sluice/errors.py") >= 0
    assert compiled.find(bytes(ROOT)) == -1


def test_shared_data_is_packed_beside_the_code() -> None:
    packed = LAYERS[1] / "sluice" / "shared"
    assert not packed.is_symlink()
    assert (packed / "models.toml").read_bytes() == (ROOT / "shared" / "models.toml").read_bytes()
    assert json.loads((packed / "models.json").read_bytes()) == tomllib.loads((packed / "models.toml").read_text())


def test_the_script_that_streaming_starts_serves_the_chat_app(stack: RunningStack, tmp_path: Path) -> None:
    port = free_port()
    variables = deployment.function_environment(stack.ministack, stack.deployment.outputs["ChatFunctionName"])
    env = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        # What /opt/python and Lambda's runtime hold; boto3 comes from the interpreter here.
        "PYTHONPATH": os.pathsep.join(map(str, LAYERS)),
        "LAMBDA_TASK_ROOT": str(BUILD / "ChatFunction"),
        "AWS_LWA_PORT": str(port),
        **variables,
        **stack.ministack.environment,
    }
    started = time.monotonic()
    with ChildProcess("run.sh", [BUILD / "ChatFunction" / "run.sh"], env, tmp_path / "run.log") as server:
        server.wait_until(lambda: is_listening(port), 60)
        assert time.monotonic() - started < 10, "Lambda lets a function take 10 s to start"
        answer = httpx.get(
            f"http://127.0.0.1:{port}/v1/models",
            headers={"authorization": f"Bearer {stack.stack.api_key}"},
            timeout=60,
        )
    assert answer.status_code == 200
    assert answer.json()["object"] == "list"


@pytest.mark.parametrize("layer", ["dependencies", "jwt"])
def test_the_packages_of_a_layer_resolve_for_aws(layer: str, tmp_path: Path) -> None:
    """The wheels of the production platform exist, fit the hashes, and fit the budget."""
    command = [
        *(ROOT / ".tools/uv/bin/uv", "pip", "install", "--quiet", "--python", sys.executable),
        *("--python-platform", "aarch64-manylinux_2_34", "--only-binary", ":all:", "--no-deps", "--require-hashes"),
        *("--target", tmp_path / "python"),
        *("--requirements", ROOT / "layers" / layer / "requirements.txt"),
    ]
    subprocess.run(list(map(str, command)), check=True)
    machine_code = list((tmp_path / "python").rglob("*.so"))
    assert machine_code
    assert {path.read_bytes()[18] for path in machine_code} == {0xB7}, "ELF's machine of aarch64"
