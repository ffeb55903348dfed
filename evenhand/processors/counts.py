"""What became of predictions and outcomes, in counts that always add up."""

import msgspec

COUNTS_ROW = b"counts"
"""Under which attribution keeps them in its state, where everybody may read them."""


class Counts(msgspec.Struct):
    """The books of one partition: predictions = matured + pending + never. Late ones are matured too."""

    predictions: int = 0
    errors: int = 0
    matured: int = 0
    never: int = 0
    late: int = 0
    outcomes: int = 0
    duplicates: int = 0
    conflicting: int = 0
    orphans: int = 0
    expired: int = 0
    metrics: int = 0

    @property
    def pending(self) -> int:
        """Predictions that still wait."""
        return self.predictions - self.matured - self.never
