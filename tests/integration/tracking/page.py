"""MLflow's own HTTP interface, as its page uses it."""

import json
import urllib.parse
import urllib.request
from typing import Any


def ask(uri: str, path: str, **query: str) -> Any:
    """GET with a query."""
    url = f"{uri}/api/2.0/mlflow/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  our own server
        return json.load(answer)


def search(uri: str, experiment: str) -> list[Any]:
    """All runs of an experiment."""
    number = ask(uri, "experiments/get-by-name", experiment_name=experiment)["experiment"]["experiment_id"]
    body = json.dumps({"experiment_ids": [number], "max_results": 1000}).encode()
    request = urllib.request.Request(  # noqa: S310
        f"{uri}/api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return list(json.load(answer).get("runs", []))


def history(uri: str, run: str, key: str) -> list[tuple[int, float]]:
    """Step and value of everything that arrived for a metric."""
    found = ask(uri, "metrics/get-history", run_id=run, metric_key=key, max_results="25000").get("metrics", [])
    return [(int(one.get("step", 0)), float(one["value"])) for one in found]


def artifact(uri: str, run: str, path: str) -> bytes:
    """A file of a run."""
    url = f"{uri}/get-artifact?{urllib.parse.urlencode({'path': path, 'run_uuid': run})}"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  our own server
        return bytes(answer.read())
