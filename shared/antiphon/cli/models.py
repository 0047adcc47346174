"""`antiphon models`: what is served, and the weights it needs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from antiphon.errors import AntiphonError, ModelNotFound, NotFound

if TYPE_CHECKING:
    from antiphon.models import Catalogue, Model, WeightStore
    from antiphon.models.progress import OnProgress

app = typer.Typer(help="List models; pull, verify and find their weights.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Weights, or models by any name.")]


@app.command("list")
def list_models() -> None:
    """List every name that a client may send, the model behind it, and whether its weights are here."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    with _told():
        catalogue, store = _catalogue(), _store()
        console = Console()
        if not console.is_terminal:  # whole names for whoever reads the list by a program
            console = Console(width=200)
        table = Table("Name", "Model", "Engine", "Does", "Weights", box=None, pad_edge=False)
        for public in catalogue.public():
            for kind in public.kinds[:1]:
                model = catalogue.resolve(public.id, kind)
                if model.folder:
                    state = str(model.folder) if model.folder.is_dir() else f"[red]{model.folder} is not there[/red]"
                elif model.weights is None:
                    state = "elsewhere" if model.engine == "upstream" else "comes with the engine"
                elif store.present(model.weights):
                    state = "here"
                else:
                    state = "to be pulled when wanted" if model.optional else "[yellow]to be pulled[/yellow]"
                table.add_row(public.id, model.name, model.engine, ", ".join(public.kinds), state)
        console.print(table)


@app.command("pull")
def pull_weights(
    names: Names = None,
    every: Annotated[
        bool, typer.Option("--all", help="All weights there are, not only those that are needed.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Look in this folder first, for <weights>/<file>."),
    ] = None,
) -> None:
    """Get weights that are not here yet: those of the models served that are not optional, unless named.

    Goes on where it stopped.
    """
    with _told():
        store = _store()
        sets = tuple(store.manifest.sets) if every else _chosen(names, store)
        pull_with_bar(sets, store, source=source)
        size = sum(store.manifest.weights(name).size for name in sets)
        print(f"{', '.join(sets)}: here, {size / 1e6:.0f} MB in {store.cache_dir}")


@app.command("verify")
def verify_weights(
    names: Names = None,
    repair: Annotated[bool, typer.Option("--repair", help="Pull anew what is damaged.")] = False,
) -> None:
    """Read the weights that are here and compare every file with its digest."""
    with _told():
        store = _store()
        sets = _chosen(names, store) if names else tuple(n for n in store.manifest.sets if store.present(n))
        if not sets:
            print(f"No weights in {store.cache_dir}; antiphon models pull gets them.")
        damaged = []
        for name in sets:
            faults = store.verify(name)
            for fault in faults:
                print(f"{name}/{fault.path} {fault.problem}")
                store.discard(store.manifest.weights(name).files[fault.path])
            if faults:
                damaged.append(name)
            else:
                print(f"{name}: {len(store.manifest.weights(name).files)} files, all as they should be")
        if damaged and repair:
            pull_with_bar(damaged, store)
        elif damaged:
            raise typer.Exit(1)


@app.command("path")
def print_path(name: Annotated[str, typer.Argument(help="Weights, or a model by any name.")]) -> None:
    """Print the folder that holds the weights."""
    with _told():
        store = _store()
        if name in store.manifest.sets:
            folders = [store.folder(name)]
        else:
            models = _models_of(name, _catalogue(), store)
            folders = [model.folder for model in models if model.folder]
            folders += [store.folder(model.weights) for model in models if model.weights]
        if not folders:
            raise NotFound(f"{name!r} has no weights here: they come with its engine, or it runs elsewhere.")
        for folder in dict.fromkeys(folders):
            print(folder)


def pull_with_bar(sets: list[str] | tuple[str, ...], store: WeightStore, *, source: Path | None = None) -> None:
    """Pull the sets and show how far it is, on stderr. Raises `AntiphonError`."""
    from antiphon.models.pull import pull, weights_folders  # noqa: PLC0415

    with _bar() as on_progress:
        pull(sets, store, folders=weights_folders(source), on_progress=on_progress)


@contextlib.contextmanager
def _bar() -> Iterator[OnProgress]:
    from rich import progress as bars  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    from antiphon.models.progress import PullProgress  # noqa: PLC0415

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("looking", total=None)

        def show(now: PullProgress) -> None:
            progress.update(task, completed=now.done, total=now.total or None, description=now.doing)

        yield show


def _chosen(names: list[str] | None, store: WeightStore) -> tuple[str, ...]:
    """Return the sets that are meant: the named ones, else those that a platform with this catalogue needs."""
    catalogue = _catalogue()
    if not names:
        return tuple(dict.fromkeys((*catalogue.weights(), *store.manifest.always())))
    chosen: dict[str, None] = {}
    for name in names:
        if name in store.manifest.sets:
            chosen[name] = None
        else:
            models = _models_of(name, catalogue, store)
            chosen |= {model.weights: None for model in models if model.weights}
    return tuple(chosen)


def _models_of(name: str, catalogue: Catalogue, store: WeightStore) -> list[Model]:
    for public in catalogue.public():
        if public.id == name:
            return [catalogue.resolve(name, kind) for kind in public.kinds]
    known = ", ".join(store.manifest.sets)
    raise ModelNotFound(f"There are no weights and no model {name!r}. Weights: {known}.")


def _catalogue() -> Catalogue:
    from antiphon.models import Catalogue  # noqa: PLC0415

    override = os.environ.get("ANTIPHON_MODELS_FILE")
    return Catalogue.load(Path(override) if override else None)


def _store() -> WeightStore:
    from antiphon.models import WeightStore  # noqa: PLC0415
    from antiphon.settings import default_cache_dir  # noqa: PLC0415

    return WeightStore(Path(os.environ.get("ANTIPHON_CACHE_DIR") or default_cache_dir()))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell an error instead of a traceback. It may have several lines: the sources tried, and why they failed."""
    try:
        yield
    except AntiphonError as error:
        print(f"antiphon: {error.message}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("antiphon: stopped; what was fetched is kept, the next pull goes on from there", file=sys.stderr)
        raise typer.Exit(130) from None
