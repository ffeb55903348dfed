"""What neural nets share: rows as sequences, training by torch with early stopping, and answers by numpy.

Torch is needed to learn, not to answer: a net this small answers a row faster in numpy, and row by row, because a
matrix product rounds a row in another way when the batch has another size. Weights are saved as safetensors. Who asks
for `onnx` is answered by ONNX Runtime, if that passes a check, and saves the graph beside them.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from evenhand.errors import EvenhandError
from models.base import FloatArray, Model
from models.onnx_net import CHECKED, Answering, Graph, agrees, answering, drawn

if TYPE_CHECKING:
    import torch

Arrays = dict[str, npt.NDArray[np.float32]]
SCALING = ("row_mean", "row_scale", "target_mean", "target_scale")
TAIL_FRACTION = 0.15
ONNX = "net.onnx"


class NetParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first `length` features are a sequence, the newest first, such as lags; the rest stands beside each of them.

    A `length` of 0 takes all features as the sequence. Learning ends when the purged tail of the training has not got
    better for `patience` epochs. `onnx`: ONNX Runtime answers, if it says what numpy says.
    """

    length: Annotated[int, Meta(ge=0, le=1000)] = 0
    width: Annotated[int, Meta(ge=2, le=256)] = 16
    learning_rate: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.005
    weight_decay: Annotated[float, Meta(ge=0.0)] = 0.001
    batch_rows: Annotated[int, Meta(ge=8)] = 256
    epochs: Annotated[int, Meta(ge=1, le=1000)] = 40
    patience: Annotated[int, Meta(ge=1)] = 6
    onnx: bool = False


class Net(Model):
    """A net over the sequence in a row; kinds say how it starts and how it answers, in torch and in numpy."""

    Parameters: ClassVar[type[msgspec.Struct]] = NetParameters
    _onnx: tuple[bytes, Answering] | None = None

    @abstractmethod
    def initial(self, random: np.random.Generator, length: int, channels: int) -> Arrays:
        """Weights to start from."""

    @abstractmethod
    def graph(self, weights: "dict[str, torch.Tensor]", sequences: "torch.Tensor") -> "torch.Tensor":
        """Answer sequences (n, length, channels) with hidden values (n, width), differentiable."""

    @abstractmethod
    def hidden(self, weights: Mapping[str, FloatArray], sequence: FloatArray) -> FloatArray:
        """Answer one sequence (length, channels) with the same values (width,)."""

    @abstractmethod
    def draw(self, weights: Arrays, graph: Graph, sequences: str) -> str:
        """Draw the same for sequences (n, length, channels); the name of what is hidden (n, width)."""

    @property
    def _length(self) -> int:
        return min(self.parameters.length, len(self.features)) or len(self.features)

    def _sequences(self, rows: FloatArray) -> FloatArray:
        """Rows as (n, length, channels), the oldest first."""
        length = self._length
        beside = np.repeat(rows[:, None, length:], length, axis=1)
        return np.concatenate([rows[:, length - 1 :: -1, None] if length else rows[:, :, None], beside], axis=2)

    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        known = np.isfinite(targets)
        scale = rows.std(axis=0)
        fixed = {
            "row_mean": rows.mean(axis=0),
            "row_scale": np.where(scale > 0, scale, 1.0),
            "target_mean": np.array([column[ok].mean() for column, ok in zip(targets.T, known.T, strict=True)]),
            "target_scale": np.array([column[ok].std() or 1.0 for column, ok in zip(targets.T, known.T, strict=True)]),
        }
        z = self._sequences((rows - fixed["row_mean"]) / fixed["row_scale"]).astype(np.float32)
        y = np.where(known, (targets - fixed["target_mean"]) / fixed["target_scale"], 0.0).astype(np.float32)
        random = np.random.default_rng(seed)
        start = self.initial(random, z.shape[1], z.shape[2])
        # The answer starts at the mean of the targets: a net that learns nothing says nothing.
        start |= {
            "out_weight": np.zeros((targets.shape[1], self.parameters.width), dtype=np.float32),
            "out_bias": np.zeros(targets.shape[1], dtype=np.float32),
        }
        learned = self._descend(start, z, y, known, random)
        self._take({**learned, **{name: value.astype(np.float32) for name, value in fixed.items()}})
        if self.parameters.onnx:
            self._draw(z[-CHECKED:])

    def _descend(
        self,
        start: Arrays,
        z: npt.NDArray[np.float32],
        y: npt.NDArray[np.float32],
        known: npt.NDArray[np.bool_],
        random: np.random.Generator,
    ) -> Arrays:
        """Adam on the mean squared error of known targets; the weights that were best on the tail."""
        try:
            import torch  # noqa: PLC0415  only learning needs it
        except ImportError as error:
            raise EvenhandError("neural nets need torch to learn: pip install 'evenhand[nets]'") from error
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # the order of summation, and so the bytes, must not hang on the machine's cores
        try:
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            x, t, m = (torch.from_numpy(np.ascontiguousarray(each)).to(device) for each in (z, y, known))
            weights = {name: torch.from_numpy(value).to(device).requires_grad_() for name, value in start.items()}
            cut = int(len(x) * (1 - TAIL_FRACTION))
            seen = max(1, cut - y.shape[1])  # targets of the last rows before the tail reach into it
            settings = self.parameters
            adam = torch.optim.AdamW(weights.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)

            def loss(places: "torch.Tensor | slice") -> "torch.Tensor":
                answers = self.graph(weights, x[places]) @ weights["out_weight"].T + weights["out_bias"]
                squares = (answers - t[places]) ** 2 * m[places]
                return squares.sum() / m[places].sum().clamp(min=1)

            best, waited = float("inf"), 0
            self.curve = []
            with torch.no_grad():
                self.learned_round(float(loss(slice(0, seen))), float(loss(slice(cut, None))))
            kept = {name: value.detach().clone() for name, value in weights.items()}
            for _ in range(settings.epochs):
                order = torch.from_numpy(random.permutation(seen)).to(device)
                learned = torch.zeros((), device=device)
                for places in torch.split(order, settings.batch_rows):
                    adam.zero_grad()
                    batch = loss(places)
                    batch.backward()  # type: ignore[no-untyped-call]
                    learned += batch.detach() * len(places) / seen
                    torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
                    adam.step()
                with torch.no_grad():
                    tail = float(loss(slice(cut, None)))
                self.learned_round(float(learned), tail)
                if tail < best * (1 - 1e-4):
                    best, waited = tail, 0
                    kept = {name: value.detach().clone() for name, value in weights.items()}
                else:
                    waited += 1
                    if waited == settings.patience:
                        break
            return {name: value.cpu().numpy() for name, value in kept.items()}
        finally:
            torch.set_num_threads(before)

    def _draw(self, sequences: npt.NDArray[np.float32]) -> None:
        """Answer by ONNX Runtime from now on, if it answers these sequences as numpy does."""
        w = self._weights
        drawn_net = drawn(lambda graph, x: self.draw(w, graph, x), w, *sequences.shape[1:])
        answer = answering(drawn_net)
        said = [self._answer(sequence) for sequence in sequences.astype(np.float64)]
        if agrees(answer, sequences, np.array(said)):
            self._onnx = (drawn_net, answer)

    @property
    def by_onnx(self) -> bool:
        """Whether ONNX Runtime answers."""
        return self._onnx is not None

    def _take(self, weights: Arrays) -> None:
        self._weights = weights
        self._onnx = None
        self._plain = {name: value.astype(np.float64) for name, value in weights.items()}

    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:
        w = self._plain
        if self._onnx is not None and len(rows):
            sequences = self._sequences((rows - w["row_mean"]) / w["row_scale"]).astype(np.float32)
            at_once: FloatArray = w["target_mean"] + w["target_scale"] * self._onnx[1](sequences)
            return np.ascontiguousarray(at_once[:, :horizon])
        values = np.empty((len(rows), horizon))
        for place in range(len(rows)):
            row = (rows[place] - w["row_mean"]) / w["row_scale"]
            answer = self._answer(self._sequences(row[None])[0])
            values[place] = (w["target_mean"] + w["target_scale"] * answer)[:horizon]
        return values

    def _answer(self, sequence: FloatArray) -> FloatArray:
        w = self._plain
        answer: FloatArray = (w["out_weight"] * self.hidden(w, sequence)).sum(axis=1) + w["out_bias"]
        return answer

    def weights(self) -> dict[str, bytes]:
        from safetensors.numpy import save  # noqa: PLC0415

        return {"net.safetensors": save(self._weights), **({ONNX: self._onnx[0]} if self._onnx else {})}

    def restore(self, files: Mapping[str, bytes]) -> None:
        from safetensors.numpy import load  # noqa: PLC0415

        self._take(load(files["net.safetensors"]))
        if ONNX in files:
            self._onnx = (files[ONNX], answering(files[ONNX]))


def uniform(random: np.random.Generator, *shape: int) -> npt.NDArray[np.float32]:
    """Weights between -+ 1 / sqrt(inputs), the inputs being the last axis."""
    reach = 1.0 / np.sqrt(shape[-1])
    return random.uniform(-reach, reach, size=shape).astype(np.float32)
