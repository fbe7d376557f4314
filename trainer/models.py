"""A model from Python: fitted to data by a call, or opened from its run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_confseg.job import CONFIG, Event, Failed, FitRequest, RunFolder
from napari_confseg.methods import Method
from napari_confseg.store import Cohort
from trainer.errors import TrainError
from trainer.predict import Predictor
from trainer.run_job import execute
from trainer.sources import located, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def fit_model(
    data: str | Path,
    out: str | Path,
    *,
    classes: Sequence[str] = (),
    method: str = "",
    listen: Callable[[Event], None] = lambda _: None,
    **choices: Any,
) -> Predictor:
    """Fit a model, as ``confseg-train fit`` does, and return it ready to predict.

    The same call resumes a fit that was stopped, and returns at once if it was finished.

    Examples
    --------
    >>> from trainer import fit_model
    >>> model = fit_model("lung-dataset", "runs/second", size="study", steps=2, device="cpu")
    >>> model.config.classes
    ('pleura', 'b-line')
    >>> fit_model("lung-dataset", "runs/third", raters=["nobody"], steps=2)
    Traceback (most recent call last):
    trainer.errors.TrainError: ...

    Parameters
    ----------
    data : str or Path
        Folder of a frozen dataset or of a cohort.
    out : str or Path
        Folder of the run.
    classes : sequence of str, optional
        Classes to learn; all of the data if not given.
    method : str, optional
        How confidence reaches the model, as on the command line: ``"soft"``, ``"threshold:t=60"``;
        the project's default if not given.
    listen : callable, optional
        Called with each event: progress, scores, the end.
    **choices
        Further fields of :class:`napari_confseg.job.FitRequest`, such as `size`, `steps`, `seed`,
        `device`, `raters`, `held_out`.

    Returns
    -------
    Predictor
        The best network of the fit.

    Raises
    ------
    TrainError
        If the fit could not be made; a folder that was begun for it is gone.
    StoreError
        If there is neither a cohort nor a dataset at `data`, or it is damaged.
    JobError
        If `out` holds another run.
    ValueError
        If a choice is unknown or out of its range; says which.
    """
    request = _request(str(data), Path(out), classes, method, choices)
    failures: list[Failed] = []

    def hear(event: Event) -> None:
        if isinstance(event, Failed):
            failures.append(event)
        listen(event)

    folder = RunFolder.begin(Path(out), request)
    if execute(folder, hear) is None:
        if not (Path(out) / CONFIG).exists():  # a refused request hinders no other attempt
            folder.withdraw()
        raise TrainError(failures[-1].error, failures[-1].hint)
    return Predictor.load(out, request.device)


def _request(
    data: str, out: Path, classes: Sequence[str], method: str, choices: dict[str, Any]
) -> FitRequest:
    source = open_source(data)
    place = data if "://" in data else str(Path(data).expanduser().absolute())
    frozen = not isinstance(source, Cohort)
    given: dict[str, Any] = {
        "cohort": None if frozen else place,
        # The version, not the dataset: a newer one must not change what a resumed fit reads.
        "dataset": located(source, place) if frozen else None,
        "rater": out.name,
        "classes": tuple(classes) or tuple(c.name for c in source.meta.classes),
    }
    if method:
        given["method"] = Method.parse(method)
    return FitRequest(**{name: _plain(value) for name, value in (given | choices).items()})


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
