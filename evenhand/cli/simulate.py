"""`evenhand experiment simulate`: what the rule does on streams whose truth is known, and on a user's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import BadZipFile

import typer

from evenhand.cli.experiment import group
from evenhand.cli.output import Json, result, table

if TYPE_CHECKING:
    from evenhand.experiments.streams import Floats

_COLUMNS = ("name", "kind", "error", "error_upper", "naive_error", "power", "sample_ratio", "coverage")
_MORE = ("sample_ratio_twice", "error_ever", "coverage_ever", "says", "after")


def register(app: typer.Typer) -> None:  # noqa: ARG001 - as every group of commands
    """Add the command to its group."""
    group.command()(simulate)


def simulate(
    runs: Annotated[int, typer.Option("--runs", min=10, help="Of each stream, without an effect and with one.")] = 2000,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    stream: Annotated[
        list[str] | None,
        typer.Option(
            "--stream", metavar="NAME|FILE.npz", help="Only this one; repeat it for several. A file has arrays "
            "variant, value (a loss), and optionally cluster, time and known_at.",
        ),
    ] = None,
    rule: Annotated[str, typer.Option("--rule", help="evenhand, or naive: stop when P(better) > 0.95.")] = "evenhand",
    json: Json = False,
) -> None:  # fmt: skip
    """Play the judge's test on streams whose truth is known, with a look after every event: errors, power, sizes."""
    from evenhand.errors import InvalidConfiguration
    from evenhand.experiments.simulate import STREAMS
    from evenhand.experiments.simulate import table as played

    given = stream or []
    own = {Path(each).stem: differences(Path(each)) for each in given if each.endswith(".npz")}
    names = [each for each in given if not each.endswith(".npz")]
    if strange := sorted(set(names) - set(STREAMS)):
        raise InvalidConfiguration(f"there are no streams {strange}: they are {sorted(STREAMS)}, or a FILE.npz")
    if rule not in {"evenhand", "naive"}:
        raise InvalidConfiguration(f"there is no rule {rule!r}: they are evenhand and naive")
    rows = played(runs, seed, names, "naive" if rule == "naive" else "evenhand", own)
    result(rows, json, lambda: _text(rows))


def _text(rows: list[dict[str, Any]]) -> str:
    more = [name for name in _MORE if any(name in row for row in rows)]
    columns = [*_COLUMNS, *more]
    return table(columns, [[_shown(row.get(column)) for column in columns] for row in rows])


def _shown(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def differences(path: Path) -> "Floats":
    """Second variant less first, by cluster, in the order in which they were known. Requests of a cluster are averaged.

    Without `cluster`, what has one `time` is one; without `known_at`, all is known at its time; without either, the
    rows of the variants belong together in their order.
    """
    import numpy as np

    from evenhand.errors import InvalidConfiguration

    if not path.is_file():
        raise InvalidConfiguration(f"there is no file {path}: write it with numpy.savez(FILE, variant=..., value=...)")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise InvalidConfiguration(
            f"{path} cannot be read ({error}): write it with numpy.savez, its arrays numbers or text, no objects"
        ) from None
    if missing := sorted({"variant", "value"} - set(arrays)):
        raise InvalidConfiguration(f"{path} lacks {missing}: it has {sorted(arrays)}")
    length = arrays["value"].size
    if strange := sorted(name for name, each in arrays.items() if each.shape != (length,)):
        raise InvalidConfiguration(f"{path}: {strange} are not as long as value, which has {length}")
    numbers = {name: each for name, each in arrays.items() if name in {"value", "known_at", "time"}}
    if strange := sorted(name for name, each in numbers.items() if each.dtype.kind not in "biuf"):
        raise InvalidConfiguration(f"{path}: {strange} are no numbers")
    variants, of = np.unique(arrays["variant"], return_inverse=True)
    if len(variants) != 2:
        raise InvalidConfiguration(f"{path}: two variants are compared, it has {variants.tolist()}")
    places = np.zeros(length, np.int64)
    for k in (0, 1):
        places[of == k] = np.arange(np.count_nonzero(of == k))
    cluster = np.unique(arrays.get("cluster", arrays.get("time", places)), return_inverse=True)[1]
    known = np.asarray(arrays.get("known_at", arrays.get("time", places)), np.float64)
    value = np.asarray(arrays["value"], np.float64)
    came = np.isfinite(value) & np.isfinite(known)
    size = int(cluster.max()) + 1
    sums, counts, last = np.zeros((2, size)), np.zeros((2, size)), np.full(size, -np.inf)
    np.add.at(sums, (of[came], cluster[came]), value[came])
    np.add.at(counts, (of[came], cluster[came]), 1.0)
    np.maximum.at(last, cluster[came], known[came])
    both = (counts > 0).all(axis=0)
    if np.count_nonzero(both) < 200:
        raise InvalidConfiguration(
            f"{path}: {np.count_nonzero(both)} clusters have a value of both variants, 200 are wanted: variants are "
            "compared on the same clusters"
        )
    means = sums[:, both] / counts[:, both]
    ordered: Floats = (means[1] - means[0])[np.argsort(last[both], kind="stable")]
    if not ordered.std() > 0.0:
        raise InvalidConfiguration(
            f"{path}: the variants differ by the same in every cluster: there is nothing to test"
        )
    return ordered
