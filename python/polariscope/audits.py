"""An audit as `polariscope audit` writes it: audit.json, version 1, whose fields docs/audit.md describes."""

import json
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from . import _command, record_views

VERSION = 1


class Audit:
    """What every head and layer of a pretrained model did over texts. In a notebook it shows itself as a map."""

    def __init__(self, content: Dict[str, Any]):
        if not isinstance(content, dict) or "version" not in content or "layers" not in content:
            raise ValueError("audit: expected what `polariscope audit` writes: an object with version and layers")
        if content["version"] != VERSION:
            raise ValueError(f"audit: its version is {content['version']}, this package reads version {VERSION}")
        self.content = content

    @classmethod
    def load(cls, path) -> "Audit":
        """Of a file, or of the audit.json in a folder. Raises ValueError, naming it, for what is no audit."""
        path = Path(path)
        path = path / "audit.json" if path.is_dir() else path
        try:
            return cls(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def run(cls, *arguments: str) -> "Audit":
        """Runs the program: Audit.run("model", "--text", "book.txt"). Raises ValueError with what it complains of."""
        done = subprocess.run([str(_command.program()), "audit", *map(str, arguments), "--json"], check=False,
                              capture_output=True, text=True)
        if not done.stdout:
            raise ValueError(done.stderr.strip() or f"audit: the program ended with {done.returncode}")
        return cls(json.loads(done.stdout))

    def save(self, path) -> None:
        """As the program writes it, so that --baseline reads it."""
        Path(path).write_text(json.dumps(self.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @property
    def summary(self) -> Dict[str, float]:
        """The few numbers that --fail-on sets limits to."""
        return self.content["summary"]

    def statistics(self) -> List[str]:
        """Names of what each head has one number of: means over all rows, and what is one by itself."""
        head = self.content["layers"][0]["heads"][0]
        return [name for name, value in head.items() if not isinstance(value, list)]

    def table(self, statistic: str) -> Tuple[List[str], np.ndarray]:
        """Names of the layers, and that number of every head: [layers, heads], NaN where there is none."""
        if statistic not in self.statistics():
            raise ValueError(f"audit: there is no \"{statistic}\": choose one of {', '.join(self.statistics())}")
        layers = self.content["layers"]
        values = np.full((len(layers), max(len(layer["heads"]) for layer in layers)), np.nan)
        for row, layer in zip(values, layers):
            for i, head in enumerate(layer["heads"]):
                value = head[statistic]
                value = value["mean"] if isinstance(value, dict) else value
                row[i] = np.nan if value is None else value
        return [str(i) for i in range(len(layers))], values

    def to_pandas(self):
        """A line for each layer and head."""
        import pandas

        columns = {name: self.table(name)[1] for name in self.statistics()}
        return pandas.DataFrame([{"layer": i, "head": h, **{name: values[i, h] for name, values in columns.items()}}
                                 for i, layer in enumerate(self.content["layers"])
                                 for h in range(len(layer["heads"]))])

    def plot(self, statistic: str = "first_visible_key", ax=None):
        """A map of layers and heads with matplotlib; returns its axes."""
        return record_views.plot(self, statistic, ax)

    def _repr_html_(self) -> str:
        return record_views.maps(self, ("relative_entropy", "first_visible_key"))
