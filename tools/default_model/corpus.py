"""The data of the default model: pages without NAME and what NAME said, descriptions and their synopses, split by source package."""
from __future__ import annotations

import collections
import concurrent.futures
import hashlib
import json
import random
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pages
from debian import MAIN_SECTIONS, Archive, Package, section_of, write_whole

# Sources of the pages that `make demo` shows: never learnt from.
DEMO = re.compile(r"^(?:bash|tar|git|gcc-\d+|gcc-defaults)$")


def part_of(source: str, seed: int) -> str:
    """train (92 in a hundred), dev (3) or test (5), by the name of the source package alone."""
    if DEMO.match(source):
        return "test"
    number = int.from_bytes(hashlib.sha256(f"{seed}:{source}".encode()).digest()[:4], "big") % 100
    return "test" if number < 5 else "dev" if number < 8 else "train"


def choose(packages: list[Package], most: int, largest: dict[str, int], seed: int) -> list[Package]:
    """So many sources of packages with pages, by the seed. Of a source to be learnt from every package counts; of the others the one with most
    pages of the main sections, then with most pages. `largest`: no package of "train" or of the "others" has more bytes."""
    of_source: dict[str, list[Package]] = {}
    for package in packages:
        if package.pages and package.size <= largest["train" if part_of(package.source, seed) == "train" else "others"]:
            of_source.setdefault(package.source, []).append(package)

    def rank(package: Package) -> tuple[int, int]:
        return sum(section_of(path) in MAIN_SECTIONS for path in package.pages), len(package.pages)

    sources = sorted(of_source)
    random.Random(seed).shuffle(sources)
    chosen = []
    for source in sources[:most]:
        # The first of equals, which max gives.
        best = max(of_source[source], key=rank)
        chosen += [best, *(p for p in of_source[source] if p is not best and part_of(source, seed) == "train")]
    return chosen


def description_record(package: Package) -> dict[str, str] | None:
    """A description in the form of a page: a title, then DESCRIPTION. Its synopsis is the line."""
    body, line = package.description.strip("\n"), pages.clean_line(package.synopsis)
    if len(body) < 80 or not pages.says_something(line):
        return None
    title = f"{package.name.upper()}(1)"
    indented = re.sub(r"(?m)^(?=.)", "       ", re.sub(r"(?m)^ +(?=\S)", "", body))
    document = f"{title:<26}{'General Commands Manual':<26}{title:>26}\n\nDESCRIPTION\n{indented}\n"
    return {"document": document, "summary": line, "package": package.name, "source": package.source}


def page_records(package: Package, archive: Archive, mandoc: str, most: dict[str, int], seed: int) -> list[dict[str, object]]:
    """The pages of a package that have a line worth learning, at most so many of the main sections and of the others (`most`: main, other)."""
    raw, licences = archive.pages(package)
    random.Random(f"{seed}:{package.name}").shuffle(raw)
    found: list[dict[str, object]] = []
    left = dict(most)
    for page in raw:
        kind = "main" if section_of(page.path) in MAIN_SECTIONS else "other"
        if left[kind] == 0 or pages.is_stub(page.text):
            continue
        parts = pages.split_name(pages.render(mandoc, page.text))
        if parts is None or len(parts[0]) < 400 or not pages.says_something(parts[1]):
            continue
        found.append({
            "document": parts[0] + "\n", "summary": parts[1], "package": package.name, "source": package.source,
            "version": package.version, "page": page.path.rpartition("/")[2].removesuffix(".gz"), "licences": licences, "kind": kind,
        })  # fmt: skip
        left[kind] -= 1
    return found


class Once:
    """Knows what it has seen of texts, so that none is in the data twice, nor in two of its parts."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def is_new(self, *texts: str) -> bool:
        mark = hashlib.sha256("\n".join(pages.key(t) for t in texts).encode()).hexdigest()
        if mark in self.seen:
            return False
        self.seen.add(mark)
        return True


def lines(records: Iterable[dict]) -> str:
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)


def write_corpus(work: Path, packages: int, largest: dict[str, int], descriptions: int, per_package: dict[str, dict[str, int]], seed: int, threads: int) -> None:
    """Writes WORK/data: pages-{train,dev,test}.jsonl, descriptions-{train,dev}.jsonl and packages.jsonl. Does nothing where they are.
    `largest`: the bytes of a package at most, for "train" and for the "others" (dev and test). `per_package`: how many pages of one (main sections,
    other sections)."""
    data = work / "data"
    settings = json.dumps({"packages": packages, "largest": largest, "descriptions": descriptions, "per_package": per_package, "seed": seed})
    done = data / "settings.json"
    if done.exists() and done.read_text() == settings:
        return
    data.mkdir(parents=True, exist_ok=True)
    archive = Archive(work / "archive")
    (work / "archive").mkdir(exist_ok=True)
    archive.update()
    listed = archive.packages()
    chosen = choose(listed, packages, largest, seed)
    archive.fetch(chosen)
    mandoc = pages.find_mandoc(archive)

    found: dict[str, list[dict]] = {"train": [], "dev": [], "test": []}
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        most = [per_package["train" if part_of(p.source, seed) == "train" else "others"] for p in chosen]
        rendered = list(pool.map(lambda p, m: page_records(p, archive, mandoc, m, seed), chosen, most))
    # Parts to be learnt from come first, so that what is dropped as a duplicate is a page of the test.
    for part in found:
        texts, sentences = (Once(), Once()) if part == "train" else (texts, sentences)  # noqa: F821
        for package, records in zip(chosen, rendered):
            if part_of(package.source, seed) == part:
                for record in records:
                    # What is measured are the main sections; pages of functions and the like are learnt from alone.
                    if part != "train" and record["kind"] != "main":
                        continue
                    opening = pages.first_sentence(record["document"], 40)
                    if texts.is_new(record["document"]) and sentences.is_new(record["summary"], opening):
                        found[part].append(record)
        random.Random(seed).shuffle(found[part])
        write_whole(data / f"pages-{part}.jsonl", lines(found[part]))

    pairs: dict[str, list[dict]] = {"train": [], "dev": []}
    once, per_source = Once(), collections.Counter()
    order = list(listed)
    random.Random(seed).shuffle(order)
    for package in order:
        part = part_of(package.source, seed)
        record = description_record(package)
        if part in pairs and record and per_source[package.source] < 8 and once.is_new(record["summary"], record["document"].partition("\n")[2]):
            per_source[package.source] += 1
            pairs[part].append(record)
    write_whole(data / "descriptions-train.jsonl", lines(pairs["train"][:descriptions]))
    write_whole(data / "descriptions-dev.jsonl", lines(pairs["dev"][:1000]))
    used = {r["package"]: r["licences"] for records in found.values() for r in records}
    write_whole(data / "packages.jsonl", lines(
        {"package": p.name, "version": p.version, "source": p.source, "sha256": p.sha256, "part": part_of(p.source, seed), "licences": used[p.name]}
        for p in sorted(chosen, key=lambda p: p.name) if p.name in used
    ))  # fmt: skip
    write_whole(done, settings)
    counts = {**{f"pages-{k}": len(v) for k, v in found.items()}, **{f"descriptions-{k}": len(v) for k, v in pairs.items()}}
    print(f"data: {counts}, of {len(used)} packages", file=sys.stderr)
