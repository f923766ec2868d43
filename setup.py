"""Metadata and dependencies of gsync; the tools' settings live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = (HERE / "gsync" / "__init__.py").read_text(encoding="utf-8").split('__version__ = "')[1].split('"')[0]

setup(
    name="gsync-p2p",  # `gsync` is taken on the public index; the package and the command keep the short name
    version=VERSION,
    description="A folder that stays the same on every machine, with no cloud in between",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["gsync", "gsync.*"]),
    install_requires=[
        "gevent>=25.4.1",
        "docopt-ng>=0.9",
        "msgspec>=0.18",
        "blake3>=1.0",
        "platformdirs>=4",
        "bottle>=0.13",
        "inotify_simple>=1.3; sys_platform == 'linux'",
    ],
    extras_require={
        "dev": [
            "pathspec>=0.12",
            "coverage>=7",
            "hypothesis>=6.100",
            "import-linter>=2",
            "mypy>=1.11",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
        ],
        "plots": ["matplotlib>=3.8"],  # the pictures of `make bench`
    },
    entry_points={"console_scripts": ["gsync = gsync.__main__:main"]},
)
