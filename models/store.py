"""Model versions on disk: `ROOT/MODEL/VERSION/model.json` and the files that it seals. A version never changes."""

import contextlib
import io
import os
import re
import shutil
import tempfile
from pathlib import Path

import msgspec
import numpy as np

from evenhand.errors import EvenhandError, InvalidConfiguration, ModelUnavailable
from models.base import FloatArray, Model, model_kind
from models.card import Card, Description, sha256, write_card

CARD, REFERENCE = "model.json", "reference.npy"
REFERENCE_ROWS = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?")


class VersionExists(EvenhandError):
    """Another model was saved under that version. Take the next version; what has served is never overwritten."""


def version_key(version: str) -> tuple[int, int, int, bool, str]:
    """Sort key of a semantic version: a pre-release comes before its release.

    >>> sorted(["1.10.0", "1.9.0", "1.10.0-rc"], key=version_key)
    ['1.9.0', '1.10.0-rc', '1.10.0']
    """
    match = _VERSION.fullmatch(version)
    if not match:
        raise InvalidConfiguration(f"version {version!r} is not semantic; write MAJOR.MINOR.PATCH, such as 1.0.0")
    major, minor, patch, before = match.groups()
    return int(major), int(minor), int(patch), before is None, before or ""


def require_name(name: str) -> None:
    """Raise InvalidConfiguration for what no model may be called."""
    if not _NAME.fullmatch(name):
        raise InvalidConfiguration(
            f"model name {name!r} has other characters than letters, digits, '.', '_', '-', '@', or does not begin "
            "with a letter or digit"
        )


class ModelStore:
    """Saves and loads versions under a folder. Loaded ones stay in memory."""

    def __init__(self, root: Path) -> None:
        """Use `root`, which is made when something is saved."""
        self.root = root
        self._loaded: dict[tuple[str, str], Model] = {}

    def save(
        self, name: str, version: str, model: Model, description: Description, rows: FloatArray | None = None
    ) -> Card:
        """Write a fitted model as a version, whole or not at all. The same one again is no error.

        Of the `rows` that it was trained on the last ones are kept: what is normal, for whoever watches for drift.
        """
        require_name(name)
        version_key(version)
        files = model.save()
        if rows is not None:
            last = io.BytesIO()
            np.save(last, np.ascontiguousarray(rows[-REFERENCE_ROWS:], np.float64), allow_pickle=False)
            files[REFERENCE] = last.getvalue()
        card = write_card(name, version, model, files, description)
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".saving-", dir=home))
        try:
            temporary.chmod(0o755)
            for file, content in {**files, CARD: msgspec.json.format(msgspec.json.encode(card), indent=1)}.items():
                _write(temporary / file, content)
            try:
                temporary.rename(home / version)
            except OSError:  # a folder that is not empty stands there
                self._same_or_refuse(card)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _sync(home)
        return card

    def _same_or_refuse(self, card: Card) -> None:
        held = self.describe(card.model, card.version)
        if held.digest != card.digest:
            raise VersionExists(
                f"{card.model} {card.version} exists with digest {held.digest[:12]}, not {card.digest[:12]}: "
                "save under the next version"
            )

    def load(self, name: str, version: str) -> Model:
        """Return a version, from memory after the first time. Raises ModelUnavailable."""
        held = self._loaded.get((name, version))
        if held is None:
            held = self._loaded[name, version] = self._read(name, version)
        return held

    def warm(self, most: int = 32) -> int:
        """Load the versions that were saved last, at most so many; how many were loaded.

        Whoever serves does this before it begins: a kind's library alone takes a second to import, and nobody else is
        answered meanwhile. One that cannot be loaded is left to whoever asks for it, and is told why.
        """
        saved = [
            (self.saved_at(name, version), name, version) for name in self.models() for version in self.versions(name)
        ]
        loaded = 0
        for _, name, version in sorted(saved, reverse=True)[:most]:
            with contextlib.suppress(Exception):
                self.load(name, version)
                loaded += 1
        return loaded

    get = load  # what the inference agent calls it

    def reference(self, name: str, version: str) -> dict[str, FloatArray] | None:
        """Return the last rows that a version was trained on, by feature; None for one that kept none."""
        try:
            card = self.describe(name, version)
            content = (self.root / name / version / REFERENCE).read_bytes()
        except (ModelUnavailable, OSError):
            return None
        if card.files.get(REFERENCE) != sha256(content):
            raise ModelUnavailable(f"{name} {version}: {REFERENCE} is not what was saved; restore it, or train again")
        rows = np.load(io.BytesIO(content), allow_pickle=False)
        return {feature: rows[:, place] for place, feature in enumerate(card.signature.features)}

    def _read(self, name: str, version: str) -> Model:
        card, files = self.describe(name, version), self.files(name, version)
        try:
            return model_kind(card.kind).load(card.signature, files)
        except (InvalidConfiguration, KeyError, ImportError, msgspec.DecodeError) as error:
            raise ModelUnavailable(f"{name} {version}: a {card.kind} model cannot be loaded here: {error}") from error

    def files(self, name: str, version: str) -> dict[str, bytes]:
        """Return the files of a version, by name, after their digests were checked. Raises ModelUnavailable."""
        card = self.describe(name, version)
        folder = self.root / name / version
        files: dict[str, bytes] = {}
        for file, digest in card.files.items():
            try:
                files[file] = (folder / file).read_bytes()
            except OSError as error:
                raise ModelUnavailable(
                    f"{name} {version}: {folder / file} cannot be read ({error}); save it again"
                ) from error
            if sha256(files[file]) != digest:
                raise ModelUnavailable(
                    f"{name} {version}: {folder / file} is not what was saved (digest {sha256(files[file])[:12]}, "
                    f"expected {digest[:12]}); restore the folder, or remove it and train again"
                )
        return files

    def describe(self, name: str, version: str) -> Card:
        """Return what is written about a version, after its digest was checked. Raises ModelUnavailable."""
        if not _NAME.fullmatch(name) or not _NAME.fullmatch(version):
            raise ModelUnavailable(f"there is no model {name!r} {version!r}")
        path = self.root / name / version / CARD
        try:
            raw = path.read_bytes()
        except OSError:
            known = ", ".join(self.versions(name)) or "none"
            raise ModelUnavailable(f"there is no version {version} of model {name}; saved are: {known}") from None
        try:
            card = msgspec.json.decode(raw, type=Card)
        except msgspec.DecodeError as error:
            raise ModelUnavailable(f"{name} {version}: {path} is damaged: {error}") from error
        if card.sealed().digest != card.digest or (card.model, card.version) != (name, version):
            raise ModelUnavailable(
                f"{name} {version}: {path} was changed after it was sealed; restore it or train again"
            )
        return card

    def versions(self, name: str) -> list[str]:
        """Return all versions of a model, oldest first."""
        if not _NAME.fullmatch(name):
            return []
        found = [path.parent.name for path in (self.root / name).glob(f"*/{CARD}")]
        return sorted((version for version in found if _VERSION.fullmatch(version)), key=version_key)

    def saved_at(self, name: str, version: str) -> float:
        """When a version was saved, in seconds."""
        return (self.root / name / version / CARD).stat().st_mtime

    def models(self) -> list[str]:
        """Return the names of all models that have a version."""
        return sorted({path.parent.parent.name for path in self.root.glob(f"*/[!.]*/{CARD}")})


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make a rename in a folder last."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
