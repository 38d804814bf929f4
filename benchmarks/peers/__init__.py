"""Servers of other projects, each a script for an environment of its own; none of them imports Shipworthy."""
