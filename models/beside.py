"""Other series that features read, joined to the candles from files of their own."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evenhand.errors import EvenhandError, InvalidConfiguration
from models.candle_files import read_candles
from models.candles import Candles
from models.features import make_feature

NOWHERE: Mapping[str, Path] = MappingProxyType({})


def with_series(
    candles: Candles,
    folder: Path,
    features: Iterable[Mapping[str, Any]],
    files: Mapping[str, Path] = NOWHERE,
    repairs: list[str] | None = None,
) -> Candles:
    """Candles with the series that the declared features read beside them, at the times that all have.

    A series is in the file that `files` names, else in SERIES.parquet or SERIES.csv in the folder. InvalidConfiguration
    where there is none, or where its candles have another length; `repairs` as of `read_candles`.
    """
    reads = sorted({series for each in features for series in make_feature(each).reads})
    if strange := sorted(set(files) - set(reads)):
        raise InvalidConfiguration(
            f"no feature reads {', '.join(strange)}: declare one in models.yaml, such as "
            f"{{kind: relative_return, series: {strange[0]}}}, or leave the file out"
        )
    others = {series: read_candles(_file(series, folder, files), repairs=repairs) for series in reads}
    joined = candles.beside(**others) if others else candles
    if len(candles) and not len(joined):
        raise EvenhandError(f"the candles have no time in common with {', '.join(reads)}: give files of the same times")
    return joined


def _file(series: str, folder: Path, files: Mapping[str, Path]) -> Path:
    if series in files:
        return files[series]
    found = [path for path in (folder / f"{series}.parquet", folder / f"{series}.csv") if path.is_file()]
    if not found:
        raise InvalidConfiguration(
            f"the features read the series {series}: put its candles into {folder / series}.parquet; `evenhand train` "
            f"and `models reproduce` also take --beside {series}=FILE"
        )
    return found[0]
