"""The guide: it is made without a warning, its pages say what the code does, and a server shows them to everybody."""

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from tests.support.engine import serving
from tests.support.limits import PATIENCE
from tidings.config import Config
from tidings.portal.pages import guide

ROOT = Path(__file__).parents[2]
INLINE = re.compile(r"<(script|style)\b(?![^>]*src=)[^>]*>\s*\S|\son\w+=|\sstyle=|javascript:")
ELSEWHERE = re.compile(r"""(?:src|<link[^>]*href)=["'](?:https?:)?//|url\(["']?(?:https?:)?//|@import""")


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
