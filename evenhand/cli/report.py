"""`evenhand experiment report`: all that is known of one, from the topics or from an export."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.cli.experiment import group
from evenhand.cli.output import Json, note, result, say, table

if TYPE_CHECKING:
    from evenhand.experiments.report import Report


def register(app: typer.Typer) -> None:  # noqa: ARG001 - as every group of commands
    """Add the command to its group."""
    group.command()(report)


def report(
    name: Annotated[str, typer.Argument(help="An experiment that runs or has run.")],
    log: Annotated[
        Path | None, typer.Option("--log", metavar="DIR", help="What `evenhand topics export DIR` wrote.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page of HTML, too.")] = None,
    json: Json = False,
) -> None:
    """All that is known of an experiment: posterior and test, guardrails, sample ratio, maturity, evidence, reasons.

    It is worked out again from the evidence in the log, by the functions that judged it, and says if that does not
    lead to the decisions that were made.
    """
    from evenhand.errors import InvalidConfiguration
    from evenhand.experiments.report_html import html as page
    from evenhand.experiments.report_text import markdown as as_markdown

    found = asyncio.run(_from_export(log, name) if log is not None else from_topics(name))
    if found is None:
        raise InvalidConfiguration(
            f"no look has been taken at an experiment {name!r}: `evenhand experiment list` names those that run"
        )
    if html is not None:
        html.write_text(page(found), encoding="utf-8")
        note(f"written to {html}")
    if markdown and not json:
        say(as_markdown(found).rstrip())
    else:
        result(found, json, lambda: _text(found))


def _text(found: "Report") -> str:
    from evenhand.experiments.report_text import sections

    parts = []
    for section in sections(found):
        parts.append(section.title)
        if section.columns:
            parts.append(table(section.columns, section.rows))
        parts += section.notes
    return "\n\n".join(parts)


async def from_topics(name: str) -> "Report | None":
    """The report of an experiment of the loop that runs here."""
    from evenhand.cli.loop import open_log
    from evenhand.client.report import report_from_topics

    async with open_log() as (settings, reader):
        from adapters.loop_state import holding

        found = await report_from_topics(settings, reader, name)
        running = [held.served.experiment for held in (await holding(reader)).values()]
        if found is None or any(each is not None and each.name == name for each in running):
            return found
        return ended(found)


def ended(found: "Report") -> "Report":
    """The report of one that no longer runs: if nothing was decided, somebody has ended it."""
    import msgspec

    return msgspec.structs.replace(found, state="ended by a command") if found.state.startswith("running") else found


async def _from_export(folder: Path, name: str) -> "Report | None":
    from evenhand.client.checkout import root
    from evenhand.client.report import report_of

    root()
    from adapters.recording import Export

    return await report_of(Export(folder), name)
