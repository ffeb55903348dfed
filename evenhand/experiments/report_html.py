"""A report as one file of HTML: the tables, each relative change as a density, and exposures over time. No scripts."""

from collections.abc import Iterator
from html import escape

import numpy as np

from evenhand.events import VariantPosterior
from evenhand.experiments.report import Report
from evenhand.experiments.report_text import Section, moment, sections, signed

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #1a1a1a }
table { border-collapse: collapse; margin: .5em 0 } td, th { padding: .25em .8em; text-align: left; border-bottom: 1px
solid #ddd } th { font-weight: 600 } h2 { margin-top: 2em; font-size: 1.1em } svg { max-width: 100%; height: auto }
figcaption { color: #555 } figure { margin: 1em 0 }
"""
_COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#a463f2")
_WIDTH, _HEIGHT = 640, 120


def html(report: Report) -> str:
    """The whole page."""
    body: list[str] = []
    for level, section in enumerate(sections(report)):
        body += _section(section, "h1" if level == 0 else "h2")
        if section.title.startswith("What is believed"):
            body += [_density(each.name, each.posterior) for each in report.challengers]
        if section.title.startswith("Variants"):
            body.append(_exposures(report))
    shown = "\n".join(part for part in body if part)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(report.name)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{shown}\n</body></html>\n"
    )


def _section(section: Section, heading: str) -> Iterator[str]:
    yield f"<{heading}>{escape(section.title)}</{heading}>"
    if section.columns:
        yield f"<table><tr>{''.join(f'<th>{escape(each)}</th>' for each in section.columns)}</tr>"
        for row in section.rows:
            yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        yield "</table>"
    for each in section.notes:
        yield f"<p>{escape(each)}</p>"


def _density(name: str, of: VariantPosterior) -> str:
    """The posterior of the relative change: the part that is better in another colour, the interval below it."""
    mean, interval = of.relative_difference, of.relative_interval
    if mean is None or interval is None or of.mean_difference is None or of.credible_interval is None:
        return ""
    half = (interval[1] - interval[0]) / 2.0
    if half <= 0.0:
        return ""
    z = np.linspace(-1.8, 1.8, 91)
    x, y = mean + half * z, np.exp(-0.5 * (1.96 * z) ** 2)
    low, high = min(float(x[0]), 0.0), max(float(x[-1]), 0.0)

    def at(value: float) -> float:
        return _WIDTH * (value - low) / (high - low)

    parts = []
    for is_better, colour in ((True, _COLOURS[3]), (False, _COLOURS[2])):
        points = [(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True) if (a <= 0.0) == is_better]
        if points:
            line = " ".join(f"{at(a):.1f},{_HEIGHT - 20 - 90 * b:.1f}" for a, b in points)
            first, last = at(points[0][0]), at(points[-1][0])
            floor = _HEIGHT - 20
            parts.append(f'<polygon fill="{colour}" points="{first:.1f},{floor} {line} {last:.1f},{floor}"/>')
    zero, ends = at(0.0), (at(interval[0]), at(interval[1]))
    parts += [
        f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{_HEIGHT - 20}" stroke="#1a1a1a"/>',
        f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{_HEIGHT - 12}" y2="{_HEIGHT - 12}" stroke="#1a1a1a"/>',
    ]
    said = (
        f"{name}: relative change {signed(mean)}, [{signed(interval[0])}, {signed(interval[1])}]; below zero is better"
    )
    return _figure("".join(parts), said)


def _exposures(report: Report) -> str:
    """Requests served so far, by variant."""
    names = [arm.name for arm in report.arms]
    if len(report.exposures) < 2:
        return ""
    sums = np.cumsum([[each.served.get(name, 0) for name in names] for each in report.exposures], axis=0)
    times = np.array([each.end_ms for each in report.exposures], np.float64)
    x = _WIDTH * (times - times[0]) / max(1.0, times[-1] - times[0])
    top = max(1, int(sums.max()))
    lines = []
    for place, name in enumerate(names):
        points = " ".join(
            f"{a:.1f},{_HEIGHT - 5 - (_HEIGHT - 15) * b / top:.1f}" for a, b in zip(x, sums[:, place], strict=True)
        )
        colour = _COLOURS[place % len(_COLOURS)]
        lines.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}">'
            f"<title>{escape(name)}</title></polyline>"
            f'<text x="4" y="{14 + 14 * place}" fill="{colour}" font-size="12">{escape(name)}: {sums[-1, place]}</text>'
        )
    said = f"Requests served, {moment(report.exposures[0].end_ms)} to {moment(report.exposures[-1].end_ms)}"
    return _figure("".join(lines), said)


def _figure(inner: str, caption: str) -> str:
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(caption)}">{inner}</svg><figcaption>{escape(caption)}</figcaption></figure>'
    )
