"""Walks of all models through all folds: in parallel, and kept fold by fold, so that a killed run goes on."""

import hashlib
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from evenhand.training.examples import Examples, FloatArray
from evenhand.training.walk_forward import Fold, Walk, WalkForward, forecast_fold, join
from models.base import Model
from models.card import code_digest, libraries
from models.signature import Signature
from trainer.progress import Progress
from trainer.tuning import tuned_learner

_FORMAT = 2  # of the files: values, or values and spread
_WORTH_PROCESSES = 5000  # rows; fewer are forecast before a process has started


class Walker(NamedTuple):
    """A model that walks: its kind, its usual parameters, and how many are tried in each fold."""

    kind: str
    parameters: Mapping[str, Any]
    trials: int = 1


class Plan(NamedTuple):
    """What all of them walk through. `data` is a digest of where the examples come from."""

    examples: Examples
    folds: WalkForward
    signature: Signature
    seed: int
    data: str


class _Job(NamedTuple):
    name: str
    walker: Walker
    fold: Fold
    file: Path


def walk_all(
    plan: Plan, walkers: Mapping[str, Walker], kept: Path, progress: Progress, workers: int | None = None
) -> dict[str, Walk]:
    """Forecast every fold by every model, on so many processes (by default, one a core), and join them.

    A fold that lies in `kept` is taken from there; whatever decides its numbers is in the name of its file.
    """
    folds = list(plan.folds.folds(plan.examples))
    jobs = [
        _Job(name, walker, fold, kept / f"{walker.kind}-{_digest(plan, walker)}-{fold.number}.npy")
        for name, walker in walkers.items()
        for fold in folds
    ]
    open_jobs = [job for job in jobs if not job.file.exists()]
    done = len(jobs) - len(open_jobs)
    for job in jobs:
        if job.file.exists():
            progress.scored(job.name, job.fold.number, _errors(plan, job))
    if done:
        progress.tell(f"{done} folds were done before")
    many = workers or (_cores() if len(plan.examples) >= _WORTH_PROCESSES else 1)
    for job in _forecast(plan, open_jobs, min(many, len(open_jobs))):
        done += 1
        progress.fold(job.name, done, len(jobs))
        progress.scored(job.name, job.fold.number, _errors(plan, job))
    parts: dict[str, list[tuple[Fold, FloatArray]]] = {name: [] for name in walkers}
    for job in jobs:
        parts[job.name].append((job.fold, np.load(job.file, allow_pickle=False)))
    return {name: _joined(found, plan) for name, found in parts.items()}


def _joined(parts: list[tuple[Fold, FloatArray]], plan: Plan) -> Walk:
    """Join what lies in the files: values, or values and spread."""
    walk = join([(fold, found[0]) for fold, found in parts], plan.examples)
    if any(len(found) == 1 for _, found in parts):
        return walk
    return msgspec.structs.replace(walk, spread=join([(fold, found[1]) for fold, found in parts], plan.examples).values)


def _errors(plan: Plan, job: _Job) -> dict[str, float]:
    """Errors of a fold's first step."""
    errors = np.load(job.file, allow_pickle=False)[0, :, 0] - plan.examples.targets[job.fold.test, 0]
    known = errors[np.isfinite(errors)]
    if not len(known):
        return {}
    return {"fold_rmse": float(np.sqrt((known**2).mean())), "fold_mae": float(np.abs(known).mean())}


def _digest(plan: Plan, walker: Walker) -> str:
    what = [plan.data, code_digest(), libraries(), msgspec.to_builtins(plan.signature), msgspec.to_builtins(plan.folds)]
    what += [walker.kind, dict(walker.parameters), walker.trials, plan.seed, _FORMAT]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


def _forecast(plan: Plan, jobs: Sequence[_Job], workers: int) -> Iterator[_Job]:
    if workers <= 1:
        for job in jobs:
            _run(plan, job)
            yield job
        return
    # Not forked: what libraries keep in threads would be torn.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(plan, os.getpid())) as pool:
        try:
            futures = {pool.submit(_run_here, job): job for job in jobs}
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run(plan: Plan, job: _Job) -> None:
    made: list[Model] = []
    learner = tuned_learner(job.walker.kind, plan.signature, job.walker.parameters, job.walker.trials, made.append)
    found = [forecast_fold(plan.examples, job.fold, learner, plan.seed)]
    if type(made[-1]).volatility is not Model.volatility:
        spread = made[-1].volatility(
            np.ascontiguousarray(plan.examples.rows[job.fold.test]), plan.signature.max_horizon
        )
        found += [] if spread is None else [spread]
    keep(job.file, np.stack(found))


_held: list[Plan] = []


def _start(plan: Plan, parent: int) -> None:
    """Take the table once for all jobs of this process; it ends when its parent does, however that ended."""
    _held[:] = [plan]
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _run_here(job: _Job) -> None:
    _run(_held[0], job)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep(file: Path, values: FloatArray) -> None:
    """Write whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}")
    with temporary.open("wb") as stream:
        np.save(stream, values, allow_pickle=False)
    temporary.replace(file)
