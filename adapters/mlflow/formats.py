"""Models as files that run no code when they are loaded: never pickle."""

from typing import Any

import msgspec

from evenhand.errors import InvalidConfiguration

KNOWN = (
    "evenhand models (their own files), lightgbm.Booster (text), torch.nn.Module (safetensors), scikit-learn "
    "estimators (skops), dictionaries of numpy arrays (safetensors), and ONNX models"
)


def model_files(model: Any, signature: Any = None) -> dict[str, bytes]:
    """Return a model's files by name. Raises InvalidConfiguration that names the formats there are."""
    files = _files(model)
    described = describe_signature(signature)
    if described is not None:
        files["signature.json"] = msgspec.json.format(msgspec.json.encode(described), indent=1)
    return files


def _files(model: Any) -> dict[str, bytes]:
    import numpy as np  # noqa: PLC0415

    from models.base import Model  # noqa: PLC0415

    origins = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if isinstance(model, Model):
        return model.save()
    if "lightgbm" in origins and hasattr(model, "model_to_string"):
        return {"model.txt": model.model_to_string().encode()}
    if "torch" in origins and hasattr(model, "state_dict"):
        from safetensors.torch import save  # noqa: PLC0415

        # Copies, for safetensors refuses what two names share, such as tied weights.
        tensors = {name: one.detach().clone().contiguous() for name, one in model.state_dict().items()}
        return {"model.safetensors": save(tensors)}
    if "sklearn" in origins:
        import skops.io  # noqa: PLC0415  seconds

        return {"model.skops": bytes(skops.io.dumps(model))}
    if isinstance(model, dict) and model and all(isinstance(one, np.ndarray) for one in model.values()):
        from safetensors.numpy import save as save_arrays  # noqa: PLC0415

        return {"model.safetensors": save_arrays(model)}
    if hasattr(model, "SerializeToString"):
        return {"model.onnx": model.SerializeToString()}
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise InvalidConfiguration(f"a {kind} has no format without pickle here: there are {KNOWN}")


def describe_signature(signature: Any) -> Any:
    """Return a signature as plain values: one of ours, one of MLflow's, or plain values; None for none."""
    if signature is None:
        return None
    if hasattr(signature, "to_dict"):
        return signature.to_dict()
    return msgspec.to_builtins(signature)
