"""Transformer: attention over the sequence (Vaswani et al. 2017), one layer of two heads, normalised before.

x = E s + p; x += O attention(norm(x)); x += F2 relu(F1 norm(x)); the answer is made from the newest place of norm(x).
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from models.base import FloatArray
from models.nets import Arrays, Net, uniform
from models.onnx_net import Graph

if TYPE_CHECKING:
    import torch

HEADS = 2
_EPSILON = 1e-5


class Transformer(Net):
    """Looks at all places of the sequence at once, from the newest."""

    kind: ClassVar[str] = "transformer"

    def initial(self, random: np.random.Generator, length: int, channels: int) -> Arrays:
        width = self.parameters.width - self.parameters.width % HEADS
        inner = 2 * width
        return {
            "embed": uniform(random, width, channels),
            "place": (0.1 * random.normal(size=(length, width))).astype(np.float32),
            "attend": uniform(random, 3 * width, width),
            "merge": uniform(random, width, width),
            "first": uniform(random, inner, width),
            "first_bias": np.zeros(inner, dtype=np.float32),
            "second": uniform(random, self.parameters.width, inner),
            "lift": uniform(random, self.parameters.width, width),
        }

    def graph(self, weights: "dict[str, torch.Tensor]", sequences: "torch.Tensor") -> "torch.Tensor":
        x = sequences @ weights["embed"].T + weights["place"]
        size = x.shape[2] // HEADS
        q, k, v = (_normal(x) @ weights["attend"].T).chunk(3, dim=2)
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            scores = q[:, -1:, part] @ k[:, :, part].transpose(1, 2) / math.sqrt(size)
            heads.append((scores.softmax(dim=2) @ v[:, :, part])[:, 0])
        import torch  # noqa: PLC0415

        newest = x[:, -1] + torch.cat(heads, dim=1) @ weights["merge"].T
        inner = (_normal(newest) @ weights["first"].T + weights["first_bias"]).relu()
        return newest @ weights["lift"].T + inner @ weights["second"].T

    def draw(self, weights: Arrays, graph: Graph, sequences: str) -> str:
        def times(x: str, name: str) -> str:
            return graph.node("MatMul", x, graph.constant(weights[name].T))

        def cut(x: str, axis: int, first: int, end: int) -> str:
            return graph.node("Slice", x, *(graph.constant([each]) for each in (first, end, axis)))

        length, width = weights["place"].shape
        size = width // HEADS
        x = graph.node("Add", times(sequences, "embed"), graph.constant(weights["place"]))
        attended, heads = times(_drawn_normal(graph, x), "attend"), []
        for first in range(0, width, size):
            q, k, v = (cut(attended, 2, start, start + size) for start in range(first, 3 * width, width))
            newest_q = cut(q, 1, length - 1, length)
            scores = graph.node("MatMul", newest_q, graph.node("Transpose", k, perm=[0, 2, 1]))
            shares = graph.node("Softmax", graph.node("Div", scores, graph.constant(math.sqrt(size))), axis=-1)
            heads.append(graph.node("MatMul", shares, v))
        both = graph.node("Squeeze", graph.node("Concat", *heads, axis=2), graph.constant([1]))
        last = graph.node("Squeeze", cut(x, 1, length - 1, length), graph.constant([1]))
        newest = graph.node("Add", last, times(both, "merge"))
        within = times(_drawn_normal(graph, newest), "first")
        inner = graph.node("Relu", graph.node("Add", within, graph.constant(weights["first_bias"])))
        return graph.node("Add", times(newest, "lift"), times(inner, "second"))

    def hidden(self, weights: Mapping[str, FloatArray], sequence: FloatArray) -> FloatArray:
        x = (sequence[:, None, :] * weights["embed"]).sum(axis=2) + weights["place"]
        size = x.shape[1] // HEADS
        q, k, v = np.split(_plain_normal(x) @ weights["attend"].T, 3, axis=1)
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            scores = k[:, part] @ q[-1, part] / math.sqrt(size)
            shares = np.exp(scores - scores.max())
            heads.append((shares / shares.sum()) @ v[:, part])
        newest = x[-1] + weights["merge"] @ np.concatenate(heads)
        inner = np.maximum(0.0, weights["first"] @ _plain_normal(newest) + weights["first_bias"])
        answer: FloatArray = weights["lift"] @ newest + weights["second"] @ inner
        return answer


def _drawn_normal(graph: Graph, x: str) -> str:
    centred = graph.node("Sub", x, graph.node("ReduceMean", x, graph.constant([-1])))
    square = graph.node("ReduceMean", graph.node("Mul", centred, centred), graph.constant([-1]))
    return graph.node("Div", centred, graph.node("Sqrt", graph.node("Add", square, graph.constant(_EPSILON))))


def _normal(x: "torch.Tensor") -> "torch.Tensor":
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.pow(2).mean(dim=-1, keepdim=True) + _EPSILON).sqrt()


def _plain_normal(x: FloatArray) -> FloatArray:
    centred = x - x.mean(axis=-1, keepdims=True)
    normal: FloatArray = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _EPSILON)
    return normal
