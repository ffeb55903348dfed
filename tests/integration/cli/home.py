"""A folder of a user's own, in which the commands are run as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from tests.architecture.compose import ROOT, clean_environment

VERSIONS = {"ridge": "1.0.0", "trees": "1.1.0"}


def trial(name: str, champion: str, challenger: str, clusters: int) -> dict[str, Any]:
    """An experiment with epochs of a second; nothing is promoted or stopped before so many clusters."""
    weights = {champion: 60, challenger: 40}
    return {
        "name": name, "model": "btc-usd-1h", "champion": champion, "epoch_s": 1, "grace_s": 1,
        "variants": [{"name": each, "version": VERSIONS[each], "weight": weights[each]} for each in weights],
        "rule": {"minimum_sample_size": clusters, "max_expected_loss": 0.01, "minimum_detectable_effect": 20.0},
    }  # fmt: skip


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Home:
    """The folder, with a configuration whose epochs take a second."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.var = folder, folder / "var"
        config = folder / "config"
        config.mkdir(parents=True)
        declared = yaml.safe_load((ROOT / "config" / "models.yaml").read_text())
        declared["models"]["btc-usd-1h"]["learn"] = {"after": 150}  # fewer than a promotion waits for
        (config / "models.yaml").write_text(yaml.safe_dump(declared))
        (config / "experiments.yaml").write_text(
            yaml.safe_dump({"experiments": [trial("first", "ridge", "trees", 200)]})
        )
        (folder / "second.yaml").write_text(yaml.safe_dump({"experiments": [trial("second", "trees", "ridge", 100)]}))
        (folder / "third.yaml").write_text(yaml.safe_dump({"experiments": [trial("third", "trees", "ridge", 10**6)]}))
        kafka = {"KAFKA_HOME": home} if (home := os.environ.get("KAFKA_HOME")) else {}
        self.environment = {**clean_environment(), **kafka, "PYTHONPATH": str(ROOT), "EVENHAND_USER": "tester"}

    def run(self, *arguments: str, stdin: str = "", timeout_s: float = 120.0) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "evenhand.cli", *arguments], cwd=self.folder, env=self.environment, input=stdin,
            capture_output=True, text=True, check=False, timeout=timeout_s,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, stdin: str = "", timeout_s: float = 120.0) -> Done:
        """Run a command that must succeed."""
        done = self.run(*arguments, stdin=stdin, timeout_s=timeout_s)
        assert done.code == 0, f"evenhand {' '.join(arguments)} ended with status {done.code}:\n{done.out}\n{done.err}"
        return done

    def processes(self) -> list[psutil.Process]:
        """Whatever runs in this folder, or says that its home is here."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and (
                Path(process.cwd()).is_relative_to(self.folder)
                or str(self.folder) in " ".join([*process.cmdline(), *process.environ().values()])
            )
        except psutil.Error:
            return False
