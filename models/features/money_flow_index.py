"""Money flow index: 100 x money that came at rising typical prices / all money (Quong and Soudack 1989). 0 to 100."""

from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.changes import typical, typicals
from models.features.windows import Window, rolling_mean


class Flows(msgspec.Struct):
    """The windows of money, and the price that the next move starts from."""

    up: Window
    all: Window
    last: float | None = None


class MoneyFlowIndex(Feature[Flows], frozen=True, forbid_unknown_fields=True):
    """An RSI weighted by volume, over a plain window; 50 where no money flows (TA-Lib says 0)."""

    kind: ClassVar[str] = "money_flow_index"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 14

    @property
    def name(self) -> str:
        return f"money_flow_index_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles

    def start(self) -> Flows:
        return Flows(Window(self.candles), Window(self.candles))

    def step(self, state: Flows, candle: Candle) -> float:
        price = typical(candle)
        last, state.last = state.last, price
        if last is None:
            return NAN
        state.up.push(price * candle.volume if price > last else 0.0)
        state.all.push(price * candle.volume if price != last else 0.0)
        if not state.all.full:
            return NAN
        flow = state.all.moments[1]
        return 100.0 * state.up.moments[1] / flow if flow > 0 else 50.0

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        prices = typicals(candles)
        money, moves = (prices * candles.volume)[1:], np.diff(prices)
        flow = rolling_mean(np.where(moves != 0, money, 0.0), self.candles)
        up = rolling_mean(np.where(moves > 0, money, 0.0), self.candles)
        values[1:] = np.where(flow == 0, 50.0, 100.0 * up / np.where(flow == 0, 1.0, flow))
        return values
