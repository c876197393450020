"""The layers, built as `sam build` builds them, for this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tools.deployment import LOCAL
from tools.processes import ROOT

_NAMES = {"dependencies": "DependenciesLayer", "sluice": "SluiceLayer"}
# What Lambda's runtime brings, on the path behind the layers: no other package of this environment is there.
_RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
_EMBEDDING = {"embedding": "EmbeddingLayer"}
MEGABYTE = 10**6


@dataclass(frozen=True, slots=True)
class Layer:
    """A built layer."""

    name: str
    directory: Path

    @property
    def python(self) -> Path:
        """What /opt/python would hold."""
        return self.directory / "python"

    @property
    def size_bytes(self) -> int:
        """All of its files, unpacked."""
        return sum(path.stat().st_size for path in self.directory.rglob("*") if path.is_file())


def build() -> list[Layer]:
    """Build the layers of all functions afresh, compiled, with their own Makefiles."""
    target = LOCAL / "bench"
    shutil.rmtree(target, ignore_errors=True)
    return _build(_NAMES, target)


def runtime() -> Path:
    """A folder of the AWS SDK and what it takes, and of nothing else."""
    directory = LOCAL / "bench-runtime"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name in _RUNTIME:
        origin = Path(str(import_module(name).__file__))
        installed = origin.parent if origin.name == "__init__.py" else origin
        (directory / installed.name).symlink_to(installed)
    return directory


def build_embedding() -> Layer:
    """Build the embedding model's layer afresh."""
    target = LOCAL / "bench-embedding"
    shutil.rmtree(target, ignore_errors=True)
    [layer] = _build(_EMBEDDING, target)
    return layer


def _build(names: Mapping[str, str], target: Path) -> list[Layer]:
    path = os.pathsep.join([str(Path(sys.executable).parent), str(ROOT / ".tools" / "uv" / "bin"), os.environ["PATH"]])
    layers = []
    for name, resource in names.items():
        layer = Layer(name, target / resource)
        layer.directory.mkdir(parents=True)
        subprocess.run(
            ["make", "--silent", "-C", ROOT / "layers" / name, f"build-{resource}"],
            env={**os.environ, "PATH": path, "ARTIFACTS_DIR": str(layer.directory), "LAYER_PLATFORM": "host"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        layers.append(layer)
    return layers
