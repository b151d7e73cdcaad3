"""Builds a dataset for training and evaluation:

    python launch/build_data.py --dataset=synthetic_walkers/full --data_dir=D
    python launch/build_data.py --dataset=casia_b --source=YOUR_COPY --data_dir=D

An interrupted build goes on where it stopped when the same command is run again.
"""

from collections import Counter

from absl import app, flags

from stgan_jax.shapes import gei
from stgan_jax.util.errors import one_sentence, parse_flags

_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "synthetic_walkers/demo, /full or (in colour) /rgb; casia_b (silhouettes) or casia_b/rgb.",
    required=True,
)
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder for built datasets.")
_SOURCE = flags.DEFINE_string("source", None, "casia_b: the folder that holds your copy.")
_BEAM = flags.DEFINE_list("beam", [], "Apache Beam's flags: subjects by --runner=...,...")


def main(_):
    with one_sentence():
        from stgan_jax.data.datasets import built  # slow to load

        metadata = built.build(_DATASET.value, _DATA_DIR.value, _SOURCE.value, _BEAM.value)
    sequences = [entry for split in metadata["sequences"].values() for entry in split]
    conditions = Counter(name.split("-")[1] for name, *_ in sequences)
    print(
        f"{_DATASET.value}: {len(sequences)} sequences of {len(metadata['sequences'])} subjects ("
        + ", ".join(f"{count} {condition}" for condition, count in conditions.items())
        + f"), {sum(entry[1] >= 50 for entry in sequences)} of 50 frames or more"
    )
    for reason, count in metadata["dropped"].items():
        print(f"dropped: {count} {reason}")
    if metadata["matching"]:
        print(gei.table(metadata["matching"]))


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
