"""Interactive plots: an Altair chart in one HTML file, with all that it needs, so that it shows without a network.

Altair's types are not followed: its methods are generated.
"""

from collections.abc import Mapping, Sequence
from typing import Any

MOST_BARS = 40


def curves(history: Mapping[str, Sequence[float]], title: str, *, axis: str = "epoch") -> bytes:
    """Lines over epochs, one a metric; the legend picks one, the wheel zooms, and points tell their values."""
    alt = _altair()
    rows = [
        {axis: step, "metric": name, "value": float(value)}
        for name, values in history.items()
        for step, value in enumerate(values)
    ]
    picked = alt.selection_point(fields=["metric"], bind="legend")
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X(f"{axis}:Q", title=axis, axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("metric:N", title=None),
            opacity=alt.condition(picked, alt.value(1.0), alt.value(0.15)),
            tooltip=["metric:N", f"{axis}:Q", "value:Q"],
        )
        .add_params(picked)
        .properties(title=title, width="container", height=360)
        .interactive()
    )
    return _html(chart)


def bars(names: Sequence[str], values: Sequence[float], title: str) -> bytes:
    """Bars with the greatest first, at most forty."""
    alt = _altair()
    pairs = sorted(zip(names, values, strict=True), key=lambda pair: -abs(float(pair[1])))[:MOST_BARS]
    rows = [{"feature": name, "importance": float(value)} for name, value in pairs]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("importance:Q"), y=alt.Y("feature:N", sort=None, title=None),
            tooltip=["feature:N", "importance:Q"],
        )
        .properties(title=title, width="container")
    )  # fmt: skip
    return _html(chart)


def _altair() -> Any:
    import altair as alt  # noqa: PLC0415  half a second

    return alt


def _html(chart: Any) -> bytes:
    return str(chart.to_html(inline=True)).encode()
