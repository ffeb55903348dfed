"""Metrics that users report in `metrics.v1`, as ratios: what a variant's units reported, over what it is counted by."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evenhand.errors import InvalidConfiguration

OBSERVATIONS, REQUESTS = "observations", "requests"


class UserMetric(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ratio: the sum of what was reported under one name, over how often, over requests, or over another sum.

    `reported` and `per` are names of `metrics.v1`; `per` may also be `observations` (the mean of what is reported) or
    `requests` (what a served request brings, those without a report included). `better` says which way is better.
    `covariate` names a report that is known before the unit was served, such as its own average of last week: what it
    explains of the mean report is taken out (CUPED), among units that have both.
    A report counts for the variant that answered its request or, where it names a unit, that answered the unit last;
    it carries the key of its request.

    >>> UserMetric(name="clicks_per_request", reported="click", per="requests", better="higher").sums
    ('click', 'requests')
    """

    name: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")]
    covariate: Annotated[str, Meta(max_length=256)] = ""
    reported: Annotated[str, Meta(max_length=256)] = ""
    per: Annotated[str, Meta(min_length=1, max_length=256)] = OBSERVATIONS
    better: Literal["lower", "higher"] = "lower"

    def __post_init__(self) -> None:
        if self.covariate and self.per != OBSERVATIONS:
            raise InvalidConfiguration(
                f"metric {self.name}: a covariate goes with the mean of what is reported: leave out `per`, which is "
                f"{self.per!r}"
            )

    @property
    def adjusted(self) -> str:
        """Under which name the means are kept beside their covariate."""
        return f"{self.name}|{self.covariate}"

    @property
    def sums(self) -> tuple[str, str]:
        """The names of numerator and denominator; what is reported has the metric's own name by default."""
        return self.reported or self.name, self.per
