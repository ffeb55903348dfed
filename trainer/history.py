"""Where a run's candles come from: a file, or a range of offsets of a topic."""

from models.candle_files import read_candles
from models.candles import Candles
from trainer.progress import Progress
from trainer.settings import TrainingSettings


def read_history(settings: TrainingSettings, progress: Progress) -> Candles:  # noqa: ARG001
    """Read the candles that a run is asked to learn from."""
    return read_candles(settings.data)
