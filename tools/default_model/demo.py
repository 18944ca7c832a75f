"""The pages of `make demo`, which the model in the box never learnt from: fetched with apt, rendered by mandoc, and read by the model.

    demo.py FOLDER      fetches what is missing into FOLDER and shows the model; exit status 0 also where that cannot be done, with one line that says why"""
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pages
from debian import unpack, write_whole

ROOT = Path(__file__).resolve().parents[2]
# Page and package. gcc(1) is not in Debian's main archive, for its licence: another C compiler's page takes its place.
PAGES = {"bash.1": "bash", "tar.1": "tar", "git-config.1": "git-man", "tcc.1": "tcc"}


def download(packages: list[str], folder: Path) -> list[Path]:
    """Packages by the machine's lists; where it has none, by lists of the folder's own."""
    lists = folder / "lists"
    own = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={folder}", "-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=root"]

    def apt(*arguments: str) -> bool:
        return subprocess.run(["apt-get", "-qq", *arguments], cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0

    if not apt("download", *packages):
        (lists / "partial").mkdir(parents=True)
        (folder / "archives" / "partial").mkdir(parents=True)
        if not (apt("update", *own) and apt("download", *packages, *own)):
            raise OSError(f"apt-get cannot download {', '.join(packages)}")
    return sorted(folder.glob("*.deb"))


def fetch(folder: Path) -> None:
    """Writes NAME.txt, the page without its section NAME, and NAME.line, what that said."""
    missing = {page: package for page, package in PAGES.items() if not (folder / f"{page}.line").exists()}
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        debs = download([*missing.values(), "mandoc"], Path(work))
        for deb in debs:
            if deb.name.startswith("mandoc_"):
                subprocess.run(["dpkg-deb", "-x", str(deb), work], check=True)
        for deb in debs:
            for raw in unpack(deb)[0]:
                name = raw.path.rpartition("/")[2].removesuffix(".gz")
                if name in missing and deb.name.startswith(f"{missing[name]}_"):
                    parts = pages.split_name(pages.render(f"{work}/usr/bin/mandoc", raw.text))
                    if parts is not None:
                        write_whole(folder / f"{name}.txt", parts[0] + "\n")
                        write_whole(folder / f"{name}.line", parts[1] + "\n")


def show(folder: Path) -> None:
    """What the model says of each page, with the time from the start of the program to its line."""
    for page in PAGES:
        if not (folder / f"{page}.line").exists():
            continue
        command = [str(ROOT / "longformer"), "summarize", "--input", str(folder / f"{page}.txt"), "--truncate", "--json"]
        begin = time.monotonic()
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        seconds = time.monotonic() - begin
        if run.returncode:
            raise OSError(f"longformer summarize ended with status {run.returncode}")
        document = json.loads(run.stdout)["documents"][0]
        read, there = document["tokens"], document["document_tokens"]
        tokens = f"{there:,} tokens" if read == there else f"the first {read:,} of {there:,} tokens"
        print(f"  {page}: {tokens} in {seconds:.1f} s, the start of the program included")
        print(f"    it says:   {document['summary'].strip()}")
        print(f"    NAME says: {(folder / f'{page}.line').read_text('utf-8').strip()}", flush=True)


def main() -> None:
    folder = Path(sys.argv[1])
    try:
        fetch(folder)
        show(folder)
    except (OSError, subprocess.SubprocessError) as e:
        print(f"demo: no manual pages to show: {e}", file=sys.stderr)


if __name__ == "__main__":
    main()
