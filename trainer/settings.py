"""What a training run is asked for."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from evenhand.errors import InvalidConfiguration
from models.base import model_kinds
from models.candles import Candles
from models.config import Endpoint, FirstVersion, ModelsConfig
from models.convert import nearest

ENSEMBLE = "ensemble"
BASELINES = ("drift", "ewma")
ALIASES = {"lightgbm": "boosted_trees", "lightgbm_quantile": "quantile_trees"}
SEQUENCES, SEASONAL = ("lstm", "transformer"), "seasonal_naive"
FEATURES: tuple[dict[str, Any], ...] = (
    {"kind": "log_return", "candles": 1},
    {"kind": "lag", "of": {"kind": "log_return", "candles": 1}, "candles": 1},
    {"kind": "lag", "of": {"kind": "log_return", "candles": 1}, "candles": 2},
    {"kind": "log_return", "candles": 6},
    {"kind": "log_return", "candles": 24},
    {"kind": "rolling_volatility", "candles": 24},
    {"kind": "rolling_mean", "candles": 72},
    {"kind": "candle_range"},
    {"kind": "volume_ratio", "candles": 24},
)
OF_ANOTHER: tuple[dict[str, Any], ...] = (
    {"kind": "relative_return", "candles": 1},
    {"kind": "relative_return", "candles": 24},
    {"kind": "rolling_correlation", "candles": 24},
)


class TrainingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`models`: kinds by the names that users give them. `folds` blocks cover the last half of the history.

    The history is a file, `data`, or a `topic` of candles: the records with that `key`, in ranges of `offsets` such as
    0:100-200. With `features` and a `target`, the file is a table that has these columns. `model`: what is registered,
    by default the name of the file or topic. `beside`: files of other series by name, which features read. `repair`:
    bad rows are repaired. `tune`: how many sets of parameters are
    tried in each fold. `workers`: processes, by default one a core. `onnx`: nets answer by ONNX Runtime.
    `window_days`: how far back each fold looks, by default to the beginning; `embargo_hours`: how long before its test
    block it stops, besides the purge.
    """

    models: tuple[str, ...]
    data: Path | None = None
    topic: str | None = None
    offsets: str | None = None
    key: str | None = None
    model: str | None = None
    features: tuple[str, ...] = ()
    target: str | None = None
    beside: dict[str, Path] = {}
    repair: bool = False
    horizon: Annotated[int, Meta(ge=1, le=1000)] = 1
    folds: Annotated[int, Meta(ge=1, le=100)] = 4
    seed: int = 0
    tune: Annotated[int, Meta(ge=1, le=1000)] = 1
    workers: Annotated[int, Meta(ge=1, le=256)] | None = None
    onnx: bool = False
    window_days: Annotated[float, Meta(gt=0)] | None = None
    embargo_hours: Annotated[float, Meta(ge=0)] = 0.0

    def __post_init__(self) -> None:
        if (self.data is None) == (self.topic is None):
            raise InvalidConfiguration("name either a file of candles, by --data, or a topic of candles, by --topic")
        if bool(self.features) != bool(self.target) or (self.features and self.data is None):
            raise InvalidConfiguration("a table of features is a file, by --data, with --features a,b,c and --target y")
        if self.topic is None and (self.offsets or self.key):
            raise InvalidConfiguration("offsets and a key choose among the records of a topic: name one by --topic")
        if self.beside and self.features:
            raise InvalidConfiguration("a table of features has all its columns: leave --beside out")
        if twice := sorted({name for name in self.features if self.features.count(name) > 1}):
            raise InvalidConfiguration(f"a feature is named twice: {', '.join(twice)}")

    @property
    def name(self) -> str:
        """What the registered model is called."""
        return self.model or self.topic or (self.data.stem if self.data else "")

    @property
    def source(self) -> str:
        """What reports and cards call the data."""
        beside = ", ".join(f"{name}={path.name}" for name, path in sorted(self.beside.items()))
        return (self.topic or (self.data.name if self.data else "")) + (f" beside {beside}" if beside else "")

    def kinds(self) -> dict[str, str]:
        """Kind of each model by the name that was asked for, without the random walk and the ensemble."""
        known = {*model_kinds(), *ALIASES, ENSEMBLE, "naive"}
        if not self.models:
            raise InvalidConfiguration(f"name a model to train, of {', '.join(sorted(known))}")
        for name in self.models:
            if name not in known:
                raise InvalidConfiguration(f"there is no model {name!r}{nearest(name, known)}")
        return {name: ALIASES.get(name, name) for name in self.models if name not in {"naive", ENSEMBLE}}

    def parameters(self, kind: str, features: tuple[str, ...]) -> dict[str, Any]:
        """Usual parameters of a kind. A net takes the first feature and its lags, if they follow, as a sequence.

        For the seasonal naive model they are a season, which goes on; other features are no targets that once were.
        """
        length = 1
        while length < len(features) and features[length] == f"{features[0]}_lag_{length}":
            length += 1
        if kind == SEASONAL:
            return {"columns": features[:length][::-1]}
        if kind not in SEQUENCES:
            return {}
        return {**({"length": length} if length > 1 else {}), **({"onnx": True} if self.onnx else {})}

    def endpoint(self, candles: Candles, declared: ModelsConfig | None) -> Endpoint:
        """Return the declaration named like the file, or the usual features, for so many steps.

        The usual ones of a series beside: how much this one has outrun it, and how both go together.
        """
        held = declared.models.get(self.name) if declared else None
        if held is not None:
            return msgspec.structs.replace(held, max_horizon=self.horizon)
        features = FEATURES + tuple({**each, "series": name} for name in sorted(self.beside) for each in OF_ANOTHER)
        return Endpoint(
            target="log_return", unit="fraction, natural log", horizon_s=candles.interval_ms // 1000,
            wait_s=2 * self.horizon * candles.interval_ms // 1000, champion="1.0.0", features=features,
            versions=(FirstVersion("1.0.0", "naive"),), max_horizon=self.horizon, reference_price="close",
        )  # fmt: skip
