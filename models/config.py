"""`config/models.yaml` as typed structs: what each served model predicts, from which features, by which versions."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from evenhand.errors import InvalidConfiguration
from models.base import model_kind
from models.convert import convert, nearest
from models.features import make_feature
from models.signature import Signature
from models.store import version_key

Positive = Annotated[int, Meta(ge=1)]


class FirstVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version to train at the first start."""

    version: str
    kind: str
    summary: str = ""
    parameters: dict[str, Any] = {}


class Learning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model goes on learning in the loop: a version each time that `after` more outcomes have matured.

    With `serve` it takes the place of the version that it goes on from, if that is the champion and on no trial.
    """

    after: Positive
    serve: bool = False


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A served model. Its versions may be of different kinds, but all predict the same target.

    An outcome may take `wait_s` seconds from the request on. `train_until` ends what the first versions may see, and
    `learn` says whether later ones go on from what the loop sees.
    """

    target: str
    unit: str
    horizon_s: Positive
    wait_s: Positive
    champion: str
    features: Annotated[tuple[dict[str, Any], ...], Meta(min_length=1)]
    versions: Annotated[tuple[FirstVersion, ...], Meta(min_length=1)]
    max_horizon: Annotated[int, Meta(ge=1, le=1000)] = 1
    aligned: bool = True
    reference_price: str | None = None
    train_until: datetime | None = None
    learn: Learning | None = None
    seed: int = 0

    def signature(self, *more_features: str) -> Signature:
        """Return the signature of a version that reads the declared features, and some more."""
        names = tuple(make_feature(each, f"features[{place}]").name for place, each in enumerate(self.features))
        return Signature(
            features=(*names, *more_features),
            target=self.target,
            unit=self.unit,
            horizon_s=self.horizon_s,
            aligned=self.aligned,
            reference_price=self.reference_price,
            max_horizon=self.max_horizon,
        )


class ModelsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    models: dict[str, Endpoint]

    def endpoint(self, name: str) -> Endpoint:
        """Return a served model by name; a misspelt one gets a hint."""
        if name not in self.models:
            raise InvalidConfiguration(f"there is no model {name!r}{nearest(name, self.models)}")
        return self.models[name]


def read_models_config(path: Path) -> ModelsConfig:
    """Read and check the file. InvalidConfiguration names the setting and what to write instead."""
    import yaml  # noqa: PLC0415  for those who only predict

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfiguration(f"{path}: {error.strerror}; name a readable file") from error
    except UnicodeDecodeError as error:
        raise InvalidConfiguration(f"{path} cannot be read ({error}): write it as UTF-8 text") from error
    except yaml.YAMLError as error:
        raise InvalidConfiguration(f"{path} is not YAML: {error}") from error
    return models_config(data, str(path))


def models_config(data: Any, where: str = "models") -> ModelsConfig:
    """Check plain data as `read_models_config` does."""
    config = convert(data, ModelsConfig, where)
    for name, endpoint in config.models.items():
        _check(endpoint, f"{where}: {name}")
    return config


def _check(endpoint: Endpoint, where: str) -> None:
    """Refuse what is well typed but makes no sense."""
    names = endpoint.signature().features
    if len(set(names)) < len(names):
        raise InvalidConfiguration(f"{where}: a feature is declared twice in {list(names)}")
    versions = [each.version for each in endpoint.versions]
    for each in endpoint.versions:
        version_key(each.version)
        convert(
            each.parameters, model_kind(each.kind).Parameters, f"{where}: parameters of {each.version} ({each.kind})"
        )
    if len(set(versions)) < len(versions):
        raise InvalidConfiguration(f"{where}: a version is declared twice in {versions}")
    if endpoint.champion not in versions:
        raise InvalidConfiguration(f"{where}: champion {endpoint.champion!r}{nearest(endpoint.champion, versions)}")
    farthest_s = endpoint.max_horizon * endpoint.horizon_s
    if endpoint.wait_s < farthest_s:
        raise InvalidConfiguration(
            f"{where}: wait_s is {endpoint.wait_s}, but the last of {endpoint.max_horizon} steps lies {farthest_s} s "
            "ahead; wait at least that long"
        )
    if endpoint.train_until and endpoint.train_until.tzinfo is None:
        raise InvalidConfiguration(f"{where}: train_until has no time zone; end it with Z for UTC")
