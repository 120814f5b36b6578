"""Packaging of pxed; the rest is in pyproject.toml.

`twisted/plugins` is a link to `plugins/`: that one mapping keeps the twistd plugin visible for a wheel, an editable install,
an sdist and a plain checkout alike (`plugins/` itself has no `__init__.py`, nor may `twisted/` have one).
"""

from setuptools import find_packages, setup

setup(
    package_dir={"": "."},
    packages=[*find_packages(include=["pxed", "pxed.*"]), "twisted.plugins"],
    package_data={
        "pxed": ["py.typed", "templates/**/*", "dhcp/*.toml"],
        "pxed.store": ["migrations/**/*"],
        "twisted.plugins": ["pxed_plugin.py"],
    },
)
