"""Where runs go: `config/mlflow.yaml`, overruled by MLFLOW_TRACKING_URI; by default a SQLite file of this home."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from evenhand.errors import InvalidConfiguration
from models.convert import convert

FILE, VARIABLE = "mlflow.yaml", "MLFLOW_TRACKING_URI"


class TrackingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """MLflow's own names. `auto_log` notes environment, code and duration of each run.

    Metrics are on disk at once, and are sent after `log_frequency` calls that brought some, or after a second.
    """

    tracking_uri: str = ""
    experiment_name: str = "evenhand"
    artifact_location: str | None = None
    auto_log: bool = True
    log_frequency: Annotated[int, Meta(ge=1)] = 10

    def at(self, home: Path, environment: Mapping[str, str] = os.environ) -> "TrackingSettings":
        """Return the settings with an address; a store of our own keeps its artifacts beside it."""
        uri = environment.get(VARIABLE, "").strip() or self.tracking_uri
        if uri:
            return msgspec.structs.replace(self, tracking_uri=uri)
        place = self.artifact_location or (home / "mlartifacts").as_uri()
        return msgspec.structs.replace(self, tracking_uri=f"sqlite:///{home / 'mlflow.db'}", artifact_location=place)


def read_tracking(folder: Path) -> TrackingSettings:
    """Read `mlflow.yaml` of a folder; an absent file means the defaults."""
    path = folder / FILE
    if not path.is_file():
        return TrackingSettings()
    import yaml  # noqa: PLC0415  for those who have the file

    try:
        return convert(yaml.safe_load(path.read_text(encoding="utf-8")) or {}, TrackingSettings, str(path))
    except yaml.YAMLError as error:
        raise InvalidConfiguration(f"{path} is not YAML: {error}") from error
