"""Anonymises everybody who walks in videos, from the source tree; installed: stgan-anonymize.

    python launch/anonymize.py IN... [--output=OUT] [--checkpoint=runs/stgan]

--help lists the flags; stgan_jax/video/cli.py has them.
"""

from stgan_jax.video import cli

if __name__ == "__main__":
    cli.main()
