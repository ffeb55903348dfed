"""What is typed after `evenhand experiment reweight`."""

import pytest
import typer

from evenhand.cli.experiment import parse_weights


def test_weights_are_integers_by_variant() -> None:
    assert parse_weights(["ridge=80", "trees=20"]) == {"ridge": 80, "trees": 20}


@pytest.mark.parametrize("wrong", ["ridge", "=5", "ridge=half", "ridge=-1", "ridge=0.5"])
def test_anything_else_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as trees=50"):
        parse_weights([wrong])
