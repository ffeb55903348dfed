"""`evenhand demo`: the whole loop on a market's history, from an empty broker to decisions with their reasons."""

from pathlib import Path
from typing import Annotated

import typer

from evenhand.cli import exits
from evenhand.cli.output import Json, complain, result

CHALLENGERS = ("lightgbm", "oracle", "twin", "broken")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(  # noqa: PLR0913, PLR0917 - each is an option
    data: Annotated[
        Path | None, typer.Option("--data", help="Your own hourly candles, .csv or .parquet; default: BTC-USD of 2018.")
    ] = None,
    hours: Annotated[
        int | None,
        typer.Option("--hours", min=24, help="How many are replayed; default: 2,208, or two thirds of yours."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the simulated users.")] = 7,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=16, help="Worker processes.")] = 1,
    challenger: Annotated[
        str,
        typer.Option(
            "--challenger",
            help="lightgbm (and beside it a faulty release); oracle, which knows part of the answer; twin, the "
            "champion under another name; broken, which fails one request in ten.",
        ),
    ] = "lightgbm",
    kills: Annotated[int, typer.Option("--kills", min=0, max=20, help="Kill a worker with -9 so often meanwhile.")] = 0,
    shuffle: Annotated[
        int | None, typer.Option("--shuffle", help="A seed of another order of arrival, within the grace.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Leave summary.json and the decision log, decisions.ndjson, in this folder."),
    ] = None,
    json: Json = False,
) -> None:
    """Replay real prices through the whole loop, and say what was decided and why.

    Simulated users ask several times an hour what the next hour's return will be. A champion answers, challengers on
    trial answer some of them and predict on all. The truth arrives an hour or more later, sometimes too late, twice, or
    never. The result depends on data, seed and options alone, whatever is killed meanwhile.
    """
    from evenhand.client.checkout import root
    from evenhand.errors import InvalidConfiguration

    if challenger not in CHALLENGERS:
        raise InvalidConfiguration(f"--challenger {challenger}: write one of {', '.join(CHALLENGERS)}")
    checkout = root()
    from evenhand.cli.demo.run import Options, run
    from evenhand.cli.demo.summary import text

    options = Options(
        data=data or checkout / "data" / "btc-usd-1h.parquet", hours=hours, seed=seed, workers=workers,
        challenger=challenger, kills=kills, shuffle=shuffle, out=out,
    )  # fmt: skip
    found = run(options, checkout)
    result(found, json, lambda: text(found))
    if not found.books_balance:
        complain(
            f"the books do not balance: {found.requests} requests, {found.predictions} predictions, "
            f"{found.errors} errors, {found.matured} matured, {found.pending} pending, {found.never} never; "
            f"the logs are in {found.logs}"
        )
        raise typer.Exit(exits.FAILED)
