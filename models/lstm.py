"""LSTM: a recurrent net with a memory of its own (Hochreiter and Schmidhuber 1997), one layer.

c = sigmoid(f) c' + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c), where (i, f, g, o) = W x + U h' + b.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from models.base import FloatArray
from models.nets import Arrays, Net, uniform
from models.onnx_net import Graph

if TYPE_CHECKING:
    import torch


class Lstm(Net):
    """Reads the sequence from the oldest to the newest and answers from its last state."""

    kind: ClassVar[str] = "lstm"

    def initial(self, random: np.random.Generator, length: int, channels: int) -> Arrays:
        width = self.parameters.width
        bias = np.zeros(4 * width, dtype=np.float32)
        bias[width : 2 * width] = 1.0  # it starts by remembering
        return {"w": uniform(random, 4 * width, channels), "u": uniform(random, 4 * width, width), "b": bias}

    def graph(self, weights: "dict[str, torch.Tensor]", sequences: "torch.Tensor") -> "torch.Tensor":
        inputs = sequences @ weights["w"].T + weights["b"]
        hidden = inputs.new_zeros(len(inputs), self.parameters.width)
        cell = hidden
        for moment in inputs.unbind(dim=1):
            entry, forget, new, out = (moment + hidden @ weights["u"].T).chunk(4, dim=1)
            cell = forget.sigmoid() * cell + entry.sigmoid() * new.tanh()
            hidden = out.sigmoid() * cell.tanh()
        return hidden

    def draw(self, weights: Arrays, graph: Graph, sequences: str) -> str:
        def ordered(gates: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            entry, forget, new, out = np.split(gates, 4)
            return np.concatenate([entry, out, forget, new])  # as ONNX has them

        bias = np.concatenate([ordered(weights["b"]), np.zeros_like(weights["b"])])
        constants = [graph.constant(each[None]) for each in (ordered(weights["w"]), ordered(weights["u"]), bias)]
        moments = graph.node("Transpose", sequences, perm=[1, 0, 2])
        last = graph.node("LSTM", moments, *constants, outputs=2, hidden_size=self.parameters.width)
        return graph.node("Squeeze", last, graph.constant([0]))

    def hidden(self, weights: Mapping[str, FloatArray], sequence: FloatArray) -> FloatArray:
        width = self.parameters.width
        u = weights["u"]
        inputs = (sequence[:, None, :] * weights["w"]).sum(axis=2) + weights["b"]
        hidden, cell = np.zeros(width), np.zeros(width)
        for moment in inputs:
            gates = moment + u @ hidden  # one row is always the same product
            new = np.tanh(gates[2 * width : 3 * width])
            # sigmoid(x) = (1 + tanh(x / 2)) / 2, which does not overflow
            entry, forget, _, out = (0.5 + 0.5 * np.tanh(0.5 * gates)).reshape(4, width)
            cell = forget * cell + entry * new
            hidden = out * np.tanh(cell)
        return hidden
