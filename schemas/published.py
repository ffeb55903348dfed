"""The contract as a version in git has it, and what the working tree breaks of it."""

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any

from schemas import HOME
from schemas.compatibility import compatible


class UnknownVersion(ValueError):
    """Git does not know what was to be compared with."""


def baseline() -> str:
    """What users rely on: the last release; before the first one, what the main branch has; else the last commit."""
    release = _git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*").decode().strip()
    shared = _git("merge-base", "HEAD", "origin/main").decode().strip()
    head = _git("rev-parse", "HEAD").decode().strip()
    return release or (shared if shared != head else "") or head


def published(version: str) -> dict[str, bytes]:
    """The files under `schemas/` of a version, by their path in it; empty if it has none."""
    if not _git("rev-parse", "--verify", "--quiet", f"{version}^{{commit}}"):
        raise UnknownVersion(f"git knows no version {version!r}: give a branch, a tag or a commit")
    archive = _git("archive", "--format=tar", version, "schemas")
    if not archive:
        return {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = [(member.name, tar.extractfile(member)) for member in tar if member.isfile()]
        return {name.removeprefix("schemas/"): file.read() for name, file in members if file is not None}


def breaks(version: str) -> Iterator[str]:
    """What users of a version would notice, one line each."""
    for path, content in sorted(published(version).items()):
        here = HOME / path
        now = here.read_bytes() if here.exists() else None
        if path.startswith("examples/"):
            if now is None or json.loads(now) != json.loads(content):
                yield f"{path} was {'deleted' if now is None else 'changed'}: examples stay, add another one"
        elif path.endswith(".schema.json") and now is None:
            yield f"{path} is gone"
        elif path.endswith(".schema.json") and now is not None and now != content:
            yield from (f"{path}: {reason}" for reason in compatible(json.loads(content), json.loads(now)))
        elif path == "asyncapi.json" and now is not None and now != content:
            yield from _lost_channels(json.loads(content)["channels"], json.loads(now)["channels"])


def _lost_channels(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name, channel in old.items():
        if name not in new:
            yield f"asyncapi.json: topic {name} is gone"
            continue
        yield from (
            f"asyncapi.json: topic {name} no longer carries {message}"
            for message in channel["messages"]
            if message not in new[name]["messages"]
        )
        before, now = (one[name]["bindings"]["kafka"]["partitions"] for one in (old, new))
        if before != now:
            yield f"asyncapi.json: topic {name} had {before} partitions and has {now}, which moves its keys"


def _git(*arguments: str) -> bytes:
    """Output of a git command; nothing where it failed, or where there is no git."""
    try:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=HOME.parent, capture_output=True, check=False).stdout
    except FileNotFoundError:
        return b""
