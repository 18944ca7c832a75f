"""Debian packages by apt: lists of this machine's own archive in a folder apart, contents, downloads, and the manual pages in a package."""
from __future__ import annotations

import collections
import concurrent.futures
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

PAGE = re.compile(r"^(?:\./)?usr/share/man/man([1-8])/([^/]+\.[1-8][^/]*?)(\.gz)?$")
# Sections of programs, files and daemons. The others are learnt from alone: the test has pages of these.
MAIN_SECTIONS = "158"


def section_of(path: str) -> str:
    """The section's digit of a manual page's path in its package."""
    match = PAGE.match(path)
    return match[1] if match else ""


CONTENTS = "Acquire::IndexTargets::deb::Contents-deb::"


@dataclass
class Package:
    """A binary package of the list."""

    name: str
    source: str
    version: str
    architecture: str
    section: str
    size: int
    synopsis: str
    description: str
    sha256: str
    pages: list[str] = field(default_factory=list)


@dataclass
class RawPage:
    """A manual page as it is in its package, unpacked."""

    path: str
    text: bytes


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """The records of a file of apt's, such as Packages: keys with their values, continued lines without their space in front."""
    for block in re.split(r"\n\n+", text):
        record: dict[str, str] = {}
        key = ""
        for line in block.split("\n"):
            if line[:1] == " " and key:
                record[key] += "\n" + line[1:]
            elif ":" in line:
                key, _, value = line.partition(":")
                record[key] = value.strip()
        if record:
            yield record


def contents(lines: Iterable[str]) -> dict[str, list[str]]:
    """The manual pages of each package, from the lines of a Contents index (a path, then section/package, a comma between several)."""
    pages = collections.defaultdict(list)
    for line in lines:
        path, _, owners = line.rstrip("\n").rpartition(" ")
        path = path.rstrip()
        if PAGE.match(path):
            for owner in owners.split(","):
                pages[owner.rpartition("/")[2]].append(path)
    return dict(pages)


def write_whole(path: Path, text: str) -> None:
    """Writes a file under a temporary name, and renames it."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8")
    os.replace(part, path)


class Archive:
    """The archive that this machine's apt is set up with, read into a folder of its own: no root, and the machine's lists stay as they are."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.lists = folder / "lists"
        self.raw = folder / "raw"
        release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
        self.codename = release.get("VERSION_CODENAME", "").strip('"')
        if release.get("ID") != "debian" or not self.codename:
            sys.exit("expected a release of Debian in /etc/os-release, whose archive has the manual pages")

    def apt(self, *arguments: str, cwd: Path | None = None) -> None:
        options = {
            "Dir::State::lists": self.lists, "Dir::Cache": self.folder / "cache", "Acquire::Languages": "en", "APT::Sandbox::User": "root",
            "Acquire::Retries": 3, CONTENTS + "MetaKey": "$(COMPONENT)/Contents-$(ARCHITECTURE)",
            CONTENTS + "ShortDescription": "Contents-$(ARCHITECTURE)", CONTENTS + "Description": "$(RELEASE)/$(COMPONENT) Contents",
        }  # fmt: skip
        command = ["apt-get", "-qq", *arguments, *(part for key, value in options.items() for part in ("-o", f"{key}={value}"))]
        subprocess.run(command, check=True, cwd=cwd, stdin=subprocess.DEVNULL)

    def update(self) -> None:
        """Reads the lists, once."""
        done = self.folder / "lists.done"
        if done.exists():
            return
        (self.lists / "partial").mkdir(parents=True, exist_ok=True)
        (self.folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        self.apt("update")
        done.touch()

    def _read(self, pattern: str, only: str = "") -> Iterator[Iterator[str]]:
        files = sorted(self.lists.glob(f"*_dists_{self.codename}_main_{pattern}"))
        if not files:
            sys.exit(f"{self.lists}: expected a list {pattern} of {self.codename}, found none")
        for file in files:
            with subprocess.Popen(["/usr/lib/apt/apt-helper", "cat-file", str(file)], stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                # grep: Contents holds ten million lines.
                with subprocess.Popen(["grep", "-a", f"^{only}"], stdin=process.stdout, stdout=subprocess.PIPE, env={"LC_ALL": "C"}) as lines:
                    assert lines.stdout is not None
                    yield io.TextIOWrapper(lines.stdout, "utf-8", errors="replace")

    def packages(self) -> list[Package]:
        """Every package of the release, by name, with its description and the paths of its manual pages."""
        cached = self.folder / "packages.json"
        if cached.exists():
            return [Package(**record) for record in json.loads(cached.read_text("utf-8"))]
        texts = {}
        for file in self._read("i18n_Translation-en*"):
            for record in stanzas("".join(file)):
                texts[record["Description-md5"]] = record["Description-en"]
        pages = collections.defaultdict(list)
        for file in self._read("Contents-*", "usr/share/man/man[1-8]/"):
            for name, paths in contents(file).items():
                pages[name] += paths
        found = {}
        for file in self._read("binary-*_Packages*"):
            for record in stanzas("".join(file)):
                synopsis, _, description = texts.get(record.get("Description-md5", ""), record["Description"]).partition("\n")
                name = record["Package"]
                found[name] = Package(
                    name, record.get("Source", name).split()[0], record["Version"], record["Architecture"], record.get("Section", ""),
                    int(record["Size"]), synopsis, re.sub(r"(?m)^\.$", "", description), record["SHA256"], sorted(set(pages.get(name, []))),
                )  # fmt: skip
        write_whole(cached, json.dumps([asdict(found[name]) for name in sorted(found)]))
        return [found[name] for name in sorted(found)]

    def fetch(self, chosen: list[Package], batch: int = 100, at_once: int = 4) -> None:
        """Downloads packages, some batches at once, and keeps their manual pages and the names of their licences. What is here already
        is not asked for again."""
        self.raw.mkdir(parents=True, exist_ok=True)
        missing = [p for p in chosen if not self._file(p).exists()]
        count = len(chosen) - len(missing)

        def fetch_batch(part: list[Package]) -> int:
            with tempfile.TemporaryDirectory(dir=self.folder) as debs:
                self.apt("download", *(f"{p.name}={p.version}" for p in part), cwd=Path(debs))
                for package in part:
                    self._keep(package, Path(debs) / f"{package.name}_{package.version.replace(':', '%3a')}_{package.architecture}.deb")
            return len(part)

        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            for done in pool.map(fetch_batch, (missing[i : i + batch] for i in range(0, len(missing), batch))):
                count += done
                print(f"packages: {count} of {len(chosen)}", file=sys.stderr)

    def _file(self, package: Package) -> Path:
        return self.raw / f"{package.name}_{package.version.replace(':', '%3a')}.json"

    def _keep(self, package: Package, deb: Path) -> None:
        pages, licences = unpack(deb)
        record = {**asdict(package), "licences": licences, "raw": [{"path": p.path, "text": p.text.decode("latin-1")} for p in pages]}
        write_whole(self._file(package), json.dumps(record))

    def pages(self, package: Package) -> tuple[list[RawPage], list[str]]:
        """The pages of a package that fetch() brought, and the names of its licences."""
        record = json.loads(self._file(package).read_text("utf-8"))
        return [RawPage(p["path"], p["text"].encode("latin-1")) for p in record["raw"]], record["licences"]


def unpack(deb: Path) -> tuple[list[RawPage], list[str]]:
    """The English manual pages in a .deb (files alone, no links), and the short names of the licences in its copyright file."""
    import gzip

    pages, licences = [], set()
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                match = PAGE.match(member.name)
                if not match and not re.match(r"^(?:\./)?usr/share/doc/[^/]+/copyright$", member.name):
                    continue
                content = tar.extractfile(member)
                data = content.read() if content else b""
                if match:
                    try:
                        pages.append(RawPage(member.name.removeprefix("./"), gzip.decompress(data) if match[3] else data))
                    except (OSError, EOFError) as e:
                        print(f"{deb.name}: {member.name}: {e}; left out", file=sys.stderr)
                else:
                    licences |= {m.strip() for m in re.findall(r"(?m)^License:[ \t]*(\S.{0,60})$", data.decode("utf-8", "replace"))}
    if process.returncode:
        sys.exit(f"{deb}: dpkg-deb ended with status {process.returncode}")
    return sorted(pages, key=lambda p: p.path), sorted(licences)
