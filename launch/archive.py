"""Anonymises thousands of clips, by all cores of a machine or by many machines (Apache Beam):

    python launch/archive.py IN OUT [--runner=FlinkRunner --flink_master=HOST:PORT]

The same command goes on where it was interrupted. --help lists the flags; stgan_jax/video/cli.py
has them.
"""

from stgan_jax.video import cli

if __name__ == "__main__":
    cli.archive()
