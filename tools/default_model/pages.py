"""Manual pages as plain text, and the line of NAME that says what a page is for, taken out of it."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

NAME = re.compile(r"(?im)^NAME[ \t]*$")
SECTION = re.compile(r"(?m)^\S")
DASH = re.compile(r"^(?P<names>\S.*?)\s+(?:-{1,3}|[\u2010-\u2015\u2212])\s+(?P<line>\S.*)$")
# help2man's line where a program says nothing of itself, and the like.
EMPTY = re.compile(r"(?i)^(?:the )?(?:man(?:ual)? ?pages? (?:for|of)\b|program to do something|documentation (?:for|of)\b|a program$)")


def find_mandoc(archive) -> str:
    """mandoc on the path; else Debian's, unpacked into the archive's folder: nothing is installed."""
    if found := shutil.which("mandoc"):
        return found
    folder = archive.folder / "mandoc"
    program = folder / "usr" / "bin" / "mandoc"
    if not program.exists():
        folder.mkdir(exist_ok=True)
        archive.apt("download", "mandoc", cwd=folder)
        (deb,) = folder.glob("mandoc_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(deb), str(folder)], check=True)
    return str(program)


# In seconds; a page takes hundredths.
LONGEST_RENDERING = 20


def render(mandoc: str, source: bytes, width: int = 78) -> str:
    """A page as people read it, without bold and underlining; nothing where mandoc finds no end, as for some macros that call each other.
    It neither hyphenates nor stretches lines."""
    command = [mandoc, "-T", "utf8", "-O", f"width={width}", "-I", "os=Debian"]
    try:
        run = subprocess.run(command, input=source, capture_output=True, timeout=LONGEST_RENDERING, check=False)
    except subprocess.TimeoutExpired:
        return ""
    text = re.sub(r".\x08", "", run.stdout.decode("utf-8", "replace"))
    # The last line is a footer with the date; the spaces at the ends of lines say nothing.
    lines = [line.rstrip() for line in text.replace("\xa0", " ").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def is_stub(source: bytes) -> bool:
    """Whether a page is a link to another (.so)."""
    lines = [line for line in source.split(b"\n") if line.strip() and not re.match(rb"\s*[.']?\s*\\\"", line)]
    return len(lines) == 1 and lines[0].startswith((b".so ", b"'so "))


def split_name(text: str) -> tuple[str, str] | None:
    """The page without its section NAME, and what NAME says behind the dash; None where there is no such line."""
    head = NAME.search(text)
    if head is None:
        return None
    following = SECTION.search(text, head.end())
    end = following.start() if following else len(text)
    paragraph: list[str] = []
    for line in text[head.end() : end].strip("\n").split("\n"):
        line = line.strip()
        # A second name with its own dash begins another line of NAME.
        if not line or (paragraph and DASH.match(" ".join(paragraph)) and re.match(r"^[\w.,+() -]{1,40}\s(?:-{1,2}|[\u2010-\u2015\u2212])\s", line)):
            break
        paragraph.append(line)
    match = DASH.match(" ".join(paragraph))
    if match is None:
        return None
    line, header = clean_line(match["line"]), text[: head.start()].strip("\n")
    if key(line) and key(line) in key(header):
        # A title that says the line too.
        header = header.split()[0]
    return header + "\n\n" + text[end:].lstrip("\n"), line


def clean_line(line: str) -> str:
    """A line with single spaces, without a full stop at its end."""
    return re.sub(r"\s+", " ", line).strip().rstrip(".").strip()


def says_something(line: str) -> bool:
    """Whether a line is worth learning: two to thirty words of mostly Latin letters, and no "manual page for X"."""
    letters = sum(c.isascii() and c.isalpha() for c in line)
    return 2 <= len(line.split()) <= 30 and letters >= 0.6 * len(line) and not EMPTY.match(line)


def key(text: str) -> str:
    """What two texts have in common that differ in case, digits and spaces alone."""
    return re.sub(r"[\W\d_]+", " ", text.lower()).strip()


def first_paragraphs(text: str) -> str:
    """What DESCRIPTION says; what follows the page's first line where there is no DESCRIPTION."""
    head = re.search(r"(?im)^DESCRIPTION[ \t]*$", text)
    body = text[head.end() :] if head else text.partition("\n")[2]
    following = SECTION.search(body.lstrip("\n")) if head else None
    return (body.lstrip("\n")[: following.start()] if following else body).strip()


def first_sentence(text: str, words: int = 12) -> str:
    """The first sentence of DESCRIPTION, cut to so many words; of what follows the page's first line where there is no DESCRIPTION."""
    paragraph = re.split(r"\n\s*\n", first_paragraphs(text))[0]
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z])", re.sub(r"\s+", " ", paragraph).strip())[0]
    return " ".join(sentence.rstrip(".").split()[:words])


def title_words(text: str) -> str:
    """The words of a page's title: GIT-CONFIG(1) is "git config"."""
    match = re.match(r"\s*(\S+?)\s*\(\d\w*\)", text)
    return " ".join(re.split(r"[-_.:]+", match[1].lower())) if match else ""


def main() -> None:
    """pages.py FILE: a page of this machine as the model was trained to read it, on standard output; what NAME says on standard error."""
    from debian import Archive

    if len(sys.argv) != 2:
        sys.exit("usage: pages.py PAGE.1[.gz]")
    data = Path(sys.argv[1]).read_bytes()
    if sys.argv[1].endswith(".gz"):
        import gzip

        data = gzip.decompress(data)
    archive = Archive(Path(os.environ.get("DEFAULT_MODEL_WORK", "build/default-model")) / "archive")
    parts = split_name(render(find_mandoc(archive), data))
    if parts is None:
        sys.exit(f"{sys.argv[1]}: expected a section NAME with a dash, found none")
    print(parts[0])
    print(parts[1], file=sys.stderr)


if __name__ == "__main__":
    main()
