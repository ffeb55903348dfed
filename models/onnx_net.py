"""Nets in ONNX, answered by ONNX Runtime on one thread: a batch takes a twentieth of what numpy takes row by row.

A graph is taken only if it answers as numpy does, and if what a row gets does not depend, to the byte, on its batch:
ONNX Runtime multiplies a single row by other means than many, which rounds otherwise for some widths.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from evenhand.errors import EvenhandError

Floats = npt.NDArray[np.float32]
Answering = Callable[[Floats], Floats]
TOLERANCE = 1e-5  # of standardised answers
CHECKED = 256  # sequences
SIZES = (1, 2, 3, 5, 8, 17, 64)  # of batches
_OPSET, _IR = 18, 9


class Graph:
    """A graph under construction; values are known by their names."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: object) -> str:
        """Add a constant; floats become single precision."""
        from onnx import numpy_helper  # noqa: PLC0415

        array = np.ascontiguousarray(value)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64)
        self._constants.append(numpy_helper.from_array(array, f"c{len(self._constants)}"))
        return f"c{len(self._constants) - 1}"

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; the name of its last output."""
        from onnx import helper  # noqa: PLC0415

        names = ["" for _ in range(outputs - 1)] + [f"v{len(self._nodes)}"]
        self._nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[-1]

    def finished(self, answer: str, length: int, channels: int, steps: int) -> bytes:
        """Write it: sequences `x` (n, length, channels) in, the value named `answer` (n, steps) out."""
        from onnx import TensorProto, helper  # noqa: PLC0415

        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, length, channels])
        said = helper.make_tensor_value_info(answer, TensorProto.FLOAT, [None, steps])
        graph = helper.make_graph(self._nodes, "net", [given], [said], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        written: bytes = model.SerializeToString(deterministic=True)
        return written


def drawn(draw: Callable[[Graph, str], str], weights: Mapping[str, Floats], length: int, channels: int) -> bytes:
    """Return a net as ONNX: what `draw` makes of sequences, and the answer that is made of that."""
    try:
        import onnx  # noqa: F401, PLC0415
    except ImportError as error:
        raise EvenhandError("answers by ONNX need onnx and onnxruntime: pip install 'evenhand[onnx]'") from error
    graph = Graph()
    out = (graph.constant(weights["out_weight"]), graph.constant(weights["out_bias"]))
    answer = graph.node("Gemm", draw(graph, "x"), *out, transB=1)
    return graph.finished(answer, length, channels, len(weights["out_bias"]))


def answering(content: bytes) -> Answering:
    """Load a graph. It answers any number of sequences, on this thread."""
    import onnxruntime  # noqa: PLC0415  for who answers by it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def answer(sequences: Floats) -> Floats:
        said: Floats = session.run(None, {"x": sequences})[0]
        return said

    return answer


def agrees(answer: Answering, sequences: Floats, expected: npt.NDArray[np.float64]) -> bool:
    """Whether it answers as expected, and whatever the size of the batch the same."""
    whole = answer(sequences)
    if not np.abs(whole - expected).max(initial=0.0) <= TOLERANCE:
        return False
    return all(
        np.array_equal(np.concatenate([answer(sequences[at : at + size]) for at in range(0, len(whole), size)]), whole)
        for size in SIZES
    )
