"""The contract: features every `datasets` reads, byte ranges of images, the builder."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Features, load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

import rs_gpt4v
from rs_gpt4v_conversion.shards import leaves, parquet_settings


def test_the_schema_states_the_features_in_the_form_that_old_datasets_read() -> None:
    schema = rs_gpt4v.arrow_schema()
    said = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert '"List"' not in json.dumps(said)
    assert Features.from_dict(said) == rs_gpt4v.FEATURES
    assert schema.field("image").type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_the_leaves_are_the_columns_that_parquet_has(tmp_path: Path) -> None:
    schema = rs_gpt4v.arrow_schema()
    pq.write_table(schema.empty_table(), tmp_path / "x.parquet")
    metadata = pq.read_metadata(tmp_path / "x.parquet")
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    assert names == leaves(schema)


@settings(max_examples=30)
@given(
    images=st.lists(st.one_of(st.none(), st.binary(max_size=300)), min_size=1, max_size=120),
    group=st.integers(1, 50),
    page=st.sampled_from([1, 16, 1024]),
    version=st.sampled_from(["1.0", "2.0"]),
)
def test_image_ranges_are_the_bytes_of_the_images(
    images: list[bytes | None],
    group: int,
    page: int,
    version: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("ranges") / "x.parquet"
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [None if b is None else {"bytes": b, "path": "a.png"} for b in images]
    table = pa.table({"image": pa.array(rows, image)})
    options = parquet_settings(table.schema) | {
        "write_batch_size": page,
        "data_page_version": version,
    }
    pq.write_table(table, path, row_group_size=group, **options)
    content = path.read_bytes()
    found = [place for places in rs_gpt4v.image_ranges(str(path)) for place in places]
    assert [p and content[p[0] : p[0] + p[1]] for p in found] == images
    assert len(rs_gpt4v.image_ranges(str(path))[0]) == min(group, len(images))


def test_image_ranges_refuse_a_compressed_column(tmp_path: Path) -> None:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array([{"bytes": b"x" * 99, "path": "a"}], image)})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd")
    with pytest.raises(ValueError, match="expected uncompressed and PLAIN"):
        rs_gpt4v.image_ranges(str(tmp_path / "x.parquet"))


def test_a_page_of_negative_size_ends_the_walk() -> None:
    index_page = bytes([0x15, 0x02, 0x15, 0x00, 0x15, 0x13, 0x00])  # kind 1, sizes 0 and -10
    with pytest.raises(ValueError, match="a page of -10 bytes"):
        rs_gpt4v._page(index_page, 0)


CONFIGS = {
    "all": None,
    "captioning": "task",
    "vqa": "task",
    "grounding": "task",
    "rsicd": "source",
    "mini": None,
}


@pytest.mark.parametrize("config", CONFIGS)
def test_load_dataset_reads_what_the_shards_hold(config: str, release: Path, tmp_path: Path) -> None:
    manifest = json.loads((release / "manifest.json").read_text())
    column = CONFIGS[config]
    expected: dict[str, int] = {}
    for shard in manifest["shards"]:
        _, task, source, name = shard["path"].split("/")
        if column is None or config == {"task": task, "source": source}[column]:
            split = name.split("-")[0]
            expected[split] = expected.get(split, 0) + shard["rows"]
    rows = load_dataset(str(release), config, cache_dir=str(tmp_path))
    found = {split: part.num_rows for split, part in rows.items()}
    if config == "mini":  # nearly all, as the sample is small
        assert found.keys() == expected.keys()
        assert all(0.8 * n <= found[split] <= n for split, n in expected.items())
    else:
        assert found == expected
    streamed = load_dataset(str(release), config, streaming=True)
    for split, part in rows.items():
        assert [r["id"] for r in streamed[split]] == part["id"][:]
    first = next(iter(rows.values())).features
    assert first == rs_gpt4v.FEATURES


def test_the_default_config_is_all(release: Path, tmp_path: Path) -> None:
    manifest = json.loads((release / "manifest.json").read_text())
    rows = load_dataset(str(release), cache_dir=str(tmp_path))
    assert sum(p.num_rows for p in rows.values()) == sum(s["rows"] for s in manifest["shards"])


def test_rows_hold_the_bytes_that_their_digests_name(release: Path, tmp_path: Path) -> None:
    rows = load_dataset(str(release), split="train", cache_dir=str(tmp_path)).with_format("arrow")[:]
    for row in rows.to_pylist():
        assert hashlib.sha256(row["image"]["bytes"]).hexdigest() == row["image_sha256"]


def test_the_builder_reads_configs_from_the_release(release: Path, tmp_path: Path) -> None:
    builder = rs_gpt4v.RSGPT4V.open(str(release), "hit_uav", cache_dir=str(tmp_path))
    builder.download_and_prepare()
    prepared = builder.as_dataset()
    plain = load_dataset(str(release), "hit_uav", cache_dir=str(tmp_path))
    assert {s: p["id"][:] for s, p in prepared.items()} == {s: p["id"][:] for s, p in plain.items()}
    streamed = [r["id"] for r in builder.as_streaming_dataset(split="train")]
    assert streamed == plain["train"]["id"][:]
    with pytest.raises(ValueError, match="no config 'vqaa'; it has all, mini, captioning"):
        rs_gpt4v.RSGPT4V.open(str(release), "vqaa")
    with pytest.raises(FileNotFoundError, match="is no release"):
        rs_gpt4v.RSGPT4V.open(str(tmp_path), "all")


def test_a_release_made_again_is_not_served_from_the_cache(release: Path, tmp_path: Path, small) -> None:
    from rs_gpt4v_conversion.build import build
    from rs_gpt4v_conversion.config import load_config

    out = tmp_path / "rs-gpt4v"
    counts = []
    for limit in ("limit = 3", "limit = 5"):
        build(load_config(small("rsicd", more=limit)), out, workers=1, skip_missing=False)
        loaded = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
        counts.append(sum(p.num_rows for p in loaded.values()))
    assert counts == [3, 5]
