"""The notebooks run from top to bottom, and are kept with their outputs."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_five_notebooks():
    assert [n.stem for n in NOTEBOOKS] == ["attention", "fine_tuning", "first_steps", "question_answering", "speed"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.stem)
@pytest.mark.filterwarnings("ignore")
def test_a_notebook_runs(notebook, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="nbconvert is not installed")
    execute = pytest.importorskip("nbconvert.preprocessors", reason="nbconvert is not installed").ExecutePreprocessor
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    if notebook.stem in ("attention", "fine_tuning", "speed"):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    # Whatever Python the kernel's own description names.
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    content = nbformat.read(notebook, as_version=4)
    execute(timeout=300, kernel_name="python3").preprocess(content, {"metadata": {"path": str(FOLDER)}})
    assert not any(o.output_type == "error" for c in content.cells if c.cell_type == "code" for o in c.outputs)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.stem)
def test_a_notebook_is_kept_with_its_outputs(notebook):
    cells = [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "code"]
    assert sum(bool(c["outputs"]) for c in cells) >= len(cells) - 2
    shown = notebook.read_text()
    assert str(FOLDER.parents[2]) not in shown and "Traceback" not in shown
