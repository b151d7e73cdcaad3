"""What the report of a clip says of a scene that is made up."""

from stgan_jax.video import report


def test_what_is_made_up_is_told_in_runs_with_its_largest_area():
    shares = {3: 0.1, 4: 0.25, 5: 0.0, 8: 0.01}
    times = [0.04 * n for n in range(10)]
    outcome = report.Outcome([], times, {}, "networks", 1.0, None, "turns", shares)
    rows = report._made_up(outcome)
    assert [(row["first_frame"], row["last_frame"], row["area"]) for row in rows] == [
        (3, 4, 0.25),
        (8, 8, 0.01),
    ]
    assert [row["to"] for row in rows] == [0.16, 0.32]
