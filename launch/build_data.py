"""Builds a dataset for training and evaluation:

    python launch/build_data.py --dataset=synthetic_walkers/full --data_dir=D
    python launch/build_data.py --dataset=casia_b --source=YOUR_COPY --data_dir=D

    python launch/build_data.py --dataset=casia_b --data_dir=NEW --anonymize=retarget --originals=D

The last one writes an anonymised copy of what was built in D, which is a dataset as the other is.
An interrupted build goes on where it stopped when the same command is run again.
"""

from collections import Counter

from absl import app, flags

from stgan_jax.shapes import gei
from stgan_jax.util.errors import InputError, one_sentence, parse_flags

_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "synthetic_walkers/demo, /full or (in colour) /rgb; casia_b (silhouettes) or casia_b/rgb.",
    required=True,
)
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder for built datasets.")
_SOURCE = flags.DEFINE_string("source", None, "casia_b: the folder that holds your copy.")
_ANONYMIZE = flags.DEFINE_string("anonymize", None, "Weights or run: builds an anonymised copy.")
_ORIGINALS = flags.DEFINE_string("originals", None, "With --anonymize: where it is built as it is.")
_SEED = flags.DEFINE_integer("seed", 0, "With --anonymize: decides the new people.")
_BEAM = flags.DEFINE_list("beam", [], "Apache Beam's flags: subjects by --runner=...,...")


def main(_):
    with one_sentence():
        from stgan_jax.data.datasets import built  # slow to load

        where = _DATASET.value, _DATA_DIR.value
        if bool(_ANONYMIZE.value) != bool(_ORIGINALS.value):
            raise InputError("--anonymize and --originals: give both, or neither")
        if _ANONYMIZE.value and _ORIGINALS.value:
            from stgan_jax.methods import copies

            change = copies.WalkChange.by(_ANONYMIZE.value, _SEED.value)
            metadata = built.build_copy(*where, _ORIGINALS.value, change, _BEAM.value)
        else:
            metadata = built.build(*where, _SOURCE.value, _BEAM.value)
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
