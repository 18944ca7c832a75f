#!/usr/bin/env python3
"""Encodes a corpus of JSON lines with Dask: vectors of every block of it in a file of numpy's.

    dask_encode.py CHECKPOINT --output vectors/ corpus/*.jsonl                                # two processes of this machine
    dask_encode.py CHECKPOINT --output /data/vectors --scheduler tcp://head:8786 /data/corpus/*.jsonl

A block's file appears when it is whole, so that a task may run again after its worker died, and a run that was stopped continues where it was.
Needs dask and distributed, and longformer_interop on every worker."""
from __future__ import annotations

import argparse
import json
import os
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import longformer_interop as lf


def vectors_of(lines: Sequence[str], encoder: lf.PerProcess[lf.DocumentEncoder]) -> np.ndarray:
    """float32 [lines, hidden]: the vectors of the texts of some lines, in their order."""
    documents = [json.loads(line)["text"] for line in lines if line.strip()]
    model = encoder.get()
    return model.encode(documents) if documents else np.empty((0, model.hidden_size), np.float32)


def encode_block(lines: Sequence[str], file: str, encoder: lf.PerProcess[lf.DocumentEncoder]) -> int:
    """A task: writes the vectors of a block, and returns how many there are."""
    vectors = vectors_of(lines, encoder)
    # A name of its own: a worker that only seemed to be dead may still be writing the same block.
    temporary = f"{file}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "wb") as output:
            np.save(output, vectors)
        os.replace(temporary, file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    return len(vectors)


def encode_corpus(client: Any, files: Sequence[str], output: str, encoder: lf.PerProcess[lf.DocumentEncoder], block: int) -> int:
    """Encodes the blocks that are not there yet on the client's workers, and returns how many vectors that made."""
    import dask
    import dask.bag
    from distributed import as_completed

    os.makedirs(output, exist_ok=True)
    tasks = []
    # Blocks are cut by the files and the size alone, at ends of lines.
    for number, lines in enumerate(dask.bag.read_text(files, blocksize=block).to_delayed()):
        file = os.path.join(os.path.abspath(output), f"block-{number:05d}.npy")
        if not os.path.exists(file):
            tasks.append(dask.delayed(encode_block)(lines, file, encoder))
    made = 0
    for number, (_, count) in enumerate(as_completed(client.compute(tasks), with_results=True)):
        made += count
        print(f"{number + 1} of {len(tasks)} blocks", file=sys.stderr)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--output", required=True, help="folder for the vectors, the same on all workers")
    parser.add_argument("--scheduler", help="address of a running scheduler")
    parser.add_argument("--workers", type=int, default=2, help="processes, where there is no scheduler")
    parser.add_argument("--block", type=int, default=4 << 20, help="bytes of a block")
    given = parser.parse_args()
    from distributed import Client, LocalCluster

    encoder = lf.PerProcess(lf.DocumentEncoder, given.checkpoint)
    # Dask sets OMP_NUM_THREADS to 1 for its workers; a process for each core is faster than threads of one.
    cluster = given.scheduler or LocalCluster(n_workers=given.workers, threads_per_worker=1, dashboard_address=None)
    with Client(cluster) as client:
        print(f"{encode_corpus(client, given.files, given.output, encoder, given.block)} vectors in {given.output}")
    if not given.scheduler:
        cluster.close()


if __name__ == "__main__":
    main()
