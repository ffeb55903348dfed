"""A training as a process of its own: `python -m tests.integration.tracking.training URI HOME PAUSE_S`.

It prints a line for each step until the file HOME/enough is there, and at the end for how long it stood still at worst.
"""

import sys
import time
from pathlib import Path

from adapters.mlflow.settings import TrackingSettings
from adapters.mlflow.tracking import Tracking

PER_STEP = ("train_loss", "val_loss", "learning_rate")


def values(step: int) -> dict[str, float]:
    """What is logged at a step."""
    return {name: (place + 1) / (step + 1) for place, name in enumerate(PER_STEP)}


def main(uri: str, home: Path, pause_s: float) -> None:
    """Train."""
    settings = TrackingSettings(tracking_uri=uri, experiment_name="outage", log_frequency=1).at(home, {})
    step, longest_s = 0, 0.0
    with Tracking(settings, home, wait_s=60.0) as tracking, tracking.start_run("training") as run:
        run.params({"pause_s": pause_s})
        while not (home / "enough").exists():
            begun = time.monotonic()
            run.metrics(values(step), step)
            longest_s = max(longest_s, time.monotonic() - begun)
            print(step, flush=True)
            time.sleep(pause_s)
            step += 1
        run.artifact("report.md", b"# done\n")
    print("longest", longest_s, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
