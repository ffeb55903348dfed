"""What is written down about a model version: its signature, where it comes from, and the digests that seal it."""

import functools
import hashlib
import importlib.util
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

import evenhand
from evenhand.training.versioning import Measured
from models.base import Model
from models.signature import Signature

LIBRARIES, OPTIONAL = ("lightgbm", "numpy", "scipy"), ("torch",)


class Source(msgspec.Struct, frozen=True, order=True):
    """Records of a partition that were learned from, the last one included."""

    topic: str
    partition: int
    first: int
    last: int

    def overlaps(self, other: "Source") -> bool:
        """Whether both have a record."""
        same = (self.topic, self.partition) == (other.topic, other.partition)
        return same and self.first <= other.last and other.first <= self.last


class Lineage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it takes to learn a version again, and what it came after.

    `features` are the declarations; `change` is how great the step from `follows` is, and `reasons` say why. `example`
    is a row that it was trained on, in the order of the features, and `answer` what it says to that. `metrics` were
    measured on rows that it had not seen. `matured_to` is the time, in ms, of the last outcome that it went on from.
    """

    features: tuple[dict[str, Any], ...] = ()
    sources: tuple[Source, ...] = ()
    follows: str = ""
    change: str = ""
    reasons: tuple[str, ...] = ()
    example: tuple[float, ...] = ()
    answer: tuple[float, ...] = ()
    metrics: dict[str, Measured] = {}
    matured_to: int = 0


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a version comes from. Times are ms UTC; digests are SHA-256.

    `trained_from` and `trained_to` bound what the training has seen: the opening of the first candle and the moment
    when the last one had closed.
    """

    summary: str
    data: str = ""
    data_digest: str = ""
    rows: int = 0
    trained_from: int | None = None
    trained_to: int | None = None
    seed: int = 0
    lineage: Lineage | msgspec.UnsetType = msgspec.UNSET  # what was saved before there was any has none

    @property
    def origin(self) -> Lineage:
        """The lineage, or an empty one."""
        return Lineage() if self.lineage is msgspec.UNSET else self.lineage


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of `model.json`. `digest` seals all else, `files` seals the files beside it."""

    model: str
    version: str
    kind: str
    signature: Signature
    residual_sd: tuple[float, ...]
    description: Description
    code_digest: str
    libraries: dict[str, str]
    files: dict[str, str]
    digest: str = ""

    def sealed(self) -> "Card":
        """Return the card with its digest."""
        bare = msgspec.structs.replace(self, digest="")
        return msgspec.structs.replace(bare, digest=sha256(msgspec.json.encode(bare, order="sorted")))


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def write_card(name: str, version: str, model: Model, files: dict[str, bytes], description: Description) -> Card:
    """Make the sealed card of a fitted model that was saved as `files`."""
    return Card(
        model=name,
        version=version,
        kind=model.kind,
        signature=model.signature,
        residual_sd=model.residual_sd,
        description=description,
        code_digest=code_digest(),
        libraries=libraries(),
        files={file: sha256(content) for file, content in sorted(files.items())},
    ).sealed()


@functools.cache
def code_digest() -> str:
    """SHA-256 over the sources of all models and features: what a version was made with."""
    root = Path(__file__).parent
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        whole.update(f"{path.relative_to(root)}\n".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()


@functools.cache
def libraries() -> dict[str, str]:
    """Versions of what the numbers come from."""
    return {
        "python": platform.python_version(),
        "evenhand": evenhand.__version__,
        **{name: metadata.version(name) for name in LIBRARIES},
        **{name: metadata.version(name) for name in OPTIONAL if importlib.util.find_spec(name)},
    }
