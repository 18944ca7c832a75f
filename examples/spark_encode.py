#!/usr/bin/env python3
"""Encodes a column of Parquet files with PySpark, by a pandas UDF: the same rows with a column "embedding".

    spark-submit spark_encode.py CHECKPOINT --output /data/vectors --column body /data/corpus

Needs pyspark, pandas and pyarrow, and longformer_interop on every worker. Spark forks its Python workers from a process that has loaded
nothing, keeps them for many tasks (spark.python.worker.reuse), and sets OMP_NUM_THREADS for them: each loads the checkpoint once."""
from __future__ import annotations

import argparse
from collections.abc import Iterator

import pandas as pd

import longformer_interop as lf


def encode_batches(batches: Iterator[pd.Series], encoder: lf.PerProcess[lf.DocumentEncoder]) -> Iterator[pd.Series]:
    """For every batch of texts one of vectors (lists of float32); of a text that is null or blank, null."""
    model = encoder.get()
    for texts in batches:
        vectors: list[object] = [None] * len(texts)
        present = [i for i, text in enumerate(texts) if isinstance(text, str) and text.strip()]
        if present:
            for i, vector in zip(present, model.encode([texts.iloc[i] for i in present])):
                vectors[i] = vector.tolist()
        yield pd.Series(vectors, dtype=object)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("input")
    parser.add_argument("--output", required=True)
    parser.add_argument("--column", default="text")
    given = parser.parse_args()
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import pandas_udf

    encoder = lf.PerProcess(lf.DocumentEncoder, given.checkpoint)

    @pandas_udf("array<float>")  # type: ignore[call-overload,untyped-decorator,unused-ignore]
    def embedding(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        yield from encode_batches(batches, encoder)

    spark = SparkSession.builder.appName("longformer encode").getOrCreate()
    rows = spark.read.parquet(given.input)
    rows.withColumn("embedding", embedding(rows[given.column])).write.parquet(given.output)
    spark.stop()


if __name__ == "__main__":
    main()
