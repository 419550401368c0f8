"""Fitted models: a value with everything that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from forecast.models.panel import Panel
from forecast.models.records import Records
from forecast.models.schema import Schema
from forecast.models.spec import Model

if TYPE_CHECKING:
    import pandas as pd

Intervals = Literal["gaussian", "bootstrap"]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """One or several models fitted to the series of a frame; immutable.

    Everything but `diagnostics` and bootstrapped intervals follows from the parameter records alone,
    and so works after `save` and `load`.
    """

    models: tuple[Model, ...]
    records: tuple[Records, ...]
    """One struct of arrays a model, series in the order of the input."""
    schema: Schema
    panel: Panel | None = None
    """The training data; None after `load`."""
    n_jobs: int = 1

    @property
    def freq(self) -> str:
        """The frequency, as a pandas alias or an integer step."""
        return self.records[0].freq.text

    def predict(
        self,
        h: int,
        level: float | Sequence[float] | None = None,
        X_df: Any = None,  # noqa: ANN401  # a frame
        *,
        intervals: Intervals = "gaussian",
        n_paths: int = 1000,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Forecast every series h steps ahead.

        Parameters
        ----------
        h
            Horizon in steps, 1 or more.
        level
            Coverage of intervals in percent, one or several.
        X_df
            Future regressors: ``unique_id, ds`` and the columns of `exog`, aligned by name and by
            (unique_id, ds), whatever their order.
        intervals
            "gaussian": from psi weights, with the uncertainty of the parameters; "bootstrap": quantiles of
            `n_paths` paths with resampled residuals (needs the training data).
        seed
            Of the bootstrap.

        Returns
        -------
        DataFrame
            ``unique_id, ds, <Model>, <Model>-lo-95, <Model>-hi-95``, h rows a series, in the order of
            the input.

        Raises
        ------
        InputError
            h < 1; a level outside (0, 100); regressors absent, short or wrongly dated.
        """
        from forecast.api.prediction import predict

        return predict(self, h, level, X_df, intervals, n_paths, seed)

    def simulate(
        self,
        h: int,
        n_paths: int = 500,
        seed: int = 0,
        X_df: Any = None,  # noqa: ANN401  # a frame
    ) -> pd.DataFrame:
        """Draw sample paths of the future, with Gaussian innovations.

        Returns
        -------
        DataFrame
            ``unique_id, ds, path, <Model>``: h rows a path, `path` from 0. The same seed and unique_id give
            the same numbers whatever other series there are.
        """
        from forecast.api.prediction import simulate

        return simulate(self, h, n_paths, seed, X_df)

    def update(self, new_df: Any) -> Fitted:  # noqa: ANN401  # a frame
        """Return the models moved on over new data, without a refit: O(p) a point.

        The forecasts are the same as if the parameters had been filtered over the longer series. Series
        without new rows stay where they are; times left out are gaps.

        Raises
        ------
        InputError
            Times that are not after the last one known, or off the grid; regressors missing.
        UnknownSeriesError
            A series that was not fitted.
        """
        from forecast.api.updating import update

        return update(self, new_df)

    def report(self) -> pd.DataFrame:
        """Return one row per series and model.

        Returns
        -------
        DataFrame
            ``unique_id, model, status, order, d, D, sigma2, loglik, aicc, min_root, roots_outside,
            ljung_box_p, message``. `min_root` is the smallest modulus of the AR roots (inf without AR part);
            `sigma2` is the innovation variance in units of the (transformed) series, squared.
        """
        from forecast.api.reporting import report

        return report(self)

    def diagnostics(self) -> pd.DataFrame:
        """Return residual tests per series and model: Ljung-Box, Jarque-Bera, ARCH.

        Raises
        ------
        InputError
            After `load`: a stored model holds no data.
        """
        from forecast.api.reporting import diagnostics

        return diagnostics(self)

    def save(self, path: str | Path) -> None:
        """Write the models to a folder: arrays and JSON, never pickle; all or nothing."""
        from forecast.api.storage import save

        save(self, path)

    def __repr__(self) -> str:
        names = ", ".join(model.alias for model in self.models)
        return f"Fitted({names}; {self.records[0].n_series} series, freq={self.freq!r})"
