"""The code blocks and links of the documentation."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "schemas").glob("*.md"))
    if path.is_file()
)


class Block(NamedTuple):
    """A fenced block: its language, its text and where it begins."""

    document: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks(document: Path) -> Iterator[Block]:
    """Fenced blocks, in order."""
    for token in MarkdownIt().parse(document.read_text()):
        if token.type == "fence":
            line = (token.map or [0])[0] + 1
            yield Block(str(document.relative_to(ROOT)), line, token.info.strip(), token.content)


def links(document: Path) -> Iterator[str]:
    """Where its links lead."""
    for token in MarkdownIt().enable("table").parse(document.read_text()):
        yield from _links(token)


def headings(document: Path) -> set[str]:
    """The anchors of its headings, as Git hosts make them."""
    tokens = MarkdownIt().parse(document.read_text())
    texts = (tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open")
    return {"".join(c for c in text.lower() if c.isalnum() or c in " -_").replace(" ", "-") for text in texts}


def _links(token: Token) -> Iterator[str]:
    for child in token.children or []:
        if child.type == "link_open":
            yield str(child.attrs["href"])
        yield from _links(child)
