"""What of each served model is watched for drift, as a deployment declares it in `config/drift.yaml`."""

from collections.abc import Sequence

import msgspec

from evenhand.config import checked, load_yaml_strict
from evenhand.errors import InvalidConfiguration
from evenhand.metrics import loss
from evenhand.monitoring import DriftRule, Monitoring


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """The policy of one model. `cluster_s` is the model's step unless it is given; `drift` has no `features` here."""

    epoch_s: int = 60
    grace_s: int = 60
    cluster_s: int | None = None
    sample_rows: int = 512
    loss: str = "squared_error"
    drift: DriftRule | None = DriftRule()

    def monitoring(self, features: Sequence[str], cluster_s: int) -> Monitoring:
        """With the features of the model."""
        drift = self.drift
        if drift is not None:
            if unknown := [name for name in drift.only if name not in features]:
                raise InvalidConfiguration(f"only: no feature is named {unknown[0]!r}: these are {', '.join(features)}")
            drift = msgspec.structs.replace(drift, features=tuple(features))
        made = Monitoring(
            epoch_s=self.epoch_s, grace_s=self.grace_s, sample_rows=self.sample_rows, loss=self.loss, drift=drift,
            cluster_s=cluster_s if self.cluster_s is None else self.cluster_s,
        )  # fmt: skip
        return checked(made)


class Watches(msgspec.Struct, frozen=True):
    """The whole file, by served model. A model that is not named is reported about, and not watched for drift."""

    models: dict[str, Declared] = {}


def read_watches(text: str, where: str = "drift.yaml") -> Watches:
    """The file from its text; InvalidConfiguration names what to change.

    >>> read_watches("models: {m: {drift: {false_alarms_per_month: 2}}}").models["m"].drift.false_alarms_per_month
    2.0
    """
    found = load_yaml_strict(text, Watches, where)
    for model, declared in found.models.items():
        try:
            check(declared)
        except InvalidConfiguration as error:
            raise InvalidConfiguration(f"{where}: models.{model}: {error}") from None
    return found


def check(declared: Declared) -> None:
    """What the types alone cannot say."""
    loss(declared.loss)
    rule = declared.drift
    if rule is None:
        return
    if rule.features:
        raise InvalidConfiguration("drift.features are those of the model in models.yaml: use `only` to watch fewer")
    if rule.false_alarms_per_month is not None and rule.false_alarms_per_100k is not None:
        raise InvalidConfiguration("give either false_alarms_per_month or false_alarms_per_100k: not both")
    if (rule.reference == "window") != (rule.window is not None):
        raise InvalidConfiguration("reference: window and window: [from, to] (milliseconds UTC) belong together")
    if rule.window is not None and rule.window[0] >= rule.window[1]:
        raise InvalidConfiguration("window: its end is not after its beginning")
