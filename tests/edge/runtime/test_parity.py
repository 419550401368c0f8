"""The self-test fails when anything differs; what it reads is bounded."""

import io
from dataclasses import replace
from zipfile import ZipFile

import numpy as np
import pytest

from edge.runtime.arrays import Arrays
from edge.runtime.errors import BundleError, ParityError
from edge.runtime.keys import one_key
from edge.runtime.parity import relative_error, self_test
from edge.runtime.verify import verify
from tests.edge.runtime.bundles import KEY, Spec, files, manifest, npz, parity, signed, write_folder

RICH = Spec(slope=0.1, beta=(2.0, 3.0), exog=("temp", "calendar(hour,3)"))


def vetted(tmp_path, spec=RICH, **changed):
    """Self-test of a bundle with some of its parity vectors changed; None leaves one out."""
    with np.load(io.BytesIO(parity(spec))) as found:
        vectors = {name: found[name] for name in found.files}
    vectors = {name: value for name, value in (vectors | changed).items() if value is not None}
    content = files(spec) | {"parity.npz": npz(**vectors)}
    path = write_folder(tmp_path / "b", signed(manifest(spec, content)) | content)
    with verify(path, one_key(KEY.public)) as bundle:
        return self_test(bundle)


def vector(name):
    with np.load(io.BytesIO(parity(RICH))) as found:
        return found[name].copy()


def test_a_sound_bundle_answers_as_where_it_was_made(tmp_path):
    closed, step = vetted(tmp_path)
    assert (closed.model, closed.rows, step.model, step.rows) == ("model.onnx", 3, "step.onnx", 9)
    assert closed.error < 1e-12
    assert step.error < 1e-12


@pytest.mark.parametrize(
    "name",
    [
        "closed.mean", "closed.variance", "closed.lags", "closed.t", "closed.x", "step.mean",
        "step.variance", "step.imputed",
        "step.z", "step.y", "step.state", "step.cov", "step.t", "step.x", "closed.index", "step.index",
    ],
)  # fmt: skip
def test_every_vector_counts(tmp_path, name):
    changed = vector(name)
    if name.endswith("index"):
        changed = changed[::-1].copy()
    else:
        changed.flat[0] += 1 if changed.dtype.kind == "i" else 1e-3
    with pytest.raises(ParityError, match="relative error"):
        vetted(tmp_path, **{name: changed})


def test_a_number_where_nothing_should_be_is_an_error(tmp_path):
    z = vector("step.z")
    z[1, 0] = 0.0
    with pytest.raises(ParityError):
        vetted(tmp_path, **{"step.z": z})


@pytest.mark.parametrize("rtol", [0.0, -1.0, 1.0, np.nan, np.inf])
def test_a_tolerance_that_tests_nothing_is_refused(tmp_path, rtol):
    with pytest.raises(BundleError, match="is a test"):
        vetted(tmp_path, **{"closed.rtol": np.array(rtol)})


@pytest.mark.parametrize(
    "changed",
    [
        {"closed.mean": None}, {"step.variance": None}, {"closed.rtol": None}, {"step.y": None},
        {"closed.t": None},
        {"step.x": None}, {"closed.lags": np.zeros((0, 2))}, {"closed.lags": np.zeros((3, 5))},
        {"step.y": np.zeros((0, 3))},
        {"closed.mean": np.zeros((3, 5))}, {"step.mean": np.zeros((2, 3, 4))},
        {"closed.mean": np.zeros((3, 4), np.float32)},
        {"step.index": np.array([0, 1, 99])},
    ],
    ids=range(13),
)  # fmt: skip
def test_vectors_that_do_not_fit_are_refused(tmp_path, changed):
    with pytest.raises(BundleError):
        vetted(tmp_path, **changed)


def test_references_that_are_left_out_are_not_compared(tmp_path):
    vetted(tmp_path, **{"step.z": None, "step.imputed": None})


def test_the_last_state_is_compared(tmp_path):
    vetted(tmp_path / "1", replace(RICH, step=True))
    with pytest.raises(ParityError):
        vetted(tmp_path / "2", **{"step.state_out": np.zeros((3, 2))})
    with pytest.raises(ParityError):
        vetted(tmp_path / "3", **{"step.cov_out": np.full((3, 2, 2), 1e-3)})


def test_errors_are_measured_by_the_largest_of_a_row():
    want = np.array([[1.0, -100.0], [0.0, 0.0]])
    assert relative_error(np.array([[1.5, -100.0], [0.0, 0.0]]), want) == pytest.approx(0.005)
    assert relative_error(np.array([[1.0, -100.0], [1e-300, 0.0]]), want) == np.inf
    assert relative_error(want, want) == 0.0
    nan = np.array([[np.nan, 1.0]])
    assert relative_error(nan, nan) == 0.0
    assert relative_error(np.array([[0.0, 1.0]]), nan) == np.inf
    assert relative_error(np.array([[np.inf, 1.0]]), np.ones((1, 2))) > 1e300
    assert relative_error(np.ones((2, 1)), np.ones((1, 2))) == np.inf
    assert relative_error(np.ones((0, 2)), np.ones((0, 2))) == 0.0


def test_a_header_that_claims_a_large_array_allocates_nothing():
    good = npz(a=np.zeros(3))
    with ZipFile(io.BytesIO(good)) as archive:
        member = archive.read("a.npy")
    for claim in (b"(9999999999999,)", b"(2,)", b"(-3,)"):
        changed = member.replace(b"(3,), }", claim + b", }").replace(b" " * (len(claim) - 4), b"", 1)
        out = io.BytesIO()
        with ZipFile(out, "w") as archive:
            archive.writestr("a.npy", changed[: len(member)].ljust(len(member), b"\0"))
        with pytest.raises(BundleError, match="a cannot be read"):
            Arrays(out.getvalue(), "x")["a"]


@pytest.mark.parametrize(
    "array",
    [np.array([None]), np.array(["a"]), np.zeros(2, "f4"), np.zeros(2, ">f8"), np.zeros(1, bool)],
    ids=range(5),
)
def test_other_kinds_of_arrays_are_refused(array):
    out = io.BytesIO()
    np.savez(out, a=array)
    with pytest.raises(BundleError, match="a cannot be read"):
        Arrays(out.getvalue(), "x")["a"]


def test_arrays_come_back_as_they_were():
    rng = np.random.default_rng(0)
    want = {
        "c": rng.normal(size=(2, 3, 4)),
        "f": np.asfortranarray(rng.normal(size=(3, 4))),
        "i": np.arange(5),
        "e": np.zeros((0, 2)),
        "s": np.array(1.5),
    }
    got = Arrays(npz(**want), "x")
    assert sorted(got) == sorted(want)
    assert len(got) == 5
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array)
        assert not got[name].flags.writeable
    assert got.get("none") is None
